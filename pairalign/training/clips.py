"""Recordings as they come, made into clips for fine-tuning: cut at pauses, at 16 kHz, some of them held out.

A run keeps its own copy of what it trains on, so that it can go on when uploads are gone or a folder has changed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pairalign.audio import SAMPLE_RATE_HZ, read_audio, write_audio
from pairalign.home import one_line
from pairalign.training.corpora import DataError, Utterance, read_manifest, write_manifest
from pairalign.training.held_out import LEAST_HELD_OUT, Said, hold_out
from pairalign.training.left_out import left_out

LONGEST_CLIP_S = 4.0
SHORTEST_CLIP_S = 0.5
EARLIEST_CUT_S = 2.5
PAUSE_S = 0.1  # cuts are made in the middle of the quietest stretch of this length
QUIET_PEAK = 0.003  # -50 dBFS: a clip without anything louder is not speech
LEAST_SOUND_S, MOST_SOUND_S = 15.0, 3600.0  # an hour is more than some minutes of training can hear
LEAST_CLIPS = 4
LONGEST_TEXT = 2_000  # characters
MANIFEST = "manifest.csv"
_COLUMNS = ("path", "split", "speaker", "duration_s", "transcript", "source", "start_s")


@dataclass(frozen=True)
class Clip:
    """One row of a run's manifest; `source` and `start_s` tell where it was cut from, `content` is of its samples."""

    path: str
    speaker: str
    duration_s: float
    transcript: str
    source: str
    start_s: float
    content: str
    split: str = "train"


@dataclass(frozen=True)
class ClipSummary:
    """What a run trains on, in numbers.

    skipped: file name and reason of every recording that could not be used. left_over: recordings beyond the hour.
    copies: clips with the very same sound as another; those of held-out clips are left out. too_short, silent: pieces
    that became no clip. of_test: recordings of the split "test", which nothing is learned from.
    """

    recordings: int
    clips: int
    held_out: int
    train_s: float
    held_out_s: float
    speakers: tuple[str, ...] = ()
    shared_texts: int = 0  # texts that several speakers said
    skipped: tuple[tuple[str, str], ...] = ()
    left_over: int = 0
    copies: int = 0
    too_short: int = 0
    silent: int = 0
    of_test: int = 0

    def to_dict(self) -> dict:
        """As JSON holds it."""
        return asdict(self)

    def notes(self, most: int = 10) -> list[str]:
        """A sentence for everything that is not used as it came; of skipped recordings for the first `most`."""
        notes = [f"{name} was left out: {reason}" for name, reason in self.skipped[:most]]
        if len(self.skipped) > most:
            notes.append(f"{len(self.skipped) - most} more recordings were left out for such reasons.")
        lost = ((self.too_short, f"shorter than {SHORTEST_CLIP_S} s"), (self.silent, "without any sound"))
        pieces = " and ".join(f"{count} {what}" for count, what in lost if count)
        notes += [f"Pieces of recordings were left out: {pieces}."] if pieces else []
        if self.copies:
            notes.append(
                f"{self.copies} clips are copies of others. Copies of a held-out clip were left out, so that none is "
                "learned from."
            )
        if self.of_test:
            notes.append(f"{self.of_test} recordings are of the split test: nothing was learned from them.")
        if self.left_over:
            notes.append(f"{self.left_over} recordings were not needed: an hour of sound is enough.")
        return notes


def make_clips(data: Path, folder: Path, report: Callable[[int, int], None] = lambda done, total: None) -> ClipSummary:
    """Cut all recordings of a manifest or folder into `folder`, with a manifest that says which clips are held out.

    report: called with recordings done and in all; may raise to end the work.
    Raises: DataError when there is nothing to read, or too little of it; OSError when the disk is full.
    """
    everything = read_manifest(data)
    utterances = [u for u in everything if u.split != "test"]
    clips: list[Clip] = []
    skipped = [(one_line(path.name), reason) for path, reason in left_out(data)]
    lost: dict[str, Any] = {"too_short": 0, "silent": 0}
    read = used = 0
    for utterance in utterances:
        if sum(clip.duration_s for clip in clips) >= MOST_SOUND_S:
            break
        report(read, len(utterances))
        read += 1
        try:
            wave = _read(utterance.path)
        except DataError as error:  # one bad file must not end it
            skipped.append((one_line(utterance.path.name), str(error)))
            continue
        used += 1
        clips += _write_clips(wave, utterance, folder, len(clips), lost)
    clips = _divided(clips)
    of_test, left_over = len(everything) - len(utterances), len(utterances) - read
    summary = replace(_summary(clips, used, skipped), left_over=left_over, of_test=of_test, **lost)
    _check_amount(summary)
    rows = ([getattr(clip, name) for name in _COLUMNS] for clip in clips)
    write_manifest(folder / MANIFEST, _COLUMNS, rows)
    return summary


