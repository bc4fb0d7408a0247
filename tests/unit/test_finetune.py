"""Fine-tuning: clips and held-out ones, settings, safeguards, status, and the targets that the start writes itself."""

import errno
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from pairalign import checkpoint
from pairalign.home import home, inside
from pairalign.lock import LockedError, exclusive, holder
from pairalign.model.loading import load_model
from pairalign.training import clips, finetune, own_strings, safeguards, status
from pairalign.training.bank import load_bank
from pairalign.training.bridge import BRIDGE_FILE
from pairalign.training.config import TrainConfig
from pairalign.training.corpora import DataError, read_manifest
from pairalign.training.finetune_settings import FinetuneSettings, read_settings
from pairalign.training.monitor import first_validation, read_log
from pairalign.training.own_strings import make_own_bridge, said_by_several
from pairalign.training.result import chosen_weights, verdict
from pairalign.training.run import Run
from pairalign.training.status import Status, read_status, write_status
from pairalign.training.watch import Watch
from pairalign.views import STRONG, scaled
from tests.conftest import babble

SETTINGS = FinetuneSettings("mine", "data")


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Four recordings of 5 s by two speakers, one of them unreadable and one full of NaN besides."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    rows = ["path,speaker,transcript"]
    for k in range(4):
        soundfile.write(folder / f"{k}.wav", babble(5.0, seed=k), 16_000)
        rows.append(f"{k}.wav,speaker{k % 2},text {k}")
    (folder / "broken.wav").write_bytes(b"RIFF but no sound" * 20)
    soundfile.write(folder / "nan.wav", np.full(32_000, np.nan, np.float32), 16_000, subtype="FLOAT")
    rows += ["broken.wav,speaker0,", "nan.wav,speaker1,"]
    (folder / "manifest.csv").write_text("\n".join(rows))
    return folder


def test_clips_are_cut_held_out_and_bad_files_named(recordings: Path, tmp_path: Path):
    found = clips.make_clips(recordings, tmp_path / "clips")
    assert found.recordings == 4 and found.speakers == ("speaker0", "speaker1")
    assert [name for name, _ in found.skipped] == ["broken.wav", "nan.wav"]
    assert "NaN" in dict(found.skipped)["nan.wav"]
    assert found.train_s + found.held_out_s == pytest.approx(20.0, abs=0.1)
    utterances = read_manifest(tmp_path / "clips")
    assert all(u.duration_s <= clips.LONGEST_CLIP_S for u in utterances)
    held = [u for u in utterances if u.split == "dev"]
    assert len(held) == found.held_out >= 2 and {u.speaker for u in held} == {"speaker0", "speaker1"}


def test_one_recording_is_held_out_by_time(tmp_path: Path):
    soundfile.write(tmp_path / "talk.wav", babble(40.0), 16_000)
    clips.make_clips(tmp_path, tmp_path / "clips")
    splits = [u.split for u in read_manifest(tmp_path / "clips" / "manifest.csv")]
    assert splits == sorted(splits, reverse=True), "train first, then dev: the end of the recording"
    assert splits.count("dev") >= 2


def test_too_little_says_how_much_is_needed(tmp_path: Path):
    data = tmp_path / "data"
    data.mkdir()
    soundfile.write(data / "short.wav", babble(6.0), 16_000)
    with pytest.raises(DataError, match=r"6 s of sound .* at least 15 s"):
        clips.make_clips(data, tmp_path / "clips")
    soundfile.write(data / "short.wav", np.full(32_000, np.nan, np.float32), 16_000, subtype="FLOAT")
    with pytest.raises(DataError, match="None of the 1 recordings"):
        clips.make_clips(data, tmp_path / "clips")


def test_cuts_are_made_where_it_is_quiet():
    wave = babble(9.0)
    wave[48_000:51_200] = 0.0  # a pause from 3.0 to 3.2 s
    first, second = clips.cut_places(wave)[:2]
    assert 48_000 <= first[1] <= 51_200 and second[0] == first[1]
    assert clips.cut_places(wave)[-1][1] == len(wave)


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


def test_status_survives_a_full_disk_and_rubbish(tmp_path: Path, monkeypatch):
    write_status(tmp_path, Status("running", step=3))
    real = status.atomic_write_json

    def full_at_first(path, content):
        if (tmp_path / status.RESERVE_FILE).exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, content)

    monkeypatch.setattr(status, "atomic_write_json", full_at_first)
    write_status(tmp_path, Status("failed", "The disk is full."))
    assert read_status(tmp_path).message == "The disk is full."
    for rubbish in ("", "[]", '{"state": "flying"}', '{"state": 3}'):
        (tmp_path / status.STATUS_FILE).write_text(rubbish)
        assert read_status(tmp_path) is None


