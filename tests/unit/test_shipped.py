"""The shipped checkpoints, as a newcomer meets them."""

import json
from pathlib import Path

import pytest

import pairalign
from pairalign.audio import SAMPLE_RATE_HZ, read_audio
from pairalign.strings import normalized_distance

PROJECT = Path(__file__).resolve().parents[2]
EXAMPLES = PROJECT / "app" / "examples"


@pytest.fixture(scope="module")
def base() -> pairalign.Tokenizer:
    return pairalign.load("base", device="cpu")


def test_the_checkpoint_is_small_and_says_what_it_is(base):
    assert "base" in pairalign.available()
    assert (PROJECT / "checkpoints" / "base.safetensors").stat().st_size < 60e6
    assert base.sidecar["data"]["hours"] > 1 and "CC BY" in base.sidecar["data"]["licences"]
    assert base.sidecar["metrics"]["evaluation"]["data"]["model_sha256"] == base.sha256


def test_every_example_stops_by_itself_with_compact_strings(base):
    for entry in json.loads((EXAMPLES / "examples.json").read_text()):
        s, v = (base.tokenize(EXAMPLES / entry["file"], method=m) for m in ("pairalign", "vq"))
        assert s.stopped_by == "eos"
        assert 6 < s.tokens_per_s < 18
        assert len(s) < 0.7 * len(v)


def test_the_same_sentence_by_two_voices_is_nearer_than_other_sentences(base):
    names = ("harbour_a", "harbour_b", "digits", "slow")
    a, b, *others = (base.tokenize(EXAMPLES / f"{name}.ogg").ids for name in names)
    assert normalized_distance(a, b) < min(normalized_distance(a, other) for other in others) - 0.02


def test_tiny_is_trained_and_small_enough_for_tests():
    tiny = pairalign.load("tiny", device="cpu")
    assert (PROJECT / "checkpoints" / "tiny.safetensors").stat().st_size < 2e6
    waves = [read_audio(EXAMPLES / f"{name}.ogg") for name in ("harbour_a", "digits", "slow")]
    alone = [tiny.tokenize(wave) for wave in waves]
    assert [s.ids for s in tiny.tokenize_batch(waves, batch_size=64)] == [s.ids for s in alone]
    later = tiny.tokenize(waves[0][int(0.05 * SAMPLE_RATE_HZ) :])
    assert normalized_distance(alone[0].ids, later.ids) < min(
        normalized_distance(alone[0].ids, other.ids) for other in alone[1:]
    )
