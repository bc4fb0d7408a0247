"""What the library does with a file of each kind, and what must hold of the answer.

A reader raises the documented kind of error for what it refuses; anything else that it raises is a finding.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np


def read_whole(folder: Path) -> None:
    """`read_audio`: mono float32 in [-1, 1], finite, no longer than allowed."""
    from pairalign.audio import SAMPLE_RATE_HZ, AudioLimits, read_audio

    _check_wave(read_audio(folder / "input"))
    assert len(read_audio(folder / "input")) <= (AudioLimits().max_duration_s + 1) * SAMPLE_RATE_HZ


def read_in_parts(folder: Path) -> None:
    """`read_parts`, as the archive reads."""
    from pairalign.audio import read_parts

    for part in read_parts(folder / "input", 0.2):
        _check_wave(part)


def read_stretch(folder: Path) -> None:
    """`read_excerpt` and `header_duration_s`, as a search result is played."""
    from pairalign.excerpt import header_duration_s, read_excerpt

    duration_s = header_duration_s(folder / "input")
    assert 0 <= duration_s < float("inf"), f"lasts {duration_s} s"
    for start_s, end_s in ((0.0, 0.2), (0.1, 12.0), (1e6, 1e6 + 1)):
        _check_wave(read_excerpt(folder / "input", start_s, end_s), least=0)


def read_archive(folder: Path) -> None:
    """All that the page and the command line ask of an archive."""
    from pairalign.archive.archive import Archive

    archive = Archive.open(folder / "talks.db", create=False)
    archive.store.check()
    archive.store.totals()
    archive.info()
    model = archive.store.model()
    for recording in archive.recordings():
        assert isinstance(recording.path, Path)
    for recording in archive.recordings()[:3]:
        for method in model.methods if model else ():
            string = archive.string(recording.id, method)
            if len(string) and model:
                for mode in ("whole", "contains"):
                    archive.search(archive.string(recording.id, method), 3, mode, method, max_duration_s=1e9)


def read_model(folder: Path) -> None:
    """A checkpoint as `pairalign.load` takes it."""
    from pairalign.tokenizer import load

    load(folder / "mine.safetensors", "cpu")


def read_run(folder: Path) -> None:
    """A run as the page shows it."""
    from app.train_words import progress_words, status_html
    from app.training_runs import TrainingRuns

    os.environ["PAIRALIGN_HOME"] = str(folder.parent / "home")
    runs = folder.parent / "home" / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    link = runs / "mine"
    if not link.exists():
        link.mkdir()
    for path in folder.iterdir():
        (link / path.name).write_bytes(path.read_bytes())
    watched = TrainingRuns()
    watched.names()
    watched.current()
    look = watched.look("mine")
    status_html(look)
    progress_words(look)


def read_class(folder: Path) -> None:
    """A recorded class."""
    from app.class_recordings import ClassRecordings

    os.environ["PAIRALIGN_HOME"] = str(folder.parent / "home")
    place = folder.parent / "home" / "classes" / "mine"
    place.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        (place / path.name).write_bytes(path.read_bytes())
    found = ClassRecordings().load("mine")
    assert isinstance(found.seconds, float | int) and isinstance(found.speakers, list)
    found.next_prompt("anna")


def read_lists(folder: Path) -> None:
    """A manifest and its word times."""
    from pairalign.training.corpora import read_manifest, words_for

    words_for(read_manifest(folder / "manifest.csv"), folder / "words.csv")


def _check_wave(wave: np.ndarray, least: int = 1) -> None:
    assert wave.dtype == np.float32 and wave.ndim == 1 and len(wave) >= least, f"{wave.dtype} {wave.shape}"
    assert np.isfinite(wave).all() and np.abs(wave).max(initial=0.0) <= 1.0, "samples out of range"


READERS: dict[str, Callable[[Path], None]] = {
    "read_audio": read_whole,
    "read_parts": read_in_parts,
    "read_excerpt": read_stretch,
    "archive": read_archive,
    "checkpoint": read_model,
    "run": read_run,
    "class": read_class,
    "lists": read_lists,
}


def refusal(reader: str) -> type[Exception]:
    """What a reader raises for a file that it does not take."""
    from pairalign.archive.errors import ArchiveError
    from pairalign.checkpoint import CheckpointError
    from pairalign.errors import AudioError

    kinds = {"archive": ArchiveError, "checkpoint": CheckpointError}
    return AudioError if reader.startswith("read_") else kinds.get(reader, ValueError)
