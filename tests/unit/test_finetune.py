"""Fine-tuning: clips and held-out ones, settings, safeguards, status, and the targets that the start writes itself."""

import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile
import torch

from pairalign import checkpoint, cli
from pairalign.home import home, inside
from pairalign.lock import exclusive
from pairalign.training import clips, finetune, safeguards
from pairalign.training.config import TrainConfig
from pairalign.training.corpora import read_manifest
from pairalign.training.finetune_settings import FinetuneSettings, read_settings
from pairalign.training.monitor import first_validation, read_log
from pairalign.training.result import chosen_weights, verdict
from pairalign.training.status import Status, read_status, write_status
from pairalign.training.watch import Watch
from pairalign.views import STRONG, scaled
from tests.conftest import babble

SETTINGS = FinetuneSettings("mine", "data")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "a b"}, {"name": "../up"}, {"minutes": 0}, {"minutes": float("nan")}, {"learning_rate": 1.0},
        {"wanted_rate_hz": 2.0}, {"device": "tpu"}, {"batch": 1}, {"keep_base": 2}, {"overrides": ("colour=red",)},
        {"data": ""}, {"view_strength": 9},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(wrong: dict):
    with pytest.raises(ValueError):
        replace(SETTINGS, **wrong)


def test_settings_come_back_and_reach_the_training_configuration(tmp_path: Path):
    chosen = replace(SETTINGS, learning_rate=3e-5, view_strength=0.5, batch=8, overrides=("contrast_weight=0",))
    chosen.save(tmp_path)
    assert read_settings(tmp_path) == chosen
    config = chosen.config(steps=200, rate_hz=10.5)
    assert (config.stage3_learning_rate, config.view_strength, config.string_batch) == (3e-5, 0.5, 8)
    assert (config.targets, config.wanted_rate_hz, config.encoder_rate_scale) == ("own", 10.5, 0.0)
    assert config.contrast_weight == 0 and config.total_steps == 200
    faster = replace(chosen, wanted_rate_hz=14.0).config(steps=200, rate_hz=10.5)
    assert (faster.targets, faster.wanted_rate_hz) == ("codes", 14.0)
    with pytest.raises(ValueError, match="targets"):
        TrainConfig(targets="stars")
    with pytest.raises(ValueError, match="no fine-tuning run"):
        read_settings(tmp_path / "nowhere")


def test_weaker_views_lie_inside_the_strong_ones():
    assert scaled(STRONG, 1.0) == STRONG
    half = scaled(STRONG, 0.5)
    assert half.speed == pytest.approx((0.95, 1.05)) and half.shift_ms == (0.0, 50.0)
    assert half.snr_db == (25.0, 37.5) and half.noise_share == pytest.approx(0.4)


