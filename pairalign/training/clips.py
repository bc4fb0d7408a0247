"""Recordings as they come, made into clips for fine-tuning: cut at pauses, at 16 kHz, some of them held out.

A run keeps its own copy of what it trains on, so that it can go on when uploads are gone or a folder has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from pairalign.audio import SAMPLE_RATE_HZ, read_audio, write_audio
from pairalign.training.corpora import DataError, Utterance, read_manifest, write_manifest

LONGEST_CLIP_S = 4.0
SHORTEST_CLIP_S = 0.5
EARLIEST_CUT_S = 2.5
PAUSE_S = 0.1  # cuts are made in the middle of the quietest stretch of this length
QUIET_PEAK = 0.003  # -50 dBFS: a clip without anything louder is not speech
HELD_OUT_SHARE = 0.2
LEAST_SOUND_S, MOST_SOUND_S = 15.0, 3600.0  # an hour is more than some minutes of training can hear
LEAST_CLIPS, LEAST_HELD_OUT = 4, 2
MANIFEST = "manifest.csv"
_COLUMNS = ("path", "split", "speaker", "duration_s", "transcript", "source", "start_s")


@dataclass(frozen=True)
class Clip:
    """One row of a run's manifest; `source` and `start_s` tell where it was cut from."""

    path: str
    speaker: str
    duration_s: float
    transcript: str
    source: str
    start_s: float
    split: str = "train"


@dataclass(frozen=True)
class ClipSummary:
    """What a run trains on, in numbers.

    skipped: file name and reason of every recording that could not be used. left_over: recordings beyond the hour.
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

    def to_dict(self) -> dict:
        """As JSON holds it."""
        return asdict(self)


def make_clips(data: Path, folder: Path, report: Callable[[int, int], None] = lambda done, total: None) -> ClipSummary:
    """Cut all recordings of a manifest or folder into `folder`, with a manifest that says which clips are held out.

    report: called with recordings done and in all; may raise to end the work.
    Raises: DataError when there is nothing to read, or too little of it; OSError when the disk is full.
    """
    utterances = [u for u in read_manifest(data) if u.split != "test"]
    clips: list[Clip] = []
    skipped: list[tuple[str, str]] = []
    read = 0
    for utterance in utterances:
        if sum(clip.duration_s for clip in clips) >= MOST_SOUND_S:
            break
        report(read, len(utterances))
        read += 1
        try:
            wave = read_audio(utterance.path)
        except ValueError as error:  # one bad file must not end it
            skipped.append((utterance.path.name, str(error).removeprefix(f"{utterance.path.name}: ")))
            continue
        clips += _write_clips(wave, utterance, folder, len(clips))
    clips = hold_out(clips)
    summary = replace(_summary(clips, read - len(skipped), skipped), left_over=len(utterances) - read)
    _check_amount(summary)
    rows = ([getattr(clip, name) for name in _COLUMNS] for clip in clips)
    write_manifest(folder / MANIFEST, _COLUMNS, rows)
    return summary


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


def hold_out(clips: Sequence[Clip]) -> list[Clip]:
    """Mark the last fifth of every speaker's clips as held out ("dev"): the end of a recording where there is one only.

    The last and not any: neighbouring clips of one recording are more alike than those of two.
    """
    held: set[int] = set()
    by_speaker: dict[str, list[int]] = {}
    for index, clip in enumerate(clips):
        by_speaker.setdefault(clip.speaker, []).append(index)
    for mine in by_speaker.values():
        held.update(mine[len(mine) - round(HELD_OUT_SHARE * len(mine)) :])
    if len(held) < LEAST_HELD_OUT:
        held.update(range(max(0, len(clips) - LEAST_HELD_OUT), len(clips)))
    return [replace(clip, split="dev" if k in held else "train") for k, clip in enumerate(clips)]


def _write_clips(wave: np.ndarray, utterance: Utterance, folder: Path, number: int) -> list[Clip]:
    places = cut_places(wave)
    clips: list[Clip] = []
    for start, end in places:
        piece = wave[start:end]
        if len(piece) < SHORTEST_CLIP_S * SAMPLE_RATE_HZ or np.abs(piece).max() < QUIET_PEAK:
            continue
        name = f"{number + len(clips):05d}.flac"
        write_audio(folder / name, piece)
        text = utterance.transcript if len(places) == 1 else ""  # nobody knows which words a piece has
        seconds = round(len(piece) / SAMPLE_RATE_HZ, 3)
        start_s = round(start / SAMPLE_RATE_HZ, 3)
        clips.append(Clip(name, utterance.speaker, seconds, text, utterance.path.name, start_s))
    return clips


def _summary(clips: Sequence[Clip], recordings: int, skipped: Sequence[tuple[str, str]]) -> ClipSummary:
    texts: dict[str, set[str]] = {}
    for clip in clips:
        if clip.transcript and clip.speaker:
            texts.setdefault(clip.transcript.casefold().strip(), set()).add(clip.speaker)
    held = [clip for clip in clips if clip.split == "dev"]
    return ClipSummary(
        recordings=recordings,
        clips=len(clips),
        held_out=len(held),
        train_s=round(sum(clip.duration_s for clip in clips if clip.split != "dev"), 1),
        held_out_s=round(sum(clip.duration_s for clip in held), 1),
        speakers=tuple(sorted({clip.speaker for clip in clips if clip.speaker})),
        shared_texts=sum(len(speakers) > 1 for speakers in texts.values()),
        skipped=tuple(skipped),
    )


def _check_amount(found: ClipSummary) -> None:
    total_s = found.train_s + found.held_out_s
    why = "".join(f" {name} was left out: {reason}" for name, reason in found.skipped[:3])
    if found.recordings == 0:
        raise DataError(f"None of the {len(found.skipped)} recordings can be used.{why}")
    if total_s < LEAST_SOUND_S or found.clips - found.held_out < LEAST_CLIPS:
        raise DataError(
            f"There are {total_s:.0f} s of sound in {found.clips} clips; at least {LEAST_SOUND_S:.0f} s in "
            f"{LEAST_CLIPS + LEAST_HELD_OUT} clips are needed, and some minutes are better. Add recordings.{why}"
        )
