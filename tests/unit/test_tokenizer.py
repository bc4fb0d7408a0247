import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import pairalign
from pairalign.audio import write_audio
from pairalign.decoding import DecodingOptions
from pairalign.device import compute_exactly, pick_device
from pairalign.tokenizer import METHODS
from tests.conftest import babble

ROOT = Path(__file__).resolve().parents[2]


def same(a: pairalign.TokenString, b: pairalign.TokenString) -> bool:
    return a.ids == b.ids and np.allclose(a.spans_s, b.spans_s) and np.allclose(a.log_probs, b.log_probs, atol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_a_string_has_increasing_spans_inside_the_recording(fitted_tokenizer, method: str):
    for duration_s in (0.1, 0.5, 3.0, 7.3):
        s = fitted_tokenizer.tokenize(babble(duration_s, seed=4), method=method)
        assert len(s) >= 1 and s.method == method
        assert s.duration_s == pytest.approx(duration_s, abs=1e-3)
        edges = [t for span in s.spans_s for t in span]
        assert edges == sorted(edges)
        assert 0 <= edges[0] and edges[-1] <= s.duration_s + 1e-9
        assert len(s.log_probs) == (0 if method == "mfcc" else len(s.ids))
        assert max(s.log_probs, default=0.0) <= 1e-6


@pytest.mark.parametrize("method", METHODS)
def test_batch_size_and_company_do_not_matter(fitted_tokenizer, method: str):
    waves = [babble(d, seed=k) for k, d in enumerate([0.3, 3.0, 1.1, 8.2, 2.2, 0.7, 4.5, 1.9])] * 4
    one = fitted_tokenizer.tokenize_batch(waves, method=method, batch_size=1)
    many = fitted_tokenizer.tokenize_batch(waves, method=method, batch_size=64)
    assert all(same(a, b) for a, b in zip(one, many, strict=True))
    alone = [fitted_tokenizer.tokenize(w, method=method) for w in waves[:8]]
    assert all(same(a, b) for a, b in zip(alone, many, strict=False))


def test_a_file_and_its_samples_give_the_same_string(tiny_tokenizer, tmp_path: Path):
    wave = np.round(babble(1.5) * 32767) / 32767
    write_audio(tmp_path / "a.wav", wave)
    from_file = tiny_tokenizer.tokenize(tmp_path / "a.wav")
    assert from_file.ids == tiny_tokenizer.tokenize(pairalign.audio.read_audio(tmp_path / "a.wav")).ids


def test_several_methods_at_once_give_the_strings_of_each(fitted_tokenizer):
    audio, warps = [babble(0.8), babble(4.0, seed=1)], [1.1, 1.0]
    together = fitted_tokenizer.tokenize_methods(audio, METHODS, batch_size=2, warps=warps)
    assert list(together) == list(METHODS)
    for method in METHODS:
        assert together[method] == fitted_tokenizer.tokenize_batch(audio, method, batch_size=2, warps=warps)
    with pytest.raises(ValueError, match="method is 'magic'"):
        fitted_tokenizer.tokenize_methods(audio, ["vq", "magic"])
    with pytest.raises(ValueError, match="no method is given"):
        fitted_tokenizer.tokenize_methods(audio, [])


def test_two_runs_are_identical(tiny_tokenizer):
    wave = babble(5.0)
    assert tiny_tokenizer.tokenize(wave) == tiny_tokenizer.tokenize(wave)


def test_vq_is_denser_than_its_viterbi_form(tiny_tokenizer):
    wave = babble(3.0)
    assert len(tiny_tokenizer.tokenize(wave, "vq")) >= len(tiny_tokenizer.tokenize(wave, "viterbi"))


def test_strings_of_one_model_align(tiny_tokenizer):
    a, b = (tiny_tokenizer.tokenize(babble(1.5, seed=k)) for k in (1, 2))
    assert pairalign.align(a, a).distance == 0
    assert pairalign.align(a, b).distance == pairalign.align(b, a).distance


def test_progress_ends_at_one(tiny_tokenizer):
    seen: list[float] = []
    tiny_tokenizer.tokenize_batch([babble(9.0)], batch_size=1, progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == 1.0 and len(seen) == 4


def test_condition_gain_compares_with_the_next_recording(tiny_tokenizer):
    waves = [babble(1.0, seed=k) for k in range(3)]
    gains = tiny_tokenizer.condition_gain(waves, tiny_tokenizer.tokenize_batch(waves))
    assert gains.shape == (3,) and np.isfinite(gains).all()
    with pytest.raises(ValueError, match="two recordings"):
        tiny_tokenizer.condition_gain(waves[:1], tiny_tokenizer.tokenize_batch(waves[:1]))


def test_mistakes_are_told(tiny_tokenizer, tiny_checkpoint: Path):
    with pytest.raises(ValueError, match="method"):
        tiny_tokenizer.tokenize(babble(1.0), method="morse")
    with pytest.raises(ValueError, match="batch_size"):
        tiny_tokenizer.tokenize_batch([babble(1.0)], batch_size=0)
    with pytest.raises(pairalign.AudioError):
        tiny_tokenizer.tokenize(np.full(16000, np.nan, dtype=np.float32))
    with pytest.raises(ValueError, match="device"):
        pairalign.load(tiny_checkpoint, device="abacus")


def test_asking_for_a_device_changes_nothing_and_a_model_on_a_gpu_convolves_exactly(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert [pick_device(name) for name in ("auto", "cuda", "cpu")] == ["cuda", "cuda", "cpu"]
    compute_exactly("cpu")
    assert torch.backends.cudnn.allow_tf32
    compute_exactly("cuda:0")
    assert not torch.backends.cudnn.allow_tf32


def test_loading_and_tokenizing_do_not_import_the_compiler_of_torch(tiny_checkpoint, tmp_path):
    """It takes a second or more, which every command would."""
    write_audio(tmp_path / "a.wav", babble(1.0), 44_100)
    program = f"""
import sys, pairalign
tok = pairalign.load({str(tiny_checkpoint)!r}, device="cpu")
print("torch" in sys.modules, "torch._dynamo" in sys.modules)
tok.tokenize_methods([{str(tmp_path / "a.wav")!r}], ["pairalign", "vq", "viterbi"])
pairalign.sweep(tok, {str(tmp_path / "a.wav")!r}, "speed", method="vq")
print("torch._dynamo" in sys.modules)
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.split() == ["True", "False", "False"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": {"hop_samples": 80}}, "features"),
        ({"architecture": {"codes": 3}}, "architecture"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(tiny_checkpoint: Path, tmp_path: Path, change: dict, message: str):
    for suffix in (".safetensors", ".json"):
        shutil.copy(tiny_checkpoint.with_suffix(suffix), tmp_path / f"odd{suffix}")
    sidecar = json.loads((tmp_path / "odd.json").read_text())
    (tmp_path / "odd.json").write_text(json.dumps({**sidecar, **change}))
    with pytest.raises(pairalign.CheckpointError, match=message):
        pairalign.load(tmp_path / "odd.safetensors", device="cpu")


def test_a_drawn_string_does_not_depend_on_its_batch(tiny_tokenizer):
    waves = [babble(d, seed=k) for k, d in enumerate([0.4, 3.0, 1.1, 7.2, 2.2])] * 13
    options = DecodingOptions(temperature=1.0, seed=7)
    one = tiny_tokenizer.tokenize_batch(waves[:5], batch_size=1, options=options)
    many = tiny_tokenizer.tokenize_batch(waves, batch_size=64, options=options)
    assert all(same(a, b) for a, b in zip(one, many, strict=False))
    assert [s.ids for s in one] != [s.ids for s in tiny_tokenizer.tokenize_batch(waves[:5])]


def test_a_window_gets_as_many_tokens_as_wanted(tiny_tokenizer):
    waves = [babble(1.0), babble(3.0, seed=1)]
    strings = tiny_tokenizer.tokenize_batch(waves, options=DecodingOptions(beam=4, wanted_tokens=12))
    assert [len(s) for s in strings] == [12, 12]


@pytest.mark.parametrize("method", METHODS)
def test_only_what_a_decoder_wrote_says_how_it_ended(fitted_tokenizer, method: str):
    string = fitted_tokenizer.tokenize(babble(1.5), method=method)
    assert string.stopped_by in (("eos", "limit") if method == "pairalign" else (None,))
    assert string.to_dict()["stopped_by"] == string.stopped_by
