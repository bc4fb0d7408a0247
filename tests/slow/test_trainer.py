"""The real trainer on synthetic speech: killed and resumed, stopped, in two processes, and with each mechanism off."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import pairalign
from pairalign.audio import write_audio
from pairalign.training.config import TrainConfig, parse_overrides
from pairalign.training.trainer import Job, train
from tests.conftest import babble

pytestmark = pytest.mark.slow
PROJECT = Path(__file__).resolve().parents[2]
SMALL = {
    "preset": "tiny", "augmentation_batch": 4, "realization_batch": 4, "string_batch": 4, "max_s": 1.2, "threads": 1,
    "warmup_steps": 2, "validate_every": 5, "validation_segments": 4, "autocast": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve recordings by four speakers, with a manifest and word times."""
    folder = tmp_path_factory.mktemp("corpus")
    rows, words = [], []
    for k in range(12):
        name = f"utterance{k}.wav"
        write_audio(folder / name, babble(2.0, seed=k))
        rows.append({"path": name, "split": "dev" if k % 4 == 3 else "train", "speaker": f"speaker{k % 4}"})
        words += [
            {"path": name, "start_s": 0.3 + 0.5 * j, "end_s": 0.7 + 0.5 * j, "word": f"word{j}"} for j in range(3)
        ]
    for name, table in (("manifest.csv", rows), ("words.csv", words)):
        with (folder / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, table[0].keys())
            writer.writeheader()
            writer.writerows(table)
    return folder


def job(corpus: Path, out: Path, **changes: object) -> Job:
    options = {k: changes.pop(k) for k in ("resume", "max_minutes", "init", "words", "lexicon") if k in changes}
    steps = {"stage1_steps": 4, "stage2_steps": 4, "stage3_steps": 4}
    return Job(corpus / "manifest.csv", out, TrainConfig(**{**SMALL, **steps, **changes}), **options)


def command(corpus: Path, out: Path, *extra: str) -> list[str]:
    overrides = [x for k, v in SMALL.items() if k != "preset" for x in ("--set", f"{k}={v}")]
    return [
        "-m", "pairalign", "train", "--manifest", str(corpus / "manifest.csv"), "--words", str(corpus / "words.csv"),
        "--out", str(out), "--preset", "tiny", "--steps", "6,5,5", "--device", "cpu", "--json", *overrides, *extra,
    ]  # fmt: skip


def run(arguments: list[str], timeout_s: float = 240) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments], cwd=PROJECT, capture_output=True, text=True, timeout=timeout_s, check=False
    )


