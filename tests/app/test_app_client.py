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
from pairalign.strings import align, glyph
from pairalign.tokenizer import BEAM
from pairalign.version import __version__

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def client(app_url):
    return Client(app_url, verbose=False)


@pytest.fixture(scope="module")
def long_recording(speech, tmp_path_factory) -> Path:
    """The speech twice: longer than what the model reads in one go."""
    path = tmp_path_factory.mktemp("long") / "long.wav"
    soundfile.write(path, np.tile(speech, 2), 16_000)
    return path


def used(document: dict) -> tuple[float, float, float]:
    """The part of the recording that an answer names: start, end, and how long the recording is."""
    assert document["duration_s"] == pytest.approx(document["end_s"] - document["start_s"], abs=1e-3)
    return document["start_s"], document["end_s"], document["recording_s"]


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


def test_regenerate_uses_seconds_of_a_long_recording_and_says_which(client, long_recording):
    document = client.predict(handle_file(str(long_recording)), temperature=1.0, seed=3, api_name="/regenerate")
    assert document["heard_s"] == 3.0 and used(document) == (0, 3, 6.199)
    later = client.predict(handle_file(str(long_recording)), start_s=3.0, api_name="/regenerate")
    assert used(later) == (3, 6.199, 6.199), "what is left fits one window"
    assert document["options"] == {"wanted_tokens": 0, "beam": 1, "temperature": 1.0, "seed": 3}


@pytest.mark.parametrize(("options", "said"), [({"beam": 99}, "beam is 99"), ({"wanted_tokens": -4}, "wanted_tokens")])
def test_regenerate_refuses_in_one_readable_sentence(client, recordings, options, said):
    with pytest.raises(AppError, match=said):
        client.predict(handle_file(str(recordings["speech.wav"])), **options, api_name="/regenerate")
    with pytest.raises(AppError, match="record or upload"):
        client.predict(None, api_name="/regenerate")


def test_tokenize_says_what_made_the_answer(client, recordings, services):
    document = client.predict(handle_file(str(recordings["speech.wav"])), ["pairalign", "vq"], api_name="/tokenize")
    assert document["version"] == __version__ and document["options"]["methods"] == ["pairalign", "vq"]
    assert document["options"]["decoding"]["beam"] == BEAM.beam
    (file,) = document["files"]
    assert used(file) == (0, 3.0995, 3.0995)
    direct = services.tokenizer().tokenize(recordings["speech.wav"])
    assert file["strings"]["pairalign"]["log_probs"] == pytest.approx(direct.log_probs, abs=1e-5)
    alone = client.predict(handle_file(str(recordings["speech.wav"])), ["vq"], api_name="/tokenize")
    assert alone["options"] == {"methods": ["vq"], "decoding": None}, "nothing was searched for"


def test_align_takes_both_recordings_as_they_are(client, recordings, long_recording, services):
    same = [handle_file(str(long_recording))] * 2
    document = client.predict(*same, api_name="/align")
    assert document["distance"] == 0 and document["model_sha256"] == services.model_info().sha256
    assert [used(document["recordings"][side]) for side in "ab"] == [(0, 6.199, 6.199)] * 2, "all of both"
    tok = services.tokenizer()
    a, b = (tok.tokenize(path, "vq") for path in (recordings["speech.wav"], long_recording))
    files = [handle_file(str(recordings["speech.wav"])), handle_file(str(long_recording))]
    other = client.predict(*files, "vq", api_name="/align")
    assert (tuple(other["a"]["ids"]), tuple(other["b"]["ids"])) == (a.ids, b.ids)
    assert other["distance"] == align(a, b).distance == sum(edit["op"] != "match" for edit in other["edits"])
    assert other["options"]["method"] == "vq" and other["version"] == __version__


@pytest.mark.parametrize(
    ("second", "method", "said"),
    [(None, "vq", "audio_b"), ("bad.wav", "vq", "bad.wav"), ("speech.wav", "magic", "magic")],
)
def test_align_refuses_in_one_readable_sentence(client, recordings, second, method, said):
    first, other = handle_file(str(recordings["speech.wav"])), second and handle_file(str(recordings[second]))
    with pytest.raises(AppError, match=said) as caught:
        client.predict(first, other, method, api_name="/align")
    assert "Traceback" not in str(caught.value)


def test_a_recording_against_itself_is_equal_by_every_verb(client, recordings):
    speech = handle_file(str(recordings["speech.wav"]))
    for verb in ("/align", "/views"):
        document = client.predict(audio=speech, audio_b=speech, api_name=verb)
        assert document["distance"] == 0 and document["normalized"] == 0
    assert client.predict(audio=speech, api_name="/views")["distance"] == 0, "no view was asked for"


def test_token_tells_about_one_token(client, services, recordings):
    codes = services.tokenizer().model.codebook.codes.numpy()
    document = client.predict(3, api_name="/token")
    assert (document["id"], document["glyph"], document["vocab_size"]) == (3, glyph(3), len(codes))
    order = np.argsort(-(codes @ codes[3]), kind="stable")
    assert [one["id"] for one in document["nearest"]] == order[order != 3][:5].tolist()
    assert document["nearest"][0]["cosine"] == pytest.approx(float(np.sort(codes @ codes[3])[-2]), abs=1e-4)
    info = client.predict("demo", api_name="/archive_info")
    for method, about in document["occurrences"].items():
        assert about["tokens"] == info["methods"][method]["tokens"]
        assert about["share"] == about["count"] / about["tokens"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [({"token": -1}, "token is -1"), ({"token": 1.5}, "whole number"), ({"token": 99_999}, "from 0 to"),
     ({"token": 0, "nearest": 0}, "nearest is 0"), ({"token": 0, "archive": "../x"}, "name of an archive")],
)  # fmt: skip
def test_token_refuses_in_one_readable_sentence(client, asked, said):
    with pytest.raises(AppError, match=said):
        client.predict(**asked, api_name="/token")


def test_sweep_and_compare_need_nothing_but_a_recording(client, long_recording):
    file = handle_file(str(long_recording))
    swept = client.predict(file, "snr", methods=["vq"], api_name="/sweep")
    assert (swept["options"]["stop"], swept["options"]["step"]) == (swept["values"][-1], 4), "those of the kind"
    assert used(swept) == (0, 3, 6.199) and swept["version"] == __version__
    shifted = client.predict(file, stop=60, step=20, start_s=1.5, methods=["vq"], api_name="/sweep")
    assert used(shifted) == (1.5, 4.56, 6.199), "from the first window to the last"
    scores = client.predict(audio=file, methods=["vq"], examples=False, api_name="/compare")
    (one,) = scores["recordings"]
    assert one["duration_s"] == pytest.approx(3) and one["recording_s"] == 6.199
    assert len(client.predict(methods=["vq"], api_name="/compare")["recordings"]) == len(read_examples())


def test_the_public_events_are_verbs_and_documented(client):
    named = client.view_api(return_format="dict")["named_endpoints"]
    assert sorted(named) == [
        "/align",
        "/archive_info",
        "/archive_search",
        "/compare",
        "/regenerate",
        "/sweep",
        "/token",
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
