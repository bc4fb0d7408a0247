"""The launched app through its public API, and app.py's flags."""

import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import soundfile
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from app.parts import read_examples

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def client(app_url):
    return Client(app_url, verbose=False)


@pytest.mark.parametrize("name", ["speech.wav", "speech.mp3", "stereo.flac"])
def test_tokenize_answers_with_the_document(client, recordings, services, name):
    document = client.predict(handle_file(str(recordings[name])), api_name="/tokenize")
    assert document["model_sha256"] == services.model_info().sha256
    (file,) = document["files"]
    assert file["file"] == name
    assert file["duration_s"] == pytest.approx(3.1, abs=0.15)
    for method in ("pairalign", "vq"):
        string = file["strings"][method]
        assert len(string["ids"]) == len(string["spans_s"]) == len(string["text"])


def test_the_app_and_the_library_agree(client, recordings, services):
    document = client.predict(handle_file(str(recordings["speech.wav"])), api_name="/tokenize")
    direct = services.tokenizer().tokenize(recordings["speech.wav"])
    assert tuple(document["files"][0]["strings"]["pairalign"]["ids"]) == direct.ids


def test_bad_file_gives_one_readable_sentence(client, recordings):
    with pytest.raises(AppError) as caught:
        client.predict(handle_file(str(recordings["bad.wav"])), api_name="/tokenize")
    assert "bad.wav" in str(caught.value) and "Traceback" not in str(caught.value)


def test_no_file_gives_one_readable_sentence(client):
    with pytest.raises(AppError, match="record or upload"):
        client.predict(None, api_name="/tokenize")


def test_files_of_the_server_cannot_be_read_through_the_api(client, app_url):
    secret = {"path": str(ROOT / "app.py"), "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(AppError):
        client.predict(secret, api_name="/tokenize")
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{app_url}gradio_api/file=/etc/hostname")


def test_tokenize_makes_pairalign_and_vq_unless_told_otherwise(client, recordings):
    speech = handle_file(str(recordings["speech.wav"]))
    assert list(client.predict(speech, api_name="/tokenize")["files"][0]["strings"]) == ["pairalign", "vq"]
    chosen = client.predict(speech, ["viterbi", "vq"], api_name="/tokenize")
    assert list(chosen["files"][0]["strings"]) == ["vq", "viterbi"]
    with pytest.raises(AppError, match="nonsense"):
        client.predict(speech, ["nonsense"], api_name="/tokenize")
    with pytest.raises(AppError, match="Choose one or more"):
        client.predict(speech, [], api_name="/tokenize")


def test_regenerate_writes_the_wanted_number_of_tokens(client, recordings, services):
    speech = handle_file(str(recordings["speech.wav"]))
    document = client.predict(speech, 12, api_name="/regenerate")
    assert len(document["rewritten"]["ids"]) == 12 == document["options"]["wanted_tokens"]
    assert document["file"] == "speech.wav" and document["model_sha256"] == services.model_info().sha256
    assert document["cost_nat_per_token"] == pytest.approx(
        document["original"]["log_p_per_token"] - document["rewritten"]["log_p_per_token"], abs=1e-4
    )


def test_regenerate_hears_the_first_seconds_of_a_long_recording(client, recordings, speech, tmp_path):
    path = tmp_path / "long.wav"
    soundfile.write(path, np.tile(speech, 2), 16_000)
    document = client.predict(handle_file(str(path)), temperature=1.0, seed=3, api_name="/regenerate")
    assert document["heard_s"] == 3.0
    assert document["options"] == {"wanted_tokens": 0, "beam": 1, "temperature": 1.0, "seed": 3}


@pytest.mark.parametrize(("options", "said"), [({"beam": 99}, "beam is 99"), ({"wanted_tokens": -4}, "wanted_tokens")])
def test_regenerate_refuses_in_one_readable_sentence(client, recordings, options, said):
    with pytest.raises(AppError, match=said):
        client.predict(handle_file(str(recordings["speech.wav"])), **options, api_name="/regenerate")
    with pytest.raises(AppError, match="record or upload"):
        client.predict(None, api_name="/regenerate")


def test_the_public_events_are_verbs_and_documented(client):
    named = client.view_api(return_format="dict")["named_endpoints"]
    assert sorted(named) == [
        "/archive_info",
        "/archive_search",
        "/compare",
        "/regenerate",
        "/sweep",
        "/tokenize",
        "/views",
    ]
    for about in named.values():
        assert len(about["description"].split()) > 8
        assert not any(one["parameter_name"].startswith("value_") for one in about["parameters"])


def test_an_unexpected_failure_hides_its_traceback(client, recordings, services, monkeypatch):
    monkeypatch.setattr(services, "tokenize", lambda *_, **__: 1 / 0)
    with pytest.raises(AppError, match="server's log") as caught:
        client.predict(handle_file(str(recordings["speech.wav"])), api_name="/tokenize")
    assert "division" not in str(caught.value)


def test_page_asks_no_other_host_for_anything(app_url):
    page = urllib.request.urlopen(app_url).read().decode()
    config = json.loads(re.search(r"window\.gradio_config = (\{.*?\});</script>", page).group(1))
    assert config["analytics_enabled"] is False
    theme = urllib.request.urlopen(f"{app_url}theme.css").read().decode()
    assert "fonts.googleapis.com" not in page + theme


def test_shipped_examples_are_complete():
    entries = read_examples()
    assert len(entries) >= 3
    assert all(entry["name"] and entry["text"] and Path(entry["file"]).is_file() for entry in entries)


def test_a_missing_or_damaged_list_of_examples_is_no_error(tmp_path):
    assert read_examples(tmp_path) == []
    (tmp_path / "examples.json").write_text("{")
    assert read_examples(tmp_path) == []
    (tmp_path / "examples.json").write_text('[{"name": "gone", "file": "gone.ogg"}]')
    assert read_examples(tmp_path) == []


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--port", "99999"], "99999"),
        (["--port", "seven"], "seven"),
        (["--nonsense"], "--nonsense"),
        (["--checkpoint", "no-such-model"], "no-such-model"),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1"),  # an address that no machine has
    ],
)
def test_a_wrong_flag_is_one_line_and_exit_code_2(flags, said):
    refused(flags, said)


def test_a_port_in_use_is_told_before_the_model_is_loaded():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused(["--port", str(taken.getsockname()[1])], "in use")


def refused(flags: list[str], said: str) -> None:
    """app.py with these flags ends with exit code 2 and one line."""
    run = subprocess.run(
        [sys.executable, str(ROOT / "app.py"), *flags],
        capture_output=True,
        text=True,
        timeout=120,
        env=dict(os.environ),
    )
    assert run.returncode == 2
    assert said in run.stderr and len(run.stderr.strip().splitlines()) == 1
