"""Services: what the tabs call, without Gradio."""

import subprocess
import sys
import threading

import numpy as np
import pytest
import soundfile

from app.result import saving
from app.services import Cancelled, Services, mel_image, pool_columns, to_int16, wave_envelope


def test_result_has_both_strings_over_the_whole_recording(services, recordings, speech):
    result = services.tokenize(recordings["speech.wav"])
    assert list(result.strings) == ["pairalign", "vq"]
    assert result.file_name == "speech.wav"
    assert result.duration_s == pytest.approx(speech.size / 16_000)
    for method, string in result.strings.items():
        assert string.method == method
        assert string.model_sha256 == result.model.sha256
        assert all(0 <= start <= end <= result.duration_s + 1e-6 for start, end in string.spans_s)
    assert result.saving == pytest.approx(1 - len(result.strings["pairalign"]) / len(result.strings["vq"]))
    assert result.samples.dtype == np.int16 and result.samples.size == speech.size
    assert result.seconds > 0


def test_the_other_methods_are_there_too(services, recordings):
    result = services.tokenize(recordings["speech.wav"], methods=("pairalign", "vq", "viterbi"))
    assert len(result.strings["viterbi"]) <= len(result.strings["vq"])


def test_methods_are_told_in_one_order_and_twice_is_once(services, recordings):
    result = services.tokenize(recordings["speech.wav"], methods=("viterbi", "pairalign", "viterbi"))
    assert list(result.strings) == ["pairalign", "viterbi"]
    assert result.compared == ("pairalign", "viterbi")
    assert result.saving == pytest.approx(1 - len(result.strings["pairalign"]) / len(result.strings["viterbi"]))


def test_only_a_checkpoint_with_baselines_offers_what_needs_them(services, fitted_services, recordings):
    assert "bpe" not in services.methods() and {"pairalign", "vq", "viterbi"} <= set(services.methods())
    with pytest.raises(ValueError, match="bpe.*Choose one or more of pairalign, vq"):
        services.tokenize(recordings["speech.wav"], methods=["vq", "bpe"])
    result = fitted_services.tokenize(recordings["speech.wav"], methods=["bpe", "vq"])
    assert 0 < len(result.strings["bpe"]) <= len(result.strings["vq"])


@pytest.mark.parametrize("methods", [[], ["nonsense"]])
def test_no_method_or_an_unknown_one_says_what_there_is(services, recordings, methods):
    with pytest.raises(ValueError, match="pairalign, vq"):
        services.tokenize(recordings["speech.wav"], methods=methods)


def test_a_single_method_has_nothing_to_save_against(services, recordings):
    result = services.tokenize(recordings["speech.wav"], methods=["vq"])
    assert result.compared == ("vq", None) and result.saving is None


def test_opening_is_all_of_a_short_recording_and_a_window_of_a_long_one(services, recordings, speech, tmp_path):
    short = services.tokenize(recordings["speech.wav"])
    assert short.is_short and short.opening.size == speech.size
    assert services.opening_string(short) is short.strings["pairalign"]
    path = tmp_path / "long.wav"
    soundfile.write(path, np.tile(speech, 2), 16_000)
    long = services.tokenize(path)
    assert not long.is_short and long.opening.size == 3 * 16_000
    assert services.opening_string(long).duration_s == pytest.approx(3.0)


def test_document_follows_the_command_line_contract(services, recordings):
    document = services.tokenize(recordings["speech.mp3"]).to_document()
    assert set(document) == {"checkpoint", "model_sha256", "device", "version", "options", "files"}
    (file,) = document["files"]
    assert file["file"] == "speech.mp3", "the server's folders are nobody's business"
    assert {"ids", "text", "spans_s", "tokens_per_s", "stopped_by"} <= set(file["strings"]["vq"])


def test_progress_rises_to_the_end(services, recordings):
    seen: list[float] = []
    services.tokenize(recordings["speech.wav"], progress=seen.append)
    assert seen == sorted(seen) and 0 < seen[0] < 0.2 and seen[-1] == 1


@pytest.mark.parametrize("path", [None, ""])
def test_no_recording_says_what_to_do(services, path):
    with pytest.raises(ValueError, match="record or upload"):
        services.tokenize(path)


def test_bad_file_is_a_readable_value_error(services, recordings):
    with pytest.raises(ValueError, match="bad.wav"):
        services.tokenize(recordings["bad.wav"])


def test_stop_ends_a_run_at_its_next_report(services, recordings):
    arrived, go_on = threading.Event(), threading.Event()
    outcome: list[BaseException | None] = []

    def report(_: float) -> None:
        arrived.set()
        go_on.wait(10)

    def run() -> None:
        try:
            services.tokenize(recordings["speech.wav"], progress=report, run_id="tab-1")
            outcome.append(None)
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert arrived.wait(30)
    assert services.stop("tab-1") and not services.stop("another tab")
    go_on.set()
    thread.join(30)
    assert isinstance(outcome[0], Cancelled)
    assert not services.stop("tab-1"), "a finished run is forgotten"
    assert services.tokenize(recordings["speech.wav"]).strings, "and the model is free again"


def test_public_app_has_tighter_limits(tiny_checkpoint):
    assert Services(str(tiny_checkpoint), public=True).limits.max_duration_s < Services().limits.max_duration_s


def test_missing_checkpoint_is_a_value_error():
    with pytest.raises(ValueError, match="no-such"):
        Services("no-such").tokenizer()


def test_model_info_names_device_and_size(services):
    info = services.model_info()
    assert info.device == "cpu" and info.parameters > 1_000 and info.vocab_size > 1 and len(info.sha256) == 64


def test_envelope_keeps_peaks_in_few_points():
    wave = np.zeros(100_000, np.float32)
    wave[54_321], wave[70_000] = 1.0, -0.5
    envelope = wave_envelope(wave, bins=1_000)
    assert envelope.times_s.size == 1_000
    assert envelope.high.max() == 1.0 and envelope.low.min() == -0.5
    assert envelope.times_s[envelope.high.argmax()] == pytest.approx(54_321 / 16_000, abs=0.01)
    assert wave_envelope(wave[:10], bins=1_000).times_s.size == 10


def test_columns_are_means_of_neighbours():
    pooled = pool_columns(np.arange(10.0)[None], 4)
    assert pooled.tolist() == [[1.0, 4.0, 7.0, 9.0]]


@pytest.mark.parametrize("seconds", [0.1, 3.0, 61.0])
def test_mel_image_covers_the_recording_in_few_columns(seconds):
    wave = np.random.default_rng(0).normal(0, 0.1, int(seconds * 16_000)).astype(np.float32)
    image = mel_image(wave, columns=500)
    assert image.values.dtype == np.uint8 and image.values.shape[0] == 80 and image.values.shape[1] <= 500
    assert image.values.shape[1] * image.step_s == pytest.approx(seconds, abs=2 * image.step_s)


def test_saving():
    assert saving(38, 84) == pytest.approx(0.5476, abs=1e-3)
    assert saving(10, 8) == pytest.approx(-0.25)
    assert saving(0, 0) is None


def test_playback_samples_do_not_wrap_around():
    assert to_int16(np.array([-1.5, -1.0, 0.0, 1.0, 2.0])).tolist() == [-32767, -32767, 0, 32767, 32767]


def test_services_do_not_need_gradio():
    script = "import sys; sys.modules['gradio'] = None; import app.services"
    subprocess.run([sys.executable, "-c", script], check=True)
