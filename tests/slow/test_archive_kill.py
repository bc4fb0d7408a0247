"""An ingest killed again and again ends with what an undisturbed one makes; a long file stays small in memory."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from pairalign import Archive
from pairalign.archive.ingest import audio_files
from pairalign.audio import write_audio
from tests.conftest import babble

pytestmark = pytest.mark.slow
PROJECT = Path(__file__).resolve().parents[2]
KILLS = 10
RECORDINGS = 400


# small batches: recordings are stored a few at a time, so that a kill finds it at any kind of work
PROGRAM = """
import sys, pairalign
from pairalign.archive.ingest import add_recordings, audio_files
folder, path, checkpoint, methods = sys.argv[1:]
archive = pairalign.Archive.open(path, pairalign.load(checkpoint, "cpu"), methods.split(","))
add_recordings(archive.store, archive.tokenizer, audio_files(folder), archive.methods, workers=1, batch_windows=4)
"""


def index(folder: Path, archive: Path, checkpoint: Path, methods: str = "pairalign,vq") -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), str(archive), str(checkpoint), methods],
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def contents(archive: Archive) -> dict[tuple[str, str], tuple]:
    """Everything that an archive says of its recordings; ids and order of addition do not matter."""
    found = {}
    for recording in archive.recordings():
        for method in archive.methods:
            windows = archive.store.windows(recording.id, method)
            told = [(w.start_s, w.end_s, w.ids.tolist(), w.edges_cs.tolist()) for w in windows]
            found[recording.path.name, method] = (recording.sha256, recording.duration_s, told)
    return found


def test_killed_at_ten_random_moments_nothing_is_lost_or_doubled(tmp_path, tiny_checkpoint, tiny_tokenizer):
    folder = tmp_path / "recordings"
    folder.mkdir()
    for k in range(RECORDINGS):
        write_audio(folder / f"r{k:03}.wav", babble(4.0 if k % 20 == 0 else 0.4, seed=k))
    undisturbed = Archive.open(tmp_path / "undisturbed.db", tiny_tokenizer)
    undisturbed.add_files(audio_files(folder))

    path, chance = tmp_path / "killed.db", random.Random(0)
    counts = []
    for number in range(KILLS):
        process = index(folder, path, tiny_checkpoint)
        # the first ones while it starts, finds files and decodes; the others after some more recordings were stored
        if number < 3:
            time.sleep(chance.uniform(0.5, 2.5))
        else:
            wait_for_more(path, process, counts[-1] + chance.randint(1, 4))
            time.sleep(chance.uniform(0.0, 0.02))
        assert process.poll() is None, f"it ended by itself: {process.communicate()[1].decode()}, after {counts}"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        counts.append(stored(path))
    assert counts == sorted(counts)
    assert 0 < counts[-1] < RECORDINGS  # it was killed in the middle of its work

    archive = Archive.open(path, tiny_tokenizer)
    report = archive.add_files(audio_files(folder))
    assert (report.known, report.recordings) == (counts[-1], RECORDINGS - counts[-1])
    archive.store.check()
    assert contents(archive) == contents(undisturbed)
    assert archive.store.totals() == undisturbed.store.totals()


def stored(path: Path) -> int:
    """How many recordings there are; quick, so that the moment is met."""
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path, timeout=10)) as db:
        there = db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'recordings'").fetchone()[0]
        return db.execute("SELECT count(*) FROM recordings").fetchone()[0] if there else 0


def wait_for_more(path: Path, process: subprocess.Popen, count: int) -> None:
    until = time.monotonic() + 120
    while stored(path) < count and process.poll() is None:
        assert time.monotonic() < until, "nothing is stored"
        time.sleep(0.002)


def test_an_hour_in_one_file_takes_less_than_a_gigabyte(tmp_path, tiny_checkpoint):
    import soundfile

    minute = babble(60.0, seed=1)
    (tmp_path / "hour").mkdir()
    with soundfile.SoundFile(tmp_path / "hour" / "hour.flac", "w", 16_000, 1, "PCM_16") as file:
        for _ in range(60):
            file.write(minute)
    process = index(tmp_path / "hour", tmp_path / "hour.db", tiny_checkpoint, "vq")
    peak = 0
    while process.poll() is None:
        peak = max(peak, resident_bytes(process.pid))
        time.sleep(0.05)
    assert process.returncode == 0
    assert 0 < peak < 1e9
    archive = Archive.open(tmp_path / "hour.db")
    assert archive.info().seconds == pytest.approx(3600)
    assert archive.info().methods["vq"].windows == 1200
    assert np.isclose(archive.recordings()[0].duration_s, 3600)


def resident_bytes(pid: int) -> int:
    """Memory of a process and of those it started."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("memory of other processes is read from /proc, which this system has not")
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int((folder / "stat").read_text().rsplit(") ", 1)[1].split()[3]) == pid:  # of its session
                total += int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError):
            continue
    return total