def test_names_stay_inside_their_folder(tmp_path: Path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to("/")
    assert inside(root, "mine") == root / "mine"
    for wrong in ("..", "a/b", "", "a" * 65, "link", None, "é"):
        with pytest.raises(ValueError):
            inside(root, wrong)


def test_own_checkpoints_are_found_and_never_hide_a_shipped_one(tiny_checkpoint: Path):
    weights, sidecar = checkpoint.read_checkpoint(tiny_checkpoint)
    folder = checkpoint.own_checkpoints()
    try:
        for name in ("mine", "base"):
            checkpoint.save_checkpoint(folder / f"{name}.safetensors", weights, {**sidecar, "name": name})
        assert "mine" in checkpoint.available() and checkpoint.available().count("base") == 1
        assert checkpoint.resolve_checkpoint("mine").parent == folder
        assert checkpoint.resolve_checkpoint("base").parent == checkpoint.CHECKPOINT_DIR
        assert checkpoint.is_shipped("base") and not checkpoint.is_shipped("mine")
        for taken in ("mine", "Mine", "BASE"):
            with pytest.raises(ValueError, match="already a checkpoint"):
                finetune.new_run(replace(SETTINGS, name=taken))
    finally:
        for path in folder.glob("*"):
            path.unlink()


def test_a_result_that_is_no_better_is_told_so():
    def told(pair: float, separation: float, clips: int = 20) -> tuple[str, str]:
        after = {"ned_pair": {"value": pair}, "separation": {"value": separation}}
        report = {"before": {"ned_pair": {"value": 0.4}, "separation": {"value": 0.5}}, "after": after}
        report["data"] = {"held_out": clips}
        return verdict(report, SETTINGS, 10, Status("done", elapsed_s=60))

    assert "not better" not in told(0.35, 0.52)[0] and "Choose mine" in told(0.35, 0.52)[1]
    assert "chance" not in told(0.35, 0.52)[0] and "3 clips only" in told(0.35, 0.52, clips=3)[0]
    assert "not better" in told(0.35, 0.45)[0] and "More recordings" in told(0.45, 0.55)[1]


def test_the_last_weights_are_published_unless_they_are_worse_than_the_start(tiny_checkpoint: Path, tmp_path: Path):
    weights, sidecar = checkpoint.read_checkpoint(tiny_checkpoint)

    def chosen(start: float, diverged: bool = False, **kept: tuple[int, float]) -> tuple[str | None, int]:
        folder = tmp_path / f"{start}-{diverged}-{len(kept)}"
        folder.mkdir()
        (folder / "log.jsonl").write_text(json.dumps({"event": "validation", "separation": start}))
        for name, (steps, separation) in kept.items():
            told = {"recipe": {"steps": steps}, "metrics": {"validation": {"separation": separation}}}
            checkpoint.save_checkpoint(folder / f"{name}.safetensors", weights, {**sidecar, **told})
        path, step = chosen_weights(folder, diverged)
        return path and path.stem, step

    assert chosen(0.45, best=(5, 0.6), latest=(20, 0.5)) == ("latest", 20), "the best of some may be so by chance"
    assert chosen(0.55, best=(5, 0.6), latest=(20, 0.5)) == ("best", 5)
    assert chosen(0.45, diverged=True, best=(5, 0.6), latest=(20, 0.5)) == ("best", 5)
    assert chosen(0.55, latest=(20, 0.5)) == ("latest", 20)
    assert chosen(0.65, diverged=True, latest=(20, 0.5)) == (None, 0)


def test_home_follows_the_environment(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("PAIRALIGN_HOME", str(tmp_path))
    assert home() == tmp_path and finetune.runs_folder() == tmp_path / "runs"
    monkeypatch.delenv("PAIRALIGN_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert home() == tmp_path / "data" / "pairalign"


def test_the_whole_run_in_one_process(recordings: Path, tiny_checkpoint: Path, monkeypatch):
    chosen = FinetuneSettings(
        "whole", str(recordings), str(tiny_checkpoint), minutes=5, batch=3, device="cpu", licence="mine",
        keep_base=0.5, overrides=("autocast=false", "max_s=1.0", "consensus_views=1"),
    )  # fmt: skip
    monkeypatch.setattr(finetune, "step_seconds", lambda job: 15.0)  # 20 steps, however busy the machine
    folder = finetune.new_run(chosen)
    try:
        told = finetune.finetune(folder)
        assert (told.state, told.checkpoint, told.step) == ("done", "whole", 20), told
        assert [note.split(" ")[0] for note in told.notes] == ["broken.wav", "nan.wav"]
        weights, sidecar = checkpoint.read_checkpoint("whole")
        start, _ = checkpoint.read_checkpoint(tiny_checkpoint)
        assert torch.equal(weights["codebook.codes"], start["codebook.codes"]), "the codes stay"
        assert torch.equal(weights["encoder.project.weight"], start["encoder.project.weight"])
        assert not torch.equal(weights["decoder.output.weight"], start["decoder.output.weight"])
        assert sidecar["recipe"]["started_from"]["name"] == "tiny" and sidecar["data"]["licences"] == "mine"
        assert {"ned_pair", "separation", "condition_gain"} <= sidecar["metrics"]["after"].keys()
        report = json.loads((folder / "report.json").read_text())
        assert len(report["examples_before"]) == len(report["examples_after"]) > 0
        assert not (folder / "state.safetensors").exists(), "only what is needed is kept"
    finally:
        for path in checkpoint.own_checkpoints().glob("whole.*"):
            path.unlink()


def test_what_breaks_while_training_ends_in_a_clear_state(recordings: Path, tiny_checkpoint: Path, monkeypatch):
    chosen = FinetuneSettings(
        "breaks", str(recordings), str(tiny_checkpoint), batch=3, device="cpu", overrides=("consensus_views=1",)
    )
    monkeypatch.setattr(finetune, "step_seconds", lambda job: 1.0)
    folder = finetune.new_run(chosen)
    for error, said, advised in (
        (torch.OutOfMemoryError("CUDA out of memory"), "memory of this device", "batch of 2"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk is full", "Resume"),
        (KeyError("bug"), "on our side", "output.log"),
        (safeguards.DivergedError("not finite"), "got worse", "3e-05"),
    ):

        def fail(*_: object, error: Exception = error) -> dict:
            raise error

        monkeypatch.setattr(finetune, "train", fail)
        told = finetune.finetune(folder)
        assert (told.state, told.checkpoint) == ("failed", ""), told
        assert said in told.message and advised in told.advice
        assert read_status(folder).state == "failed"
    (folder / "stop").touch()  # of an earlier session: does not end this one
    monkeypatch.setattr(finetune, "train", lambda *_: {"ended": "signal"})
    assert finetune.finetune(folder).state == "stopped"
    assert "breaks" not in checkpoint.available()


def test_validation_ends_a_run_that_gets_worse_only_where_it_can_tell():
    def judged(sure: bool, separations: list[float], start: float | None = None) -> list[str]:
        watch = Watch(lambda **changes: None, lambda: False, 100, sure, start)
        return [watch.judge({"separation": value, "step": k}) for k, value in enumerate(separations)]

    assert judged(True, [0.5, 0.3, 0.3]) == ["", "", "diverged"]
    assert judged(False, [0.5, 0.3, 0.3]) == ["", "", ""], "two clips do not tell"
    assert judged(True, [0.5, *[0.45] * 6]) == [""] * 7, "a little worse may be chance"
    assert judged(True, [0.3, 0.3], start=0.5) == ["", "diverged"], "a resumed run knows what it began with"


def test_what_a_run_began_with_is_found_in_a_log_that_was_cut_off(tmp_path: Path):
    log = tmp_path / "log.jsonl"
    assert first_validation(log) == {}
    log.write_text(
        '{"step": 0, "event": "start"}\n{"step": 0, "event": "validation", "separation": 0.5}\n'
        '{"step": 9, "event": "validation", "separation": 0.4}\n{"step": 1'
    )
    assert first_validation(log)["separation"] == 0.5 and len(read_log(log)) == 3


def test_a_name_that_is_no_text_is_used_and_told_in_characters(tmp_path: Path):
    data, folder = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    for k in range(6):
        soundfile.write(data / f"{k}.wav", babble(3.0, seed=k), 16_000)
    os.rename(data / "5.wav", os.fsencode(data) + b"/\xff\n.wav")
    Path(os.fsdecode(os.fsencode(data) + b"/\xfe.wav")).write_bytes(b"RIFFjunk" * 40)
    found = clips.make_clips(data, folder / "clips")
    assert found.recordings == 6 and [name for name, _ in found.skipped] == ["?.wav"]
    listed = (folder / "clips" / "manifest.csv").read_text(encoding="utf-8")
    assert "??.wav" in listed and len(read_manifest(folder / "clips")) == found.clips
    odd = Status("failed", "\udcff is lost", notes=("\udcff.wav was left out",))
    write_status(folder, odd)
    assert read_status(folder).message == "? is lost" and read_status(folder).notes == ("?.wav was left out",)
    replace(SETTINGS, data=os.fsdecode(b"/tmp/\xff")).save(folder)
    assert read_settings(folder).data == "/tmp/\udcff", "a path comes back as it was"


def run_command(name: str, data: Path, init: Path, *more: str) -> int:
    return cli.main(["finetune", "--manifest", str(data), "--name", name, "--init", str(init), "--json", *more])


def test_a_start_that_is_refused_or_fails_leaves_the_name_free(
    recordings: Path, tiny_checkpoint: Path, tmp_path: Path, capsys, monkeypatch
):
    folder = finetune.runs_folder() / "free"
    with exclusive(finetune.lock_file(), "another run"):
        assert run_command("free", recordings, tiny_checkpoint) == cli.EXIT_USER
    assert "another run" in capsys.readouterr().err and not folder.exists()
    little = tmp_path / "little"
    little.mkdir()
    soundfile.write(little / "0.wav", babble(3.0), 16_000)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "own.txt").write_text("mine")
    for out in (folder, tmp_path / "kept"):
        for _ in range(2):  # the second one finds what the first has left
            assert run_command("free", little, tiny_checkpoint, "--out", str(out)) == cli.EXIT_USER
            assert "3 s of sound in 1 clips" in capsys.readouterr().err.splitlines()[-1]
    assert (tmp_path / "kept" / "own.txt").read_text() == "mine", "a run removes its own files only"

    def fail(*_: object) -> dict:
        raise KeyError("bug")

    monkeypatch.setattr(finetune, "step_seconds", fail)
    assert run_command("free", recordings, tiny_checkpoint, "--device", "cpu") == cli.EXIT_OURS, "a bug is ours"
    told = capsys.readouterr()
    assert "Something failed on our side" in told.err.splitlines()[-1] and not told.out
    assert finetune.new_run(replace(SETTINGS, name="free", init=str(tiny_checkpoint))) == folder
    write_status(folder, Status("stopped", step=3))
    for taken in ("free", "Free"):
        with pytest.raises(ValueError, match="already a run 'free'"):
            finetune.new_run(replace(SETTINGS, name=taken, init=str(tiny_checkpoint)))
    shutil.rmtree(folder)


def test_a_run_that_another_one_keeps_from_starting_says_so(tiny_checkpoint: Path):
    folder = finetune.new_run(replace(SETTINGS, name="waits", init=str(tiny_checkpoint)))
    write_status(folder, Status("starting"))
    with exclusive(finetune.lock_file(), "another run"), pytest.raises(ValueError, match="another run"):
        finetune.finetune(folder)
    assert read_status(folder).state == "failed" and "another run" in read_status(folder).message
    shutil.rmtree(folder)
