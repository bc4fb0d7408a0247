"""The commands as a person or a script meets them, on a tiny untrained model."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from pairalign import cli
from pairalign.audio import write_audio
from pairalign.checkpoint import save_checkpoint
from pairalign.features import FeatureOptions
from pairalign.model.network import PairAlignModel, tiny_config

STRING_KEYS = {"ids", "text", "spans_s", "tokens_per_s", "stopped_by"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny checkpoint, two recordings and a text file."""
    folder = tmp_path_factory.mktemp("cli")
    torch.manual_seed(0)
    config = tiny_config()
    sidecar = {"architecture": config.to_dict(), "features": FeatureOptions().to_dict(), "vocab_size": config.codes}
    save_checkpoint(folder / "tiny.safetensors", PairAlignModel(config).state_dict(), sidecar)
    time = np.arange(16_000) / 16_000
    for name, sweep in (("a.wav", 900), ("b.wav", 1500)):
        write_audio(folder / name, 0.3 * np.sin(2 * np.pi * (200 * time + sweep * time**2)))
    (folder / "text.wav").write_text("not audio")
    return folder


@pytest.fixture
def run(folder, capsys):
    def call(command, *args, checkpoint="tiny.safetensors"):
        where = [] if checkpoint is None else ["--checkpoint", str(folder / checkpoint)]
        status = cli.main([command, *map(str, args), *where, "--device", "cpu"])
        out, err = capsys.readouterr()
        return status, out, err

    return call


def one_line(err):
    return err.count("\n") == 1 and err.startswith("pairalign") and "Traceback" not in err


def test_tokenize_json(run, folder):
    status, out, err = run("tokenize", folder / "a.wav", folder / "b.wav", "--json")
    found = json.loads(out)
    assert status == 0 and err == ""
    assert list(found) == ["checkpoint", "model_sha256", "device", "files"] and found["device"] == "cpu"
    assert [entry["path"] for entry in found["files"]] == [str(folder / "a.wav"), str(folder / "b.wav")]
    for entry in found["files"]:
        assert entry["duration_s"] == 1.0 and list(entry["strings"]) == ["pairalign", "vq"]
        for one in entry["strings"].values():
            assert set(one) == STRING_KEYS
            assert len(one["ids"]) == len(one["text"]) == len(one["spans_s"])


def test_standard_input_is_a_recording_and_a_missing_length_is_noted(run, folder, monkeypatch):
    wave = (folder / "a.wav").read_bytes()
    note = "pairalign: standard input: its header does not give its length: it was read to the end of the file\n"
    for command, *more in (("tokenize", "-"), ("align", "-", folder / "a.wav"), ("sweep", "-", "--window", "0.5")):
        for length in (wave[40:44], bytes(4)):
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(wave[:40] + length + wave[44:])))
            status, out, err = run(command, *more, "--json", "--method", "vq")
            assert status == 0 and err == (note if length == bytes(4) else "")
            found = json.loads(out)
            if command == "tokenize":
                assert found["files"][0].get("notes", []) == ([note[11:-1]] if length == bytes(4) else [])
            assert command != "align" or found["distance"] == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    status, out, err = run("align", "-", folder / "a.wav")
    assert status == 2 and out == "" and one_line(err) and "standard input: the file is empty" in err


def test_tokenize_text(run, folder):
    status, out, err = run("tokenize", folder / "a.wav", "--method", "vq")
    assert status == 0 and err == "" and "a.wav" in out and "tokens" in out and "pairalign " not in out


def test_tokenize_formats(run, folder):
    status, out, err = run("tokenize", folder / "a.wav", "--format", "csv", "--method", "vq")
    assert status == 0 and err == "" and out.startswith("method,index,id,") and out.splitlines()[1].startswith("vq,1,")
    status, out, err = run("tokenize", folder / "a.wav", "--format", "textgrid")
    assert status == 0 and err == "" and out.startswith('File type = "ooTextFile"\n') and 'name = "pairalign"' in out
    status, out, err = run("tokenize", folder / "text.wav", "--format", "csv")
    assert status == 2 and out == "" and one_line(err)


def test_one_bad_file_does_not_stop_the_others(run, folder):
    status, out, err = run("tokenize", folder / "text.wav", folder / "a.wav", folder / "none.wav", "--json")
    bad, good, missing = json.loads(out)["files"]
    assert status == 2 and err.count("\n") == 2
    assert set(bad) == set(missing) == {"path", "error"} and "looks like text" in bad["error"]
    assert set(good) == {"path", "duration_s", "strings"}


def test_align_json_replays(run, folder):
    status, out, err = run("align", folder / "a.wav", folder / "b.wav", "--method", "vq", "--json")
    found = json.loads(out)
    assert status == 0 and err == ""
    assert list(found) == ["a", "b", "distance", "normalized", "edits"]
    assert set(found["a"]) == set(found["b"]) == STRING_KEYS
    assert found["distance"] == sum(edit["op"] != "match" for edit in found["edits"])
    assert [e["a"] for e in found["edits"] if e["a"] is not None] == list(range(len(found["a"]["ids"])))
    assert all(set(edit) == {"op", "a", "b"} for edit in found["edits"])


