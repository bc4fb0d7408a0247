"""What breaks under the program: killed writes, read-only and full disks, damaged and foreign files.

Everything ends in one readable line and nothing that was there is lost. Kills during ingest and training are in
tests/slow, and so is a disk that fills up while training.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from app.archives import Archives
from app.class_recordings import ClassRecordings
from app.services import Services
from app.training_runs import TrainingRuns
from pairalign import Archive, ArchiveError, CheckpointError
from pairalign.archive.store import Store
from pairalign.audio import read_audio, write_audio
from pairalign.checkpoint import read_checkpoint, save_checkpoint
from pairalign.cli import main
from pairalign.training.finetune_settings import FinetuneSettings
from tests.conftest import babble
from tests.unit.test_archive_store import filled

PROJECT = Path(__file__).resolve().parents[2]
SIZE = "6m"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("mount") is None or mount("-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)):
        pytest.skip("mounting a tmpfs needs Linux and root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def mount(*arguments: str) -> int:
    return subprocess.run(["mount", *arguments], capture_output=True).returncode


def make_read_only(folder: Path) -> None:
    assert mount("-o", "remount,ro", str(folder)) == 0


def make_full(folder: Path) -> None:
    with (folder / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


HARMS = {"read-only": make_read_only, "full": make_full}


@pytest.fixture(params=HARMS)
def harm(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    return HARMS[request.param]


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    write_audio(tmp_path / "word.wav", babble(1.0))
    return tmp_path / "word.wav"


def one_line(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """Run a command that must fail by the user's world, and give what it said."""
    assert main(arguments) == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1 and "Traceback" not in said
    return said


class TestDisks:
    def test_an_archive_keeps_what_it_has_and_can_still_be_searched(self, disk, harm, tiny_tokenizer, sound, capsys):
        path = disk / "talks.db"
        Archive.open(path, tiny_tokenizer, ("pairalign",)).add_files([sound])
        for k in range(12):
            write_audio(sound.parent / "more" / f"{k}.wav", babble(0.5, seed=k))
        harm(disk)
        checkpoint = str(PROJECT / "checkpoints" / "tiny.safetensors")
        said = one_line(
            capsys, ["index", str(sound.parent / "more"), "--archive", str(disk / "new.db"), "--checkpoint", checkpoint]
        )
        assert "new.db" in said and "Check its folder, the permissions and the free space" in said
        with pytest.raises(ArchiveError) as caught:
            Archive.open(path, tiny_tokenizer).add_files(sorted((sound.parent / "more").iterdir()), workers=1)
        assert "talks.db" in str(caught.value) and "\n" not in str(caught.value)
        archive = Archive.open(path, tiny_tokenizer, create=False)
        archive.store.check()
        assert archive.search(sound, top=1)[0].path == sound

    def test_a_class_keeps_its_takes(self, disk, harm, sound, monkeypatch):
        monkeypatch.setenv("PAIRALIGN_HOME", str(disk / "home"))
        classes = ClassRecordings()
        classes.create("words", "harbour\ngarden")
        classes.save_take("words", "anna", "harbour", str(sound))
        harm(disk)
        for act in (
            lambda: classes.create("more", "one"),
            lambda: classes.change_prompts("words", "\n".join(f"prompt {k} " + "x" * 180 for k in range(200))),
            lambda: classes.save_take("words", "ben", "garden", str(sound)),
        ):
            with pytest.raises(ValueError, match="cannot be saved in .* Make room on the disk"):
                act()
        found = classes.load("words")
        assert found.prompts == ("harbour", "garden") and [take.speaker for take in found.takes] == ["anna"]
        assert len(read_audio(classes.folder("words") / found.takes[0].file)) == 16_000

    def test_a_run_does_not_begin_and_leaves_nothing_behind(self, disk, harm, sound, monkeypatch):
        monkeypatch.setenv("PAIRALIGN_HOME", str(disk / "home"))
        (disk / "home").mkdir()
        harm(disk)
        monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
        settings = FinetuneSettings("mine", str(sound.parent), "tiny", device="cpu")
        with pytest.raises(ValueError, match="The run could not be started: .* Make room on the disk"):
            TrainingRuns().start(settings, [str(sound)])
        assert TrainingRuns().names() == [] and TrainingRuns().current() is None

    def test_a_checkpoint_stays_as_it_was(self, disk, harm, tiny_checkpoint):
        weights, sidecar = read_checkpoint(tiny_checkpoint)
        save_checkpoint(disk / "mine.safetensors", weights, sidecar)
        harm(disk)
        with pytest.raises(OSError):
            save_checkpoint(disk / "mine.safetensors", {k: v + 1 for k, v in weights.items()}, sidecar)
        kept, _ = read_checkpoint(disk / "mine.safetensors")
        assert all(torch.equal(kept[name], weights[name]) for name in weights)
        assert {path.name for path in disk.iterdir()} <= {"mine.safetensors", "mine.json", "filler"}

    def test_a_command_that_cannot_write_says_so_in_one_line(self, disk, harm, sound, monkeypatch, capsys):
        monkeypatch.setenv("PAIRALIGN_HOME", str(disk / "home"))
        harm(disk)
        said = one_line(capsys, ["finetune", "--manifest", str(sound.parent), "--name", "mine", "--init", "tiny"])
        assert "Make room on the disk" in said or "Choose a folder that can be written to" in said


