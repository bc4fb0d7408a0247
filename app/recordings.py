"""Small sets of recordings: the shipped examples, uploads and the page's own, read once and without doubles."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.services import Progress, Services
from pairalign.audio import SAMPLE_RATE_HZ, AudioLimits
from pairalign.errors import PairAlignError
from pairalign.excerpt import header_duration_s


@dataclass(frozen=True)
class Source:
    """A file to read, the name to show for it, and what is said in it where that is known."""

    path: str
    name: str
    text: str = ""


@dataclass(frozen=True)
class Recording:
    """A part of a recording: wave (T,) float32 at 16 kHz, which begins at start_s; all of it lasts recording_s."""

    name: str
    wave: np.ndarray
    text: str = ""
    start_s: float = 0.0
    recording_s: float = 0.0

    @property
    def duration_s(self) -> float:
        """Of the part."""
        return len(self.wave) / SAMPLE_RATE_HZ


def expected_duration_s(path: str | Path | None, limits: AudioLimits) -> float:
    """Seconds by the file's header: nothing is decoded to place a slider.

    0 for no recording and for one that cannot be used, which the run will say; the longest that is allowed where the
    header does not tell the length.
    """
    try:
        return (header_duration_s(path, limits) or limits.max_duration_s) if path else 0.0
    except (OSError, ValueError):
        return 0.0


def read_all(
    services: Services, sources: Sequence[Source], choose: Callable[[np.ndarray], slice], report: Progress
) -> tuple[list[Recording], list[str]]:
    """The recordings in order, of each the part that `choose` names, and a sentence about each file left out.

    A recording that was already read, under whatever name, is not read twice; the first one counts.
    choose: (T,) -> the samples to keep, so that long recordings are not kept whole; a PairAlignError leaves one out.
    Raises: ValueError when there are too many, or when none is left.
    """
    if not sources:
        raise PairAlignError("There is no recording: tick the examples, upload files, or record one above.")
    allowed = services.allowed
    if len(sources) > allowed.recordings:
        raise PairAlignError(
            f"{len(sources)} recordings are too many at once; use {allowed.recordings} or fewer{allowed.way_out}."
        )
    found: dict[bytes, Recording] = {}
    left_out = []
    for index, source in enumerate(sources):
        report(0.05 * index / len(sources))
        try:
            wave = services.read(source.path)
            key = hashlib.sha256(wave.tobytes()).digest()
            if key not in found:
                part, recording_s = choose(wave), len(wave) / SAMPLE_RATE_HZ
                start_s = part.start / SAMPLE_RATE_HZ
                found[key] = Recording(source.name, wave[part].copy(), source.text, start_s, recording_s)
        except PairAlignError as error:
            left_out.append(f"{source.name}: {_reason(error, source)}")
    if not found:
        raise PairAlignError(f"No recording could be used. {'; '.join(left_out)}")
    return list(found.values()), left_out


def _reason(error: PairAlignError, source: Source) -> str:
    """What went wrong, without the file name that the audio reader puts before it."""
    return str(error).removeprefix(f"{Path(source.path).name}: ")