def _read(path: Path) -> np.ndarray:
    """The recording (T,); a DataError says why there is none, without naming the file."""
    if not os.path.isfile(path):
        raise DataError("it is no file but a pipe, a device or a broken link.")
    try:
        return read_audio(path)
    except ValueError as error:
        raise DataError(one_line(str(error).removeprefix(f"{one_line(path.name)}: "))) from None


def cut_places(wave: np.ndarray) -> list[tuple[int, int]]:
    """(T,) -> first and last sample of pieces of at most LONGEST_CLIP_S, cut where it is quietest."""
    pieces, start = [], 0
    early, late = round(EARLIEST_CUT_S * SAMPLE_RATE_HZ), round(LONGEST_CLIP_S * SAMPLE_RATE_HZ)
    pause = round(PAUSE_S * SAMPLE_RATE_HZ)
    while len(wave) - start > late:
        energy = np.cumsum(np.square(wave[start + early : start + late], dtype=np.float64))
        quietest = int(np.argmin(energy[pause:] - energy[:-pause]))
        cut = start + early + quietest + pause // 2
        pieces.append((start, cut))
        start = cut
    return [*pieces, (start, len(wave))]


def _divided(clips: Sequence[Clip]) -> list[Clip]:
    """The clips to learn from ("train"), those held out ("dev"), and copies of those ("copy")."""
    held = hold_out([Said(clip.speaker, clip.transcript, clip.content) for clip in clips])
    contents = {clips[index].content for index in held}
    splits = ("dev" if k in held else "copy" if clip.content in contents else "train" for k, clip in enumerate(clips))
    return [replace(clip, split=split) for clip, split in zip(clips, splits, strict=True)]


def _write_clips(wave: np.ndarray, utterance: Utterance, folder: Path, number: int, lost: dict[str, Any]) -> list[Clip]:
    places = cut_places(wave)
    clips: list[Clip] = []
    for start, end in places:
        piece = wave[start:end]
        if len(piece) < SHORTEST_CLIP_S * SAMPLE_RATE_HZ or np.abs(piece).max() < QUIET_PEAK:
            lost["too_short" if len(piece) < SHORTEST_CLIP_S * SAMPLE_RATE_HZ else "silent"] += 1
            continue
        name = f"{number + len(clips):05d}.flac"
        write_audio(folder / name, piece)
        # nobody knows which words a piece has
        text = one_line(" ".join(utterance.transcript.split()), LONGEST_TEXT) if len(places) == 1 else ""
        seconds = round(len(piece) / SAMPLE_RATE_HZ, 3)
        start_s = round(start / SAMPLE_RATE_HZ, 3)
        # as it is kept: two formats of one recording may differ by rounding
        content = hashlib.sha256(np.round(piece * 32767).astype("<i2").tobytes()).hexdigest()
        clips.append(
            Clip(name, one_line(utterance.speaker), seconds, text, one_line(utterance.path.name), start_s, content)
        )
    return clips


def _summary(clips: Sequence[Clip], recordings: int, skipped: Sequence[tuple[str, str]]) -> ClipSummary:
    texts: dict[str, set[str]] = {}
    for clip in clips:
        if clip.transcript and clip.speaker:
            texts.setdefault(clip.transcript.casefold().strip(), set()).add(clip.speaker)
    learned, held = ([clip for clip in clips if clip.split == split] for split in ("train", "dev"))
    return ClipSummary(
        recordings=recordings,
        clips=len(learned) + len(held),
        held_out=len(held),
        train_s=round(sum(clip.duration_s for clip in learned), 1),
        held_out_s=round(sum(clip.duration_s for clip in held), 1),
        speakers=tuple(sorted({clip.speaker for clip in clips if clip.speaker})),
        shared_texts=sum(len(speakers) > 1 for speakers in texts.values()),
        skipped=tuple(skipped),
        copies=len(clips) - len({clip.content for clip in clips}),
    )


def _check_amount(found: ClipSummary) -> None:
    total_s = found.train_s + found.held_out_s
    why = " ".join(["", *found.notes(most=3)])
    if found.recordings == 0:
        raise DataError(f"None of the {len(found.skipped) + found.of_test} recordings can be used.{why}")
    learned = found.clips - found.held_out
    if total_s < LEAST_SOUND_S or learned < LEAST_CLIPS or found.held_out < LEAST_HELD_OUT:
        raise DataError(
            f"There are {total_s:.0f} s of sound in {found.clips} clips; at least {LEAST_SOUND_S:.0f} s in "
            f"{LEAST_CLIPS + LEAST_HELD_OUT} clips are needed, {LEAST_HELD_OUT} of them unlike all others, and some "
            f"minutes are better. Add recordings.{why}"
        )