def test_the_lock_tells_who_holds_it_and_goes_with_the_holder(tmp_path: Path):
    path = tmp_path / "lock"
    assert holder(path) is None
    with exclusive(path, "run one"):
        assert holder(path) == "run one"
        with pytest.raises(LockedError, match="run one"), exclusive(path, "run two", wait_s=0.1):
            pass
    assert holder(path) is None
    with exclusive(path, "run two"):
        assert holder(path) == "run two"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk is full"),
        (torch.OutOfMemoryError("CUDA out of memory"), "batch of 24"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "batch of 24"),
        (safeguards.DivergedError("not finite"), "got worse"),
        (DataError("Only 2 clips."), "Only 2 clips."),
        (KeyError("x"), "on our side"),
    ],
)
def test_every_trouble_has_words_and_a_next_step(error: Exception, said: str):
    trouble = safeguards.explain(error, SETTINGS, Path("run"))
    assert said in trouble.message
    assert trouble.advice or isinstance(error, DataError)
    assert trouble.ours == isinstance(error, KeyError)


def test_a_rising_loss_is_noticed_and_a_noisy_one_is_not():
    rng = np.random.default_rng(0)
    calm, rising = safeguards.RisingLoss(), safeguards.RisingLoss()
    assert not any(calm(3 + rng.normal(0, 0.5)) for _ in range(300))
    assert any(rising(3 + 0.05 * k) for k in range(200))


def test_room_is_looked_for_before_the_start(tmp_path: Path):
    safeguards.require_space(tmp_path, 1_000)
    with pytest.raises(OSError) as caught:
        safeguards.require_space(tmp_path, 10**15)
    assert caught.value.errno == errno.ENOSPC


def _run(folder: Path, init: Path, **changes: object) -> Run:
    bank = load_bank(read_manifest(folder))
    model, _ = load_model(init)
    config = TrainConfig(**{"preset": "tiny", "consensus_views": 3, "targets": "own", **changes})
    return Run(config, model, model, bank, list(range(len(bank.utterances))), None)


def test_own_strings_are_what_the_start_writes(recordings: Path, tmp_path: Path, tiny_checkpoint: Path, tiny_tokenizer):
    clips.make_clips(recordings, tmp_path / "clips")
    run = _run(tmp_path / "clips", tiny_checkpoint, consensus_views=1)
    bridge = make_own_bridge(run, tiny_tokenizer)
    for item in run.items:
        string = tiny_tokenizer.tokenize(run.bank.wave(item))
        assert tuple(bridge.ids[item]) == string.ids
        assert bridge.edges[item][0] == round(50 * string.spans_s[0][0])
        assert len(bridge.edges[item]) == len(string.ids) + 1


def test_speakers_of_the_same_words_share_a_string(tmp_path: Path, tiny_checkpoint: Path, tiny_tokenizer):
    rows = ["path,speaker,transcript"]
    for k, speaker in enumerate(("ann", "ben", "cem", "ann")):
        soundfile.write(tmp_path / f"{k}.wav", babble(1.5 + 0.2 * k, seed=k), 16_000)
        rows.append(f"{k}.wav,{speaker},{'harbour' if k < 3 else 'garden'}")
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    run = _run(tmp_path, tiny_checkpoint)
    assert said_by_several(run.bank, run.items) == [[0, 1, 2]]
    bridge = make_own_bridge(run, tiny_tokenizer)
    assert tuple(bridge.ids[0]) == tuple(bridge.ids[1]) == tuple(bridge.ids[2])
    for item in range(3):
        edges = bridge.edges[item]
        assert (np.diff(edges) >= 0).all() and edges[-1] <= 50 * run.bank.durations_s[item] + 1
    apart = make_own_bridge(_run(tmp_path, tiny_checkpoint, share_words=False), tiny_tokenizer)
    assert len({tuple(apart.ids[item]) for item in range(3)}) > 1


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
        with pytest.raises(ValueError, match="already a checkpoint"):
            finetune.new_run(SETTINGS)
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


def test_stop_is_noticed_while_the_strings_to_learn_are_written(
    recordings: Path, tiny_checkpoint: Path, tmp_path: Path, monkeypatch
):
    monkeypatch.setenv("PAIRALIGN_HOME", str(tmp_path / "home"))
    chosen = FinetuneSettings("stops", str(recordings), init=str(tiny_checkpoint), device="cpu", batch=2)
    folder = finetune.new_run(chosen)
    write = own_strings._write

    def write_and_ask(*given: object) -> list:
        (folder / "stop").touch()
        return write(*given)

    monkeypatch.setattr(own_strings, "GROUP", 2)
    monkeypatch.setattr(own_strings, "_write", write_and_ask)
    assert finetune.finetune(folder).state == "stopped"
    assert not (folder / BRIDGE_FILE).exists()
