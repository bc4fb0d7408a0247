"""The public event /views through gradio_client."""

from __future__ import annotations

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError


@pytest.fixture(scope="module")
def client(app_url):
    return Client(app_url, verbose=False)


def test_views_answers_with_the_document(client, recordings, services):
    document = client.predict(
        audio=handle_file(str(recordings["speech.wav"])),
        view_a={},
        view_b={"speed": 1.1, "noise": "pink", "snr_db": 10, "seed": 3},
        api_name="/views",
    )
    assert document["model_sha256"] == services.model_info().sha256 and document["method"] == "pairalign"
    assert document["views"]["a"]["speed"] == 1 and document["views"]["b"]["speed"] == 1.1
    assert len(document["a"]["ids"]) == sum(edit["a"] is not None for edit in document["edits"])
    assert document["distance"] == sum(edit["op"] != "match" for edit in document["edits"])


def test_the_same_seed_gives_the_same_answer(client, recordings):
    asked = {"audio": handle_file(str(recordings["speech.wav"])), "view_b": {"noise": "white", "snr_db": 5, "seed": 9}}
    first, second = (client.predict(**asked, api_name="/views") for _ in range(2))
    assert first == second


def test_two_recordings_with_another_method(client, recordings):
    files = [handle_file(str(recordings[name])) for name in ("speech.wav", "speech.mp3")]
    document = client.predict(
        audio=files[0], audio_b=files[1], view_a={}, view_b={}, method="vq", start_b_s=0.5, api_name="/views"
    )
    assert document["method"] == "vq" and document["apart_ms"] is None
    assert document["b"]["spans_s"][-1][1] < document["a"]["spans_s"][-1][1]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"view_b": {"speed": 9}}, "0.8 to 1.25"),
        ({"view_a": {"colour": 1}}, "no parameter"),
        ({"view_a": [3]}, "is an object"),
        ({"start_s": 99}, "The start is"),
        ({"method": "magic"}, "magic"),
    ],
)
def test_mistakes_are_answered_with_a_sentence(client, recordings, asked, said):
    with pytest.raises(AppError, match=said) as caught:
        client.predict(audio=handle_file(str(recordings["speech.wav"])), **asked, api_name="/views")
    assert "Traceback" not in str(caught.value)


def test_no_recording_is_answered_with_a_sentence(client):
    with pytest.raises(AppError, match="record or upload"):
        client.predict(audio=None, api_name="/views")


def test_the_event_is_documented(client):
    about = client.view_api(return_format="dict")["named_endpoints"]["/views"]
    names = [parameter["parameter_name"] for parameter in about["parameters"]]
    assert names == ["audio", "view_a", "view_b", "method", "start_s", "audio_b", "start_b_s"]
    assert "shift_ms" in about["description"]