def log_of(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def wait_for_step(out: Path, step: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        try:
            from safetensors import safe_open

            with safe_open(out / "state.safetensors", "pt") as file:
                if json.loads(file.metadata()["progress"])["step"] >= step:
                    return
        except (OSError, ValueError, TypeError, RuntimeError):
            pass  # not there yet, or replaced while it was opened
        time.sleep(0.02)
    raise AssertionError(f"the run never reached step {step}: {process.communicate()}")


def test_killed_and_resumed_training_gives_the_weights_of_an_unbroken_run(corpus: Path, tmp_path: Path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    every_step = ["--set", "save_every_s=0"]
    finished = run(command(corpus, whole, *every_step))
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout)["steps"] == 16
    for step in (int(torch.randint(1, 6, ())), int(torch.randint(7, 15, ()))):
        extra = ["--resume"] if (broken / "state.safetensors").exists() else []
        process = subprocess.Popen(
            [sys.executable, *command(corpus, broken, *every_step, *extra)],
            cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        wait_for_step(broken, step, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    resumed = run(command(corpus, broken, *every_step, "--resume"))
    assert resumed.returncode == 0, resumed.stderr
    a, b = (load_file(out / "latest.safetensors") for out in (whole, broken))
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    steps = [e["step"] for e in log_of(broken) if e["event"] == "step"]
    assert steps == sorted(set(steps))
    assert len(pairalign.load(broken / "latest.safetensors", "cpu").tokenize(babble(1.0))) >= 1


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_exits_with_zero(corpus: Path, tmp_path: Path, which: signal.Signals):
    out = tmp_path / "stopped"
    process = subprocess.Popen(
        [sys.executable, *command(corpus, out, "--steps", "5000,1,1", "--set", "save_every_s=0")],
        cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for_step(out, 2, process)
    process.send_signal(which)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    told = json.loads(stdout)
    assert 2 <= told["steps"] < 5000 and Path(told["checkpoint"]).is_file()


def test_two_processes_train_together(corpus: Path, tmp_path: Path):
    out = tmp_path / "pair"
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29571"]
    done = run([*launcher, *command(corpus, out, "--steps", "2,2,2")])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 6  # one process speaks for both
    events = log_of(out)
    assert events[0]["world"] == 2
    assert [e["step"] for e in events if e["event"] == "end"] == [6]
    pairalign.load(out / "latest.safetensors", "cpu")


def test_losses_fall_on_a_corpus_this_small(corpus: Path, tmp_path: Path):
    out = tmp_path / "learning"
    train(job(corpus, out, stage1_steps=40, stage2_steps=150, stage3_steps=0, learning_rate=3e-3, validate_every=500))
    steps = [e for e in log_of(out) if e["event"] == "step"]
    frame = [e["frame_loss"] for e in steps if e["stage"] == 1]
    entropy = [e["cross_entropy"] for e in steps if e["stage"] == 2]
    assert sum(frame[-2:]) < 0.9 * sum(frame[:2])
    assert sum(entropy[-3:]) < 0.85 * sum(entropy[:3])


@pytest.mark.parametrize(
    "change",
    [
        {"teacher_targets": False, "column_contrast": False}, {"cross_paired": False, "length_control": "none"},
        {"prefix_corruption": 0.0, "length_control": "random"},
        {"contrast_weight": 0.0, "length_control": "likelihood"},
        {"guide_weight": 0.0, "onset_weight": 0.0, "encoder_rate_scale": 0.2},
        {"bridge_floor": 0.0, "length_guard": 0.0, "max_s": 0.7, "min_s": 0.5}, {"autocast": True},
    ],
)  # fmt: skip
def test_every_mechanism_can_be_switched(corpus: Path, tmp_path: Path, change: dict):
    result = train(job(corpus, tmp_path / "run", stage1_steps=1, stage2_steps=1, stage3_steps=2, **change))
    assert result["steps"] == 4
    assert {"condition_gain", "separation", "vq_separation", "viterbi_separation", "eos_rate"} <= result[
        "metrics"
    ].keys()


def test_fine_tuning_starts_from_the_checkpoint(corpus: Path, tmp_path: Path):
    first = train(job(corpus, tmp_path / "first", stage1_steps=2, stage2_steps=1, stage3_steps=0))
    second = train(
        job(corpus, tmp_path / "second", stage1_steps=0, stage2_steps=0, stage3_steps=1, init=first["checkpoint"])
    )
    a, b = (load_file(r["checkpoint"]) for r in (first, second))
    assert torch.equal(a["codebook.codes"], b["codebook.codes"])
    assert torch.equal(a["encoder.project.weight"], b["encoder.project.weight"])  # frozen by default in stage III
    assert not torch.equal(a["decoder.output.weight"], b["decoder.output.weight"])


def test_time_limit_stops_and_saves(corpus: Path, tmp_path: Path):
    result = train(job(corpus, tmp_path / "run", stage1_steps=5000, max_minutes=0.02))
    assert 0 < result["steps"] < 5000
    assert (tmp_path / "run" / "state.safetensors").is_file()


@pytest.fixture(scope="module")
def lexicon(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lexicon") / "lexicon.txt"
    path.write_text("WORD0  AH B\nWORD1  B AH1\nWORD2  K AH0\n")
    return path


def test_phones_of_a_lexicon_are_learned(corpus: Path, lexicon: Path, tmp_path: Path):
    result = train(job(corpus, tmp_path, stage1_steps=10, words=corpus / "words.csv", lexicon=lexicon))
    told = [entry for entry in log_of(tmp_path) if "phone_loss" in entry]
    assert told and all(entry["stage"] == 1 for entry in told)
    tok = pairalign.load(result["checkpoint"])
    assert tok.model.config.phones == ("SIL", "AH", "B", "K") and tok.sidecar["data"]["lexicon_used"]


def test_another_vocabulary_on_a_trained_encoder(corpus: Path, tmp_path: Path):
    first = train(job(corpus, tmp_path / "first", stage2_steps=0, stage3_steps=0))["checkpoint"]
    steps = {"stage1_steps": 0, "stage2_steps": 1, "stage3_steps": 0}
    second = train(job(corpus, tmp_path / "second", init=first, codes=16, **steps))["checkpoint"]
    before, after = pairalign.load(first).model, pairalign.load(second).model
    assert after.config.codes == 16 and after.codebook.codes.shape[0] == 16
    assert all(torch.equal(a, b) for a, b in zip(before.encoder.parameters(), after.encoder.parameters(), strict=True))
    third = train(job(corpus, tmp_path / "third", init=second, codes=16, **steps))["checkpoint"]
    assert torch.equal(after.codebook.codes, pairalign.load(third).model.codebook.codes)  # the same size: kept
    with pytest.raises(ValueError, match="new vocabulary"):
        train(job(corpus, tmp_path / "fourth", init=second, codes=8, **{**steps, "stage2_steps": 0, "stage3_steps": 1}))


def test_mistakes_are_told(corpus: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="nothing to resume"):
        train(job(corpus, tmp_path / "none", resume=True))
    out = tmp_path / "run"
    train(job(corpus, out, stage1_steps=1, stage2_steps=0, stage3_steps=0))
    with pytest.raises(ValueError, match="already holds a run"):
        train(job(corpus, out))
    with pytest.raises(ValueError, match="learning_rate"):
        train(job(corpus, out, stage1_steps=1, stage2_steps=0, stage3_steps=0, learning_rate=1.0, resume=True))
    with pytest.raises(ValueError, match="words"):
        words = corpus / "words.csv"
        train(job(corpus, out, stage1_steps=1, stage2_steps=0, stage3_steps=0, words=words, resume=True))
    (out / "state.safetensors").write_bytes(b"rubbish")
    with pytest.raises(ValueError, match="damaged"):
        train(job(corpus, out, stage1_steps=1, stage2_steps=0, stage3_steps=0, resume=True))
    for wrong in (["codes"], ["colour=3"], ["codes=many"], ["teacher_targets=perhaps"]):
        with pytest.raises(ValueError, match="--set"):
            parse_overrides(wrong)
    nonsense = {"validate_every": 0, "contrast_strings": 0, "learning_rate": float("nan"), "codes": 1}
    for bad in (
        *({k: v} for k, v in nonsense.items()),
        {"length_control": "luck"},
        {"preset": "huge"},
        {"string_batch": 1},
        {"max_s": 60.0},
    ):
        with pytest.raises(ValueError, match=next(iter(bad))):
            TrainConfig(**bad)
    process = run(["-m", "pairalign", "train", "--manifest", str(tmp_path / "no.csv"), "--out", str(tmp_path / "x")])
    assert process.returncode == 2 and "Traceback" not in process.stderr
    assert os.linesep.join(process.stderr.splitlines()[-1:]).startswith("pairalign:")
