"""Checkpoints come back exactly, or with an error that says what is wrong; failed writes change nothing."""

import json
import os
import pickle

import pytest
import torch

from pairalign import checkpoint as C

SIDECAR = {
    "name": "tiny",
    "architecture": {"width": 8},
    "features": {"bands": 80},
    "vocab_size": 16,
    "data": {"licence": "CC0"},
    "recipe": {"steps": 1},
    "metrics": {"ned_pair": float("nan")},
}
WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1], dtype=torch.int64)}


@pytest.fixture
def path(tmp_path):
    C.save_checkpoint(tmp_path / "tiny.safetensors", WEIGHTS, SIDECAR)
    return tmp_path / "tiny.safetensors"


def edit_sidecar(path, **changes):
    sidecar = json.loads(path.with_suffix(".json").read_text())
    for key, value in changes.items():
        sidecar.pop(key) if value is ... else sidecar.update({key: value})
    path.with_suffix(".json").write_text(json.dumps(sidecar))


def refused(path, words):
    with pytest.raises(C.CheckpointError, match=words) as caught:
        C.read_checkpoint(path)
    assert isinstance(caught.value, ValueError) and "\n" not in str(caught.value)


def test_round_trip(path):
    weights, sidecar = C.read_checkpoint(path)
    assert weights.keys() == WEIGHTS.keys() and all(torch.equal(weights[k], WEIGHTS[k]) for k in WEIGHTS)
    assert weights["b"].dtype == torch.int64
    assert sidecar["schema_version"] == 1 and sidecar["metrics"] == {"ned_pair": None}
    assert sidecar["sha256"] == C.save_checkpoint(path, WEIGHTS, SIDECAR)
    assert sorted(os.listdir(path.parent)) == ["tiny.json", "tiny.safetensors"]


def test_tied_and_sliced_weights_are_saved(tmp_path):
    tied = torch.randn(4, 4, requires_grad=True)
    C.save_checkpoint(tmp_path / "t.safetensors", {"x": tied, "y": tied, "z": tied.t()[:2]}, SIDECAR)
    weights, _ = C.read_checkpoint(tmp_path / "t.safetensors")
    assert torch.equal(weights["x"], weights["y"]) and torch.equal(weights["z"], tied.t()[:2])


def test_tampered_and_truncated_weights(path):
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    refused(path, "does not match the sha256")
    path.write_bytes(data[: len(data) // 2])
    refused(path, "does not match the sha256")
    path.write_bytes(b"")
    refused(path, "does not match the sha256")


def test_a_pickle_is_never_opened(path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(path.parent / "exploded"),))

    import hashlib

    path.write_bytes(pickle.dumps(Bomb()))
    edit_sidecar(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    refused(path, "not a valid safetensors file")
    assert not (path.parent / "exploded").exists()


def test_bad_sidecars(path):
    good = path.with_suffix(".json").read_text()
    cases = [
        ({"schema_version": 99}, "schema version 99"),
        ({"schema_version": True}, "schema version True"),
        ({"schema_version": ...}, "schema version None"),
        ({"architecture": ..., "features": ...}, "lacks architecture, features"),
        ({"architecture": [1]}, "architecture must be of type dict, not list"),
        ({"vocab_size": "many"}, "vocab_size must be of type int"),
        ({"vocab_size": 0}, "allowed: 1 to 65536"),
        ({"sha256": "abc"}, "64 hexadecimal digits"),
        ({"sha256": "0" * 64}, "does not match"),
    ]
    for change, words in cases:
        path.with_suffix(".json").write_text(good)
        edit_sidecar(path, **change)
        refused(path, words)
    for text in ("", "{", "\ufeff\x00", "[" * 100_000, good[:-10]):
        path.with_suffix(".json").write_text(text)
        refused(path, "is not JSON")
    path.with_suffix(".json").write_bytes(b"\xff\xfe\xfa")
    refused(path, "is not JSON")
    path.with_suffix(".json").write_text("[1]")
    refused(path, "JSON object")
    path.with_suffix(".json").unlink()
    refused(path, "tiny.json is missing")


def test_names(path, tmp_path, monkeypatch):
    monkeypatch.setattr(C, "CHECKPOINT_DIR", path.parent)
    monkeypatch.setenv("PAIRALIGN_HOME", str(tmp_path / "home"))
    (path.parent / "lonely.safetensors").write_bytes(b"")
    assert C.available() == ["tiny"]
    assert C.resolve_checkpoint("tiny") == path
    assert C.read_checkpoint("tiny")[1]["name"] == "tiny"
    refused("nothing", "no checkpoint named 'nothing'. Available: tiny")
    refused("missing/x.safetensors", "no checkpoint file")
    for trick in ("../tiny", "", "a b", "tiny\n", "x" * 65, "/etc/passwd", "tiny.json", "a\0.safetensors", "é"):
        refused(trick, "names no checkpoint")
    monkeypatch.setattr(C, "CHECKPOINT_DIR", path.parent / "none")
    assert C.available() == []
    refused("base", "None is installed")


@pytest.mark.parametrize("name", ["a b.safetensors", "model.bin", ".safetensors", "é.safetensors"])
def test_bad_names_are_not_written(tmp_path, name):
    with pytest.raises(C.CheckpointError):
        C.save_checkpoint(tmp_path / name, WEIGHTS, SIDECAR)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("failing_call", ["replace", "fsync"])
@pytest.mark.parametrize("at", [1, 2])
def test_a_failed_write_leaves_a_loadable_checkpoint(path, monkeypatch, failing_call, at):
    before = path.read_bytes()
    calls = 0
    real = getattr(os, failing_call)

    def fail(*args):
        nonlocal calls
        calls += 1
        if calls == at:
            raise OSError(28, "No space left on device")
        return real(*args)

    monkeypatch.setattr(os, failing_call, fail)
    with pytest.raises(OSError):
        C.save_checkpoint(path, {"a.weight": torch.zeros(2, 3)}, SIDECAR)
    monkeypatch.undo()
    assert sorted(os.listdir(path.parent)) == ["tiny.json", "tiny.safetensors"]
    if (failing_call, at) == ("replace", 2):  # between the two renames: noticed, never loaded as something else
        refused(path, "does not match")
    else:
        assert path.read_bytes() == before and C.read_checkpoint(path)


def test_incomplete_descriptions_are_refused_before_writing(path):
    before = path.read_bytes()
    with pytest.raises(C.CheckpointError, match="lacks architecture"):
        C.save_checkpoint(path, WEIGHTS, {"features": {}, "vocab_size": 4})
    assert path.read_bytes() == before and C.read_checkpoint(path)


def test_atomic_json(tmp_path):
    C.atomic_write_json(tmp_path / "new" / "x.json", {"a": (1, float("inf")), 2: tmp_path, "t": torch.tensor(3)})
    assert json.loads((tmp_path / "new" / "x.json").read_text()) == {"a": [1, None], "2": str(tmp_path), "t": 3}
    with pytest.raises(TypeError):
        C.atomic_write_json(tmp_path / "new" / "x.json", {"a": object()})
    assert json.loads((tmp_path / "new" / "x.json").read_text())["t"] == 3
    assert os.listdir(tmp_path / "new") == ["x.json"]


def test_written_files_have_the_usual_rights(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    C.atomic_write_bytes(tmp_path / "atomic", b"")
    assert (tmp_path / "plain").stat().st_mode == (tmp_path / "atomic").stat().st_mode
