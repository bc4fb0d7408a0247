"""Wrong arguments of the public functions: one sentence that says what is allowed, never an error of Python's own."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import pairalign
from pairalign import DecodingOptions, PairAlignError, Stream, TokenString
from pairalign import likelihood as lk
from pairalign import strings as st
from pairalign.sweeps.sweep import sweep_batch, sweep_methods, sweep_values
from tests.conftest import babble

WAVE = babble(0.4)
CASES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "method None": (lambda t: t.tokenize(WAVE, method=None), "method is None; use one of"),
    "method list": (lambda t: t.tokenize(WAVE, method=["vq"]), "method is .'vq'.; use one of"),
    "method array": (lambda t: t.tokenize(WAVE, method=np.zeros(2)), "method is array"),
    "methods str": (lambda t: t.tokenize_methods([WAVE], "vq"), "methods is 'vq'; use a list"),
    "methods None": (lambda t: t.tokenize_methods([WAVE], None), "methods is None; use a list"),
    "batch_size str": (lambda t: t.tokenize_batch([WAVE], batch_size="x"), "batch_size is 'x'; use 1 or more"),
    "batch_size part": (lambda t: t.tokenize_batch([WAVE], batch_size=1.5), "batch_size is 1.5"),
    "batch_size nan": (lambda t: t.tokenize_batch([WAVE], batch_size=float("nan")), "batch_size is nan"),
    "options None": (lambda t: t.tokenize(WAVE, options=None), "options is of type NoneType; use DecodingOptions"),
    "options dict": (lambda t: t.tokenize(WAVE, "vq", {"beam": 4}), "options is of type dict; use DecodingOptions"),
    "progress": (lambda t: t.tokenize(WAVE, progress=3), "progress is 3; use a function"),
    "warps few": (lambda t: t.tokenize_batch([WAVE, WAVE], warps=[1.0]), "one factor from 0.5 to 2 for each of 2"),
    "warps nan": (lambda t: t.tokenize_batch([WAVE], warps=[float("nan")]), "one factor from 0.5 to 2"),
    "warps str": (lambda t: t.tokenize_batch([WAVE], warps="1"), "one factor from 0.5 to 2"),
    "warps number": (lambda t: t.tokenize_batch([WAVE], warps=1.1), "one factor from 0.5 to 2"),
    "features kind": (lambda t: t.frame_features([WAVE], kind=["mfcc"]), "kind is .'mfcc'.; use one of"),
    "gains few": (lambda t: t.condition_gain([WAVE, WAVE], t.tokenize_batch([WAVE])), "2 recordings need 2 strings"),
    "gains index": (lambda t: t.condition_gain([WAVE] * 2, t.tokenize_batch([WAVE] * 2), [1, 9]), "indices of recordi"),
    "gains str": (lambda t: t.condition_gain([WAVE] * 2, t.tokenize_batch([WAVE] * 2), [1, "0"]), "indices of record"),
    "likelihood text": (lambda t: lk.log_likelihoods(t, ["abc"], [WAVE]), "str is no token string"),
    "likelihood single": (lambda t: lk.log_likelihoods(t, t.tokenize(WAVE), [WAVE]), "must be a list of token strings"),
    "likelihood None": (lambda t: lk.log_likelihoods(t, None, [WAVE]), "must be a list of token strings"),
    "attention ids": (lambda t: lk.attention_map(t, WAVE, (1, 2)), "tuple is no token string"),
    "sweep kind": (lambda t: pairalign.sweep(t, WAVE, ["shift"]), "kind is .'shift'.; use one of"),
    "sweep stop": (lambda t: pairalign.sweep(t, WAVE, "shift", stop="100"), "stop is '100' ms; a shift sweep allows"),
    "sweep step": (lambda t: pairalign.sweep(t, WAVE, "shift", step="10"), "step is '10' ms; use a number"),
    "sweep start": (lambda t: pairalign.sweep(t, WAVE, "snr", start_s="0"), "start_s is '0'; use 0 or more"),
    "sweep window": (lambda t: sweep_batch(t, [WAVE], "snr", window_s="3"), "window_s is '3'; use seconds"),
    "sweep windows": (lambda t: sweep_batch(t, [WAVE], "snr", window_s=["3"]), "window_s is '3'; use seconds"),
    "sweep seed": (lambda t: pairalign.sweep(t, WAVE, "snr", seed="x"), "seed is 'x'; use a whole number"),
    "sweep seed size": (lambda t: pairalign.sweep(t, WAVE, "snr", seed=2**80), "seed is .*; use a whole number"),
    "sweep audio": (lambda t: pairalign.sweep(t, None), "NoneType is no recording"),
    "sweep waves": (lambda t: sweep_methods(t, None, "snr"), "list of recordings is needed"),
    "sweep method": (lambda t: pairalign.sweep(t, WAVE, "snr", method=None), "method is None"),
    "values nan": (lambda t: sweep_values("snr", float("nan")), "stop is nan dB"),
    "align text": (lambda t: pairalign.align("abc", "abd"), "str is no token string"),
    "glyph str": (lambda t: st.glyph("3"), "token id '3' has no glyph"),
    "glyph part": (lambda t: st.glyph(0.5), "token id 0.5 has no glyph"),
    "ids str": (lambda t: st.text_from_ids(["3"]), "token ids must be whole numbers"),
    "text ids": (lambda t: st.ids_from_text([3]), "list is no text of glyphs"),
    "text None": (lambda t: st.ids_from_text(None), "NoneType is no text of glyphs"),
    "stream rate": (lambda t: Stream(rate_hz="48000"), "the sample rate is '48000' Hz"),
    "stream rate nan": (lambda t: Stream(rate_hz=float("nan")), "the sample rate is nan Hz"),
    "stream keep": (lambda t: Stream(keep_s="30"), "keep_s is '30'; use 12 to"),
    "stream options": (lambda t: Stream(options={"beam": 2}), "options is of type dict"),
    "stream chunk": (lambda t: Stream().add(None), "is no recording; use"),
    "stream tuple": (lambda t: Stream().add((16_000, WAVE)), "numbers of one recording"),
    "stream channels first": (lambda t: Stream().add(np.stack([WAVE, WAVE])), r"at most 8 of them.*\(2, 6400\)"),
    "stream audio": (lambda t: Stream().audio("3"), "'3' seconds can not be kept"),
    "load None": (lambda t: pairalign.load(None), "a name or a path, not a value of type NoneType. Available"),
    "load number": (lambda t: pairalign.load(3), "a name or a path, not a value of type int"),
    "load bytes": (lambda t: pairalign.load(b"base"), "a name or a path, not a value of type bytes"),
    "load device": (lambda t: pairalign.load("tiny", device=None), "device is None; use auto, cpu or cuda"),
    "load device object": (lambda t: pairalign.load("tiny", device=["cpu"]), "device is .'cpu'.; use auto"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_argument_is_refused_in_a_sentence(name: str, tiny_tokenizer) -> None:
    call, message = CASES[name]
    with pytest.raises(PairAlignError, match=message):
        call(tiny_tokenizer)


BEYOND = 1e30
OPTIONS = ("beam", "evidence", "max_rate_hz", "min_rate_hz", "quiet_rate_hz", "temperature", "seed", "wanted_tokens")


@pytest.mark.parametrize("field", OPTIONS)
def test_options_are_numbers_in_their_ranges(field: str) -> None:
    for wrong in ("4", [4], float("nan"), float("inf"), True, -1, np.zeros(2), torch.zeros(2), None, BEYOND):
        if field == "wanted_tokens" and (wrong is None or wrong is BEYOND):
            continue  # any number, and more than there are frames for
        with pytest.raises(PairAlignError, match=f"{field}.*(use|must)"):
            DecodingOptions(**{field: wrong})


def test_whole_numbers_of_a_slider_are_counts() -> None:
    options = DecodingOptions(beam=4.0, seed=np.int64(3), wanted_tokens=12.0)
    assert options == DecodingOptions(beam=4, seed=3, wanted_tokens=12)
    assert type(options.beam) is type(options.seed) is type(options.wanted_tokens) is int


def test_more_tokens_than_there_are_frames_for_are_as_many_as_frames(tiny_tokenizer) -> None:
    assert len(tiny_tokenizer.tokenize(WAVE, options=DecodingOptions(wanted_tokens=10**30))) == 20


@pytest.mark.parametrize(
    "changed",
    [
        {"ids": None},
        {"ids": ("a",)},
        {"ids": (1.5,)},
        {"spans_s": (1,)},
        {"spans_s": (("a", "b"),)},
        {"duration_s": "long"},
        {"duration_s": float("nan")},
        {"duration_s": -1},
        {"log_probs": ("x",)},
        {"vocab_size": "8"},
        {"vocab_size": None},
        {"method": None},
        {"model_sha256": 3},
    ],
)
def test_a_token_string_is_made_of_numbers(changed: dict) -> None:
    fields = {
        "ids": (1,),
        "spans_s": ((0.0, 0.1),),
        "duration_s": 1.0,
        "log_probs": (),
        "stopped_by": "eos",
        "method": "vq",
        "model_sha256": "a" * 64,
        "vocab_size": 8,
    }
    TokenString(**fields)
    with pytest.raises(PairAlignError):
        TokenString(**{**fields, **changed})


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"top": "3"}, "top is '3'"),
        ({"top": 1.5}, "top is 1.5"),
        ({"mode": ["whole"]}, "mode is .'whole'.; use one of"),
        ({"method": ["vq"]}, "keeps no .'vq'. strings"),
        ({"min_duration_s": "1"}, "cannot last '1' to inf; use seconds"),
        ({"max_duration_s": None}, "cannot last 0.0 to None; use seconds"),
        ({"sample_rate": "x"}, "the sample rate is 'x'"),
        ({"query": None}, "NoneType is no recording"),
        ({"query": (1, 2)}, "type int64 are not audio"),
    ],
)
def test_a_search_with_a_wrong_argument_is_refused(archive, how: dict, message: str) -> None:
    with pytest.raises(PairAlignError, match=message):
        archive.search(**{"query": WAVE, "method": "vq", **how})


@pytest.fixture(scope="module")
def archive(tiny_tokenizer, tmp_path_factory):
    from pairalign.audio import write_audio

    folder = tmp_path_factory.mktemp("archive")
    write_audio(folder / "a.wav", babble(1.0))
    with pairalign.Archive.open(folder / "a.db", tiny_tokenizer, ("vq",)) as opened:
        opened.add_files([folder / "a.wav"], workers=1)
        yield opened


def test_an_array_of_another_rate_is_searched_for_as_its_file_would_be(archive, tmp_path) -> None:
    samples = np.repeat(babble(1.0, seed=2), 2)
    (by_rate,) = archive.search(samples, method="vq", sample_rate=32_000)
    (by_pair,) = archive.search((32_000, samples), method="vq")
    assert by_rate == by_pair
