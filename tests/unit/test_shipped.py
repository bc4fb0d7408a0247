"""The shipped checkpoint and the README, as a newcomer meets them."""

import json
import re
from pathlib import Path

import pytest

import pairalign
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


def test_the_readme_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    (code,) = re.findall(r"```python\n(.*?)```", (PROJECT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(PROJECT)
    exec(code, {})  # our own README
    assert "tokens instead of" in capsys.readouterr().out