def write_and_be_killed(path: Path, call: str, at: int) -> None:
    """In a child: it ends for good at the given call of a function of os, in the middle of writing a checkpoint."""
    weights, sidecar = read_checkpoint(path)
    changed = {name: value + 1 for name, value in weights.items()}
    child = os.fork()
    if not child:
        signal.alarm(30)
        calls, real = iter(range(1, 99)), getattr(os, call)
        setattr(os, call, lambda *args: os.kill(os.getpid(), signal.SIGKILL) if next(calls) == at else real(*args))
        save_checkpoint(path, changed, sidecar)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the writer is a forked process")
@pytest.mark.parametrize(("call", "at", "value"), [("fsync", 2, 0.0), ("replace", 1, 0.0), ("replace", 2, 1.0)])
def test_a_checkpoint_whose_writer_is_killed_is_the_old_one_or_the_new_one(tmp_path, call, at, value):
    path = tmp_path / "mine.safetensors"
    sidecar = {"architecture": {}, "features": {}, "vocab_size": 4}
    save_checkpoint(path, {"a": torch.zeros(3)}, sidecar)
    write_and_be_killed(path, call, at)
    assert len(os.listdir(tmp_path)) > 2, "something of the killed one is left"
    assert read_checkpoint(path)[0]["a"].tolist() == [value] * 3
    save_checkpoint(path, {"a": torch.ones(3) * 5}, sidecar)
    assert read_checkpoint(path)[0]["a"].tolist() == [5.0] * 3
    assert sorted(os.listdir(tmp_path)) == ["mine.json", "mine.safetensors"], "nothing is left of it now"


def damaged(path: Path) -> Path:
    data = bytearray(filled(path).path.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    path.write_bytes(data)
    return path


def truncated(path: Path) -> Path:
    data = filled(path).path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def foreign(path: Path) -> Path:
    return filled(path).path  # of another model than any that is installed


def no_database(path: Path) -> Path:
    path.write_bytes(b"no database at all" * 100)
    return path


class TestFiles:
    @pytest.mark.parametrize("make", [damaged, truncated, foreign, no_database])
    def test_an_archive_that_cannot_be_used_is_told_by_command_and_app(self, make, tmp_path, sound, capsys):
        path = make(tmp_path / "talks.db")
        before = path.read_bytes()
        checkpoint = str(PROJECT / "checkpoints" / "tiny.safetensors")
        words = "another|other|damaged|malformed|no archive|not of the one in use"
        said = one_line(capsys, ["search", str(sound), "--archive", str(path), "--checkpoint", checkpoint])
        assert "talks.db" in said and any(word in said for word in words.split("|"))
        with pytest.raises(ValueError, match=words) as caught:
            archives = Archives(Services(checkpoint, "cpu"))
            archives.add(str(path), [str(sound)])
        assert "\n" not in str(caught.value) and path.read_bytes() == before

    @pytest.mark.parametrize("harm", ["gone", "half", "foreign description"])
    def test_a_checkpoint_that_cannot_be_used_is_told_by_command_and_app(
        self, harm, tmp_path, tiny_checkpoint, sound, capsys
    ):
        path = tmp_path / "mine.safetensors"
        if harm != "gone":
            data = tiny_checkpoint.read_bytes()
            path.write_bytes(data[: len(data) // 2] if harm == "half" else data)
            described = tiny_checkpoint if harm == "half" else PROJECT / "checkpoints" / "base.safetensors"
            shutil.copy(described.with_suffix(".json"), path.with_suffix(".json"))
        said = one_line(capsys, ["tokenize", str(sound), "--checkpoint", str(path)])
        assert "mine.safetensors" in said
        with pytest.raises(CheckpointError, match="mine.safetensors"):
            Services(str(path), "cpu").tokenizer()
        services = Services(str(tiny_checkpoint), "cpu")
        services.tokenizer()
        with pytest.raises(CheckpointError):
            services.use(str(path))
        assert services.checkpoint == str(tiny_checkpoint), "the old one stays loaded"

    def test_one_damaged_run_does_not_stand_in_the_way_of_others(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PAIRALIGN_HOME", str(tmp_path / "home"))
        runs = tmp_path / "home" / "runs"
        for name, content in (("good", None), ("bad", "{"), ("worse", "[" * 100_000)):
            settings = FinetuneSettings(name, "recordings", "tiny")
            (runs / name).mkdir(parents=True)
            settings.save(runs / name)
            if content is not None:
                (runs / name / "settings.json").write_text(content)
        watched = TrainingRuns()
        assert watched.current() == "good" and sorted(watched.names()) == ["bad", "good", "worse"]
        with pytest.raises(ValueError, match="cannot be read"):
            watched.look("bad")
        watched.delete("bad")
        assert sorted(watched.names()) == ["good", "worse"]

    def test_a_store_survives_being_read_while_it_is_damaged(self, tmp_path):
        with pytest.raises(ArchiveError, match="damaged"):
            Store(damaged(tmp_path / "talks.db")).check()