def test_align_text(run, folder):
    status, out, _ = run("align", folder / "a.wav", folder / "a.wav")
    assert status == 0 and "distance 0, normalized 0.000" in out


@pytest.mark.parametrize(
    "args",
    [
        ("tokenize",),
        ("tokenize", "a.wav", "--method", "magic"),
        ("tokenize", "a.wav", "--method", ","),
        ("tokenize", "a.wav", "--device", "tpu"),
        ("tokenize", "a.wav", "--colour", "red"),
        ("tokenize", "a.wav", "--format", "csv"),  # with --json
        ("align", "a.wav"),
        ("align", "a.wav", "none.wav"),
        ("align", "a.wav", "text.wav"),
        ("align", "a.wav", "b.wav", "--method", "pairalign,vq"),
    ],
)
def test_mistakes_get_one_line_and_status_2(folder, capsys, monkeypatch, args):
    monkeypatch.chdir(folder)
    status = cli.main([*args, "--checkpoint", "tiny.safetensors", "--json"])
    out, err = capsys.readouterr()
    assert status == 2 and out == "" and one_line(err), err


@pytest.mark.parametrize("args", [(), ("sing",), ("--loud",)])
def test_unknown_commands(capsys, args):
    assert cli.main(args) == 2
    assert one_line(capsys.readouterr().err)


@pytest.mark.parametrize("name", ["no-such-name", "../x", "gone.safetensors", "a\nb"])
def test_bad_checkpoints(folder, capsys, name):
    assert cli.main(["tokenize", str(folder / "a.wav"), "--checkpoint", name]) == 2
    out, err = capsys.readouterr()
    assert out == "" and one_line(err)


def test_cuda_asked_for_and_absent(folder, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    weights = str(folder / "tiny.safetensors")
    assert cli.main(["tokenize", str(folder / "a.wav"), "--checkpoint", weights, "--device", "cuda"]) == 2
    assert one_line(capsys.readouterr().err)


def test_our_own_errors_are_status_1(folder, capsys, monkeypatch):
    def broken(*_args, **_options):
        raise ValueError("shapes do not match")

    monkeypatch.setattr("pairalign.tokenizer.load", broken)
    args = ["tokenize", str(folder / "a.wav"), "--checkpoint", str(folder / "tiny.safetensors"), "--json"]
    assert cli.main(args) == 1
    out, err = capsys.readouterr()
    assert out == "" and "internal error" in err and "Traceback" in err


def test_a_bare_value_error_of_the_library_is_the_users_mistake(capsys, monkeypatch):
    from pairalign.evaluation import report
    from pairalign.strings import ids_from_text

    monkeypatch.setattr(report, "run_from_args", lambda args: ids_from_text("no token"))
    assert cli.main(["evaluate", "--manifest", "x.csv"]) == 2
    assert one_line(capsys.readouterr().err)
    monkeypatch.setattr(report, "run_from_args", lambda args: np.zeros(3).reshape(2, 2))
    assert cli.main(["evaluate", "--manifest", "x.csv"]) == 1


def test_stray_prints_do_not_reach_the_json(run, folder, monkeypatch):
    from pairalign import tokenizer

    real = tokenizer.load

    def chatty(*args, **options):
        print("loading …")
        return real(*args, **options)

    monkeypatch.setattr(tokenizer, "load", chatty)
    status, out, err = run("tokenize", folder / "a.wav", "--json")
    assert status == 0 and json.loads(out) and "loading" in err


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_delegated_commands_explain_themselves(capsys, command):
    assert cli.main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert "--manifest" in out and "--json" in out


def test_delegated_results_are_printed(capsys, monkeypatch):
    from pairalign.training import train_command

    result = {"run": "r", "metrics": {"ned_pair": float("nan"), "n": 3}}
    monkeypatch.setattr(train_command, "run_from_args", lambda args: result)
    args = ["train", "--manifest", "x.csv", "--out", "r"]
    assert cli.main([*args, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"run": "r", "metrics": {"ned_pair": None, "n": 3}}
    assert cli.main(args) == 0
    assert "ned_pair" in capsys.readouterr().out


def test_help_is_quick_and_a_terminal_without_unicode_survives():
    code = "import sys; from pairalign.cli import build_parser; build_parser(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    command = [sys.executable, "-m", "pairalign", "tokenize", "a.wav", "--checkpoint", "n\u00f6"]
    done = subprocess.run(command, capture_output=True, env={"PYTHONIOENCODING": "ascii", "PATH": ""}, check=False)
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1 and b"'n\\xf6' names no checkpoint" in done.stderr
