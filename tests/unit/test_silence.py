"""Silence has no tokens, whatever the method; what is said is written the same way whatever silence lies around it."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from pairalign import Archive, align, load
from pairalign.audio import read_audio
from pairalign.cli import main
from pairalign.export import to_csv, to_textgrid
from pairalign.gate import HANGOVER_S, LEAD_S, passages
from pairalign.likelihood import attention_map, log_likelihoods
from pairalign.strings import edit_distance
from pairalign.sweeps.sweep import sweep
from pairalign.tokenizer import METHODS
from tests.conftest import RATE_HZ, babble

EXAMPLES = Path(__file__).resolve().parents[2] / "app" / "examples"
SILENCES = {
    "zeros": lambda count: np.zeros(count, np.float32),
    "noise": lambda count: np.random.default_rng(0).normal(0, 1e-3, count).astype(np.float32),
    "hum": lambda count: (1e-2 * np.sin(np.pi / 160 * np.arange(count))).astype(np.float32),
}


@pytest.fixture(scope="module")
def tokenizer():
    return load("tiny", device="cpu")


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return read_audio(EXAMPLES / "harbour_a.ogg")


@pytest.fixture(scope="module")
def empty(tokenizer):
    """The string of nothing but noise, by every method."""
    return {name: strings[0] for name, strings in tokenizer.tokenize_methods([noise(2.0)], METHODS).items()}


def noise(duration_s: float) -> np.ndarray:
    return SILENCES["noise"](round(duration_s * RATE_HZ))


def test_zeros_around_speech_change_nothing_but_its_times(tokenizer, speech):
    places = {"plain": (0, 0), "tail": (0, 10 * RATE_HZ), "lead": (59_203, 0), "both": (23_456, 30_001)}
    padded = [np.pad(speech, place) for place in places.values()]
    for method, strings in tokenizer.tokenize_methods(padded, METHODS).items():
        plain = np.array(strings[0].spans_s)
        for (before, _), string in zip(places.values(), strings, strict=True):
            assert string.ids == strings[0].ids, method
            np.testing.assert_allclose(np.array(string.spans_s) - before / RATE_HZ, plain, atol=1e-9)
        assert strings[1].duration_s == len(padded[1]) / RATE_HZ and strings[1].tokens_per_s < strings[0].tokens_per_s


@pytest.mark.parametrize("kind", SILENCES)
def test_no_token_lies_in_silence(tokenizer, speech, kind):
    silence = SILENCES[kind]
    speech = speech[: 2 * RATE_HZ]
    parts = [silence(4 * RATE_HZ), speech, silence(3 * RATE_HZ), speech, silence(10 * RATE_HZ)]
    wave = np.concatenate(parts)
    starts_s = [4.0, 7.0 + len(speech) / RATE_HZ]
    for method, (string,) in tokenizer.tokenize_methods([wave], METHODS).items():
        at_s = [(start, end) for start, end in string.spans_s]
        said = [(s - LEAD_S - 0.05, s + len(speech) / RATE_HZ + HANGOVER_S + 0.05) for s in starts_s]
        assert all(any(a <= start and end <= b for a, b in said) for start, end in at_s), method
        assert all(sum(a <= start <= b for start, _ in at_s) >= 12 for a, b in said), method


@pytest.mark.parametrize("kind", SILENCES)
def test_nothing_but_silence_is_an_empty_string(tokenizer, kind):
    # zeros alone are refused when they are read; a knock too short for a word makes them a recording
    wave = SILENCES[kind](12 * RATE_HZ)
    wave[5 * RATE_HZ : 5 * RATE_HZ + 100] += 0.3
    for method, (string,) in tokenizer.tokenize_methods([wave], METHODS).items():
        assert (string.ids, string.text, string.spans_s, string.log_probs) == ((), "", (), ()), method
        assert string.tokens_per_s == 0 and string.duration_s == 12
        assert string.stopped_by == ("eos" if method == "pairalign" else None)


def test_equal_tokens_and_byte_pairs_are_not_joined_over_silence(fitted_tokenizer):
    word = babble(0.6, 3)
    gap = np.zeros(2 * RATE_HZ, np.float32)
    for method in ("vq", "vq_raw", "viterbi", "bpe", "mfcc"):
        one, two = fitted_tokenizer.tokenize_batch([word, np.concatenate([word, gap, word])], method)
        assert two.ids == one.ids * 2, method
        assert all(end <= 0.61 or start >= 2.59 for start, end in two.spans_s), method


def test_a_string_does_not_depend_on_the_silence_in_its_batch(tokenizer, speech):
    waves = [noise(3.0), speech, np.concatenate([noise(2.0), speech, noise(4.0)]), noise(8.0)]
    together = tokenizer.tokenize_batch(waves, warps=[1.0, 1.05, 0.95, 1.0])
    alone = [tokenizer.tokenize_batch([w], warps=[k])[0] for w, k in zip(waves, (1.0, 1.05, 0.95, 1.0), strict=True)]
    assert [string.ids for string in together] == [string.ids for string in alone]
    assert [bool(string.ids) for string in together] == [False, True, True, False]


def test_progress_of_silence_alone_and_of_no_recording(tokenizer):
    assert tokenizer.tokenize_batch([], "vq") == []
    said: list[float] = []
    assert not tokenizer.tokenize(noise(2.0), progress=said.append).ids
    assert all(0 <= share <= 1 for share in said)


def test_ordinary_speech_with_short_pauses_is_one_passage(speech):
    assert len(passages(np.concatenate([speech, np.zeros(8_000, np.float32), speech]))) == 1


def test_noise_after_speech_hardly_changes_its_string(tokenizer, speech):
    waves = [speech, *(np.append(speech, SILENCES[kind](10 * RATE_HZ)) for kind in ("noise", "hum"))]
    plain, *others = tokenizer.tokenize_batch(waves, "viterbi")
    assert all(edit_distance(plain.ids, other.ids) < 0.4 * len(plain) for other in others)


class TestEmpty:
    """What becomes of an empty string."""

    def test_alignment(self, tokenizer, empty, speech):
        nothing, something = empty["pairalign"], tokenizer.tokenize(speech)
        assert (align(nothing, nothing).distance, align(nothing, nothing).normalized) == (0, 0.0)
        found = align(nothing, something)
        assert found.distance == len(something) and found.normalized == 1.0
        assert {edit.op for edit in found.edits} == {"ins"}

    def test_documents_and_files(self, empty):
        assert all(one.to_dict()["ids"] == [] and one.to_dict()["text"] == "" for one in empty.values())
        assert to_csv(empty) == "method,index,id,glyph,start_s,end_s,probability,score\n"
        grid = to_textgrid(empty)
        assert grid.count("intervals: size = 1") == len(METHODS) and "xmax = 2\n" in grid

    def test_sweep(self, tokenizer):
        found = sweep(tokenizer, noise(5.0), "shift", 60, 20, start_s=1.0)
        assert found.distance_to_origin == (0.0,) * 4 and set(found.lengths) == {0}

    def test_likelihood_and_attention(self, tokenizer, empty, speech):
        short = speech[: 2 * RATE_HZ]
        assert np.isfinite(log_likelihoods(tokenizer, [empty["pairalign"]], [short])).all()
        assert attention_map(tokenizer, short, empty["pairalign"]).weights.shape[0] == 1


def test_silence_has_no_tokens_in_an_archive(tokenizer, speech, tmp_path):
    folder = tmp_path / "recordings"
    folder.mkdir()
    soundfile.write(folder / "tail.wav", np.append(speech, noise(9.0)), RATE_HZ)
    soundfile.write(folder / "noise.wav", noise(4.0), RATE_HZ)
    with Archive.open(tmp_path / "test.db", tokenizer, methods=["pairalign", "vq"]) as archive:
        archive.add_files([folder / "tail.wav", folder / "noise.wav"], workers=1)
        for method in ("pairalign", "vq"):
            (hit, *_) = archive.search(speech, 1, "contains", method)
            assert hit.path.name == "tail.wav" and hit.end_s <= len(speech) / RATE_HZ + HANGOVER_S + 0.05
            with pytest.raises(ValueError, match="no tokens"):
                archive.search(noise(3.0), method=method)


def test_the_command_line_says_that_there_is_nothing(tmp_path, capsys):
    path = str(tmp_path / "noise.wav")
    soundfile.write(path, noise(3.0), RATE_HZ)
    assert main(["tokenize", path, "--checkpoint", "tiny", "--device", "cpu"]) == 0
    assert capsys.readouterr().out.count("(no speech was found, only silence or steady noise)") == 2
    assert main(["align", path, path, "--checkpoint", "tiny", "--device", "cpu"]) == 0
    assert "distance 0, normalized 0.000" in capsys.readouterr().out
    assert main(["tokenize", path, "--format", "textgrid", "--checkpoint", "tiny", "--device", "cpu"]) == 0
    assert "intervals: size = 1" in capsys.readouterr().out
