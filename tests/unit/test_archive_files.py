"""Whatever is done to files, after the next index every recording of the archive fits its file, and nothing is lost."""

import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest

from pairalign import Archive, ArchiveError
from pairalign.archive import file_state
from pairalign.archive.scan import find_recordings
from pairalign.training.corpora import DataError
from tests.unit.archive_help import DecodersHere, ReadingTokenizer, clip, number_of, write_clip

GARBAGE = b"this is no recording " * 460  # as long as a clip, nearly
SAME_TIME = (1_700_000_000, 1_700_000_000)


@pytest.fixture(autouse=True)
def decoders_here(monkeypatch):
    monkeypatch.setattr("pairalign.archive.ingest.Decoders", DecodersHere)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Three clips: 1, 2 and 3."""
    for k in (1, 2, 3):
        write_clip(tmp_path / "talks" / f"{k}.wav", k)
    return tmp_path / "talks"


@pytest.fixture
def archive(tmp_path) -> Archive:
    return Archive.open(tmp_path / "a.db", ReadingTokenizer())


def held(archive: Archive) -> dict[str, int]:
    """Which clip the archive has for each file."""
    return {r.path.name: number_of(archive.string(r.id).ids) for r in archive.recordings()}


def same_times(folder: Path) -> None:
    """Files that a copy or a coarse clock gave one time of change: neither it nor the size tells them apart."""
    for path in folder.rglob("*.wav"):
        if path.is_file():
            os.utime(path, SAME_TIME)


class TestFilesThatChange:
    def test_two_files_change_their_names(self, archive, folder):
        archive.add_folder(folder)
        (folder / "1.wav").rename(folder / "x")
        (folder / "2.wav").rename(folder / "1.wav")
        (folder / "x").rename(folder / "2.wav")
        report = archive.add_folder(folder)
        assert held(archive) == {"1.wav": 2, "2.wav": 1, "3.wav": 3}
        assert (report.recordings, report.known, report.moved, report.removed) == (0, 3, 2, ())
        hit = archive.search(folder / "1.wav", top=1)[0]
        assert (hit.path, hit.distance) == (folder / "1.wav", 0)

    def test_a_file_gets_the_content_of_another_one(self, archive, folder):
        archive.add_folder(folder)
        shutil.copy(folder / "2.wav", folder / "1.wav")
        report = archive.add_folder(folder)
        assert held(archive) == {"2.wav": 2, "3.wav": 3}
        assert (report.known, report.moved, report.removed) == (3, 0, (str(folder / "1.wav"),))

    def test_a_copy_takes_over_where_the_first_one_changes_or_goes(self, archive, folder):
        shutil.copy(folder / "1.wav", folder / "copy.wav")
        archive.add_folder(folder)
        write_clip(folder / "1.wav", 9)
        archive.add_folder(folder)
        assert held(archive) == {"1.wav": 9, "copy.wav": 1, "2.wav": 2, "3.wav": 3}
        shutil.copy(folder / "2.wav", folder / "twin.wav")
        (folder / "2.wav").unlink()
        archive.add_folder(folder)
        assert held(archive)["twin.wav"] == 2 and "2.wav" not in held(archive)

    def test_a_change_that_keeps_size_and_time(self, archive, folder):
        same_times(folder)
        archive.add_folder(folder)
        write_clip(folder / "1.wav", 7)
        same_times(folder)
        assert archive.add_folder(folder).replaced == 1
        assert held(archive) == {"1.wav": 7, "2.wav": 2, "3.wav": 3}

    def test_what_is_no_recording_any_more_is_taken_out(self, archive, folder):
        archive.add_folder(folder)
        (folder / "1.wav").write_bytes(GARBAGE)
        report = archive.add_folder(folder)
        assert held(archive) == {"2.wav": 2, "3.wav": 3}
        assert report.removed == (str(folder / "1.wav"),) == (report.skipped[0].path,)

    def test_what_was_emptied_is_taken_out(self, archive, folder):
        archive.add_folder(folder)
        (folder / "1.wav").write_bytes(b"")
        assert archive.add_folder(folder).removed == (str(folder / "1.wav"),)
        assert held(archive) == {"2.wav": 2, "3.wav": 3}

    def test_a_single_file_that_took_the_place_of_one_elsewhere(self, archive, folder, tmp_path):
        archive.add_folder(folder)
        (folder / "2.wav").rename(tmp_path / "moved.wav")
        write_clip(folder / "2.wav", 8)  # what the archive thinks to be clip 2
        archive.add_files([tmp_path / "moved.wav"])
        assert held(archive) == {"1.wav": 1, "moved.wav": 2, "3.wav": 3}

    def test_a_folder_by_another_name(self, archive, folder, tmp_path):
        (tmp_path / "link").symlink_to(folder)
        archive.add_folder(tmp_path / "link")
        write_clip(folder / "1.wav", 5)
        archive.add_folder(folder)
        assert held(archive) == {"1.wav": 5, "2.wav": 2, "3.wav": 3}
        assert len(archive.recordings()) == 3

    def test_a_moved_folder_is_followed_and_said_to_be_away_until_then(self, archive, folder, tmp_path):
        archive.add_folder(folder)
        folder.rename(tmp_path / "elsewhere")
        assert len(archive.missing()) == 3
        assert archive.search(clip(1), top=1)[0].missing
        assert archive.add_folder(tmp_path / "elsewhere").moved == 3
        assert not archive.missing() and not archive.search(clip(1), top=1)[0].missing

    @pytest.mark.parametrize("seed", range(12))
    def test_any_row_of_operations(self, archive, tmp_path, seed):
        rng = np.random.default_rng(seed)
        folder = tmp_path / "any"
        names = [folder / "a.wav", folder / "b.wav", folder / "A.wav", folder / "sub" / "c.wav", folder / "d [1].wav"]
        write_clip(names[0], 0)
        write_clip(names[3], 1)
        for _ in range(5):
            for _ in range(rng.integers(1, 5)):
                operate(rng, names)
            same_times(folder)
            write_clip(folder / "sub" / "last.wav", int(rng.integers(8)))  # there is always one
            listing = find_recordings(folder)
            report = archive.add_folder(folder)
            assert report.recordings + report.known + len(report.skipped) == len(listing.paths)
            check_fits(archive, listing.paths)


def operate(rng: np.random.Generator, names: list[Path]) -> None:
    """One of the things that people and programs do to files."""
    one, other = (names[k] for k in rng.choice(len(names), 2, replace=False))
    kind = rng.choice(["write", "garbage", "copy", "move", "swap", "delete", "link", "hardlink", "empty", "pipe"])
    if kind == "write":
        one.unlink(missing_ok=True)
        write_clip(one, int(rng.integers(8)))
    elif kind == "garbage":
        one.unlink(missing_ok=True)
        one.write_bytes(GARBAGE)
    elif kind in ("delete", "empty", "pipe"):
        one.unlink(missing_ok=True)
        {"delete": lambda: None, "empty": one.touch, "pipe": lambda: os.mkfifo(one)}[kind]()
    elif os.path.lexists(one) and kind == "swap" and os.path.lexists(other):
        one.rename(names[0].parent / "between")
        other.rename(one)
        (names[0].parent / "between").rename(other)
    elif one.is_file():
        content = one.read_bytes()
        other.unlink(missing_ok=True)
        {
            "copy": lambda: other.write_bytes(content),
            "move": lambda: one.rename(other),
            "swap": lambda: one.rename(other),
            "link": lambda: other.symlink_to(one),
            "hardlink": lambda: os.link(one, other),
        }[kind]()


def check_fits(archive: Archive, paths: tuple[Path, ...]) -> None:
    """The archive has each content once, at a path that holds it; what is gone stays only where it is nowhere else."""
    tokenizer, there = ReadingTokenizer(), {}
    for path in paths:
        if path.is_file() and path.read_bytes() not in (GARBAGE, b""):
            there[path] = number_of(tokenizer.tokenize(path).ids)
    numbers = []
    for recording in archive.recordings():
        number = number_of(archive.string(recording.id).ids)
        numbers.append(number)
        if recording.path in paths:
            assert there.get(recording.path) == number or not os.path.exists(recording.path)
        if recording.path not in there:
            assert number not in there.values()
    assert len(set(numbers)) == len(numbers)
    assert set(there.values()) <= set(numbers)


class TestFilesThatAreNone:
    def test_what_is_no_regular_file_is_never_opened(self, archive, folder, tmp_path, monkeypatch):
        os.mkfifo(folder / "pipe.wav")
        (folder / "zero.wav").symlink_to("/dev/zero")
        (folder / "nowhere.wav").symlink_to(folder / "none.wav")
        (folder / "round.wav").symlink_to(folder / "round.wav")
        (folder / "folder.wav").mkdir()
        (folder / "empty.wav").touch()
        with socket.socket(socket.AF_UNIX) as one:
            monkeypatch.chdir(folder)  # a socket's path has to be short
            one.bind("socket.wav")
            real, opened = os.open, []
            monkeypatch.setattr(file_state.os, "open", lambda path, *rest: opened.append(path) or real(path, *rest))
            report = archive.add_folder(folder)
        assert {Path(path).name for path in opened if str(path).endswith(".wav")} == {"1.wav", "2.wav", "3.wav"}
        reasons = {Path(one.path).name: one.reason for one in report.skipped}
        for name, words in {
            "pipe.wav": "a named pipe",
            "zero.wav": "a device",
            "nowhere.wav": "leads nowhere",
            "round.wav": "back to itself",
            "folder.wav": "a folder, not a recording",
            "empty.wav": "empty",
            "socket.wav": "a socket",
        }.items():
            assert words in reasons.pop(name)
        assert not reasons and report.recordings == 3

    def test_bad_files_of_equal_content_are_all_skipped(self, archive, folder):
        for k in range(5):
            (folder / f"bad{k}.wav").write_bytes(GARBAGE)
            (folder / f"empty{k}.wav").touch()
        for _ in range(2):
            report = archive.add_folder(folder)
            assert len(report.skipped) == 10 and report.recordings + report.known == 3

    def test_names_that_are_left_out_are_told(self, archive, folder):
        for name in ("._1.wav", ".hidden.wav", "1.wav.wav", "note.txt", "photo.jpg", ".bin/x.wav", ".git/config"):
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(folder / "1.wav", folder / name)
        (folder / "linked").symlink_to(folder / ".bin")
        report = archive.add_folder(folder)
        reasons = {Path(one.path).name: one.reason for one in report.skipped}
        assert set(reasons) == {"._1.wav", ".hidden.wav", "1.wav.wav", ".bin", "linked"}
        assert "AppleDouble" in reasons["._1.wav"] and "1 audio files" in reasons[".bin"]
        assert (report.recordings, report.ignored) == (3, 2)

    def test_every_name_of_a_readable_format_counts(self, folder, tmp_path):
        for name in ("voice.oga", "VOICE.WAV", "no ending"):
            shutil.copy(folder / "1.wav", tmp_path / name)
            assert find_recordings(tmp_path / name).paths == (tmp_path / name,)
        assert {path.name for path in find_recordings(tmp_path).paths} >= {"voice.oga", "VOICE.WAV"}
        with pytest.raises(DataError, match="no regular file"):
            find_recordings("/dev/zero")
        with pytest.raises(DataError, match="no audio found"):
            (tmp_path / "none").mkdir()
            find_recordings(tmp_path / "none")

    def test_what_a_manifest_of_a_folder_does_not_list_is_told(self, archive, folder):
        (folder / "manifest.csv").write_text("path\n1.wav\n")
        report = archive.add_folder(folder)
        assert report.recordings == 1 and "2 audio files of the folder are not listed" in report.skipped[0].reason

    def test_a_folder_that_cannot_be_read_is_told(self, archive, folder, monkeypatch):
        (folder / "locked").mkdir()
        real = os.scandir

        def scandir(path):
            if os.fspath(path).endswith("locked"):
                raise PermissionError(13, "Permission denied", os.fspath(path))
            return real(path)

        monkeypatch.setattr(os, "scandir", scandir)  # tests may run as a user who is refused nothing
        (skipped,) = archive.add_folder(folder).skipped
        assert skipped.path == str(folder / "locked") and "Permission denied" in skipped.reason
        with pytest.raises(DataError, match="cannot be read"):
            find_recordings(folder / "locked")

    def test_a_file_that_goes_or_grows_meanwhile(self, archive, folder, monkeypatch):
        class Meddling(DecodersHere):
            def __iter__(self):
                with (folder / "1.wav").open("ab") as file:
                    file.write(b"more")
                (folder / "2.wav").unlink()
                yield from super().__iter__()

        monkeypatch.setattr("pairalign.archive.ingest.Decoders", Meddling)
        report = archive.add_folder(folder)
        reasons = {Path(one.path).name: one.reason for one in report.skipped}
        assert "changed while it was read" in reasons["1.wav"] and "no such file" in reasons["2.wav"]
        assert held(archive) == {"3.wav": 3}

    def test_a_run_is_given_up_while_a_disk_does_not_answer(self, archive, folder, monkeypatch):
        import threading

        released = threading.Event()
        monkeypatch.setattr(file_state, "read_state", lambda path, stopped: released.wait(60))
        monkeypatch.setattr(file_state, "IDLE_S", 0.01)

        def give_up(progress) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            archive.add_folder(folder, progress=give_up)
        released.set()
        with archive.store.writer():  # the lock is free
            pass


class TestPrune:
    def test_recordings_whose_files_are_gone_are_taken_out_below_a_folder(self, archive, folder, tmp_path):
        write_clip(tmp_path / "other" / "4.wav", 4)
        archive.add_folder(folder)
        archive.add_folder(tmp_path / "other")
        (folder / "1.wav").unlink()
        (tmp_path / "other" / "4.wav").unlink()
        archive.add_folder(folder)
        assert len(archive.recordings()) == 4, "their disk may be away"
        assert archive.prune(folder) == [folder / "1.wav"]
        assert sorted(held(archive)) == ["2.wav", "3.wav", "4.wav"]
        (tmp_path / "link").symlink_to(folder)
        (folder / "2.wav").unlink()
        assert archive.prune(tmp_path / "link") == [folder / "2.wav"]

    def test_not_where_the_folder_itself_is_away(self, archive, folder, tmp_path):
        archive.add_folder(folder)
        folder.rename(tmp_path / "unplugged")
        with pytest.raises(ArchiveError, match="Nothing was taken out"):
            archive.prune(folder)
        folder.mkdir()  # where it was mounted
        with pytest.raises(ArchiveError, match="may be away"):
            archive.prune(folder)
        assert len(archive.recordings()) == 3
