"""Where a recording holds something worth a token: silence, steady noise and hum are cut out, passages of sound remain.

A frame (20 ms) is steady when it lies in STEADY_S of sound whose level changes by less than STEADY_DB in each of three
bands (low: voices, middle: vowels, high: fricatives). Nothing is heard below QUIETEST_DBFS, so that zeros are steady.
Speech is not: in a second of it there are always softer moments and other sounds. Pauses between words are too short to
be steady. The rule looks at changes only and needs no idea of how loud the noise is: faint or loud, it is left out.

A passage is what lies between two steady stretches, from LEAD_S before it, so that a soft beginning is not cut, to
HANGOVER_S after it, but not into digital silence. Passages are tokenized as if each were a recording of its own:
what is said is written the same way whatever silence lies around it.

Whether a frame belongs to a passage is certain STEADY_S + REACH_FRAMES after it at the latest, mostly much earlier
(`Gate.certain`): a stream (`pairalign.streaming`) and a finished recording have the same passages.

Shapes: T samples, F frames, 3 bands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pairalign.audio import SAMPLE_RATE_HZ
from pairalign.windows import FRAME_SAMPLES

FRAME_S = FRAME_SAMPLES / SAMPLE_RATE_HZ
BANDS_HZ = (100, 1000, 3000, 8000)
QUIETEST_DBFS = -80.0  # a 16-bit converter makes no more noise than this
STEADY_S = 1.1  # longer than a drawn-out vowel or fricative
STEADY_DB = 9.0
LEAD_S, HANGOVER_S = 0.24, 0.3
SHORTEST_S = 0.1  # what is shorter is no sound of speech
SMOOTH_FRAMES = 5  # a click is shorter than half of that
SMALLEST_CHANGE = 2.0**-12  # from sample to sample; about what a sound of QUIETEST_DBFS makes
EDGE_FRAMES = 2  # how far from digital silence the first or last larger change is looked for
STEADY_FRAMES, LEAD_FRAMES, HANGOVER_FRAMES = (round(s / FRAME_S) for s in (STEADY_S, LEAD_S, HANGOVER_S))
REACH_FRAMES = SMOOTH_FRAMES // 2 + LEAD_FRAMES
_BLOCK_FRAMES = 3_000  # whose spectra are in memory at a time
_TAPER = np.hanning(FRAME_SAMPLES + 1)[:-1].astype(np.float32)  # keeps rumble and offsets out of the bands


def levels_dbfs(wave: np.ndarray) -> np.ndarray:
    """Level of every whole frame of a wave (T,) at 16 kHz in each band, (F, 3); full scale is a square wave's 0."""
    frames = wave[: len(wave) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    blocks = [frames[first : first + _BLOCK_FRAMES] for first in range(0, len(frames), _BLOCK_FRAMES)]
    return np.concatenate([_band_levels(block) for block in blocks or [frames]])


def _band_levels(frames: np.ndarray) -> np.ndarray:
    power = np.square(np.abs(np.fft.rfft(frames * _TAPER))) * (2 / (FRAME_SAMPLES * np.square(_TAPER).sum()))
    bins = [round(edge_hz * FRAME_S) for edge_hz in BANDS_HZ]
    return 10 * np.log10(np.add.reduceat(power[:, : bins[-1]], bins[:-1], axis=1) + 1e-12)


def passages(wave: np.ndarray) -> list[tuple[int, int]]:
    """First and end sample of every passage of a finished recording (T,) at 16 kHz; none when it is silent."""
    levels = levels_dbfs(wave)
    digital = digital_frames(levels)
    bounds = [passage_bounds(wave, digital, first, end) for first, end in runs(open_frames(levels))]
    return [(begin, end) for begin, end in bounds if end - begin >= SHORTEST_S * SAMPLE_RATE_HZ]


def open_frames(levels: np.ndarray) -> np.ndarray:
    """Which frames of a finished recording belong to passages: levels (F, 3) from `levels_dbfs` -> (F,) bool."""
    return _widened(~_steady(_smoothed(levels)), digital_frames(levels))


@dataclass(frozen=True)
class Gate:
    """What is known of a recording that goes on: frames (F,) that are open, certain up to a frame; digital silence."""

    opened: np.ndarray
    digital: np.ndarray
    certain: int

    @staticmethod
    def of(levels: np.ndarray) -> Gate:
        """Of the levels (F, 3) so far: the first `certain` frames are the same however the recording goes on."""
        digital, known = digital_frames(levels), max(0, len(levels) - SMOOTH_FRAMES // 2)
        smoothed = _smoothed(levels)[:known]
        undecided = known - _steady_end(smoothed)
        sounding = np.zeros(len(levels), dtype=bool)
        sounding[:undecided] = ~_steady(smoothed)[:undecided]
        least = _widened(sounding, digital)
        sounding[undecided:] = True
        loud = np.ones(SMOOTH_FRAMES, dtype=bool)
        most = _widened(np.append(sounding, loud), np.append(digital, ~loud))[: len(levels)]
        differ = np.flatnonzero(least != most)
        return Gate(least, digital, int(differ[0]) if len(differ) else len(levels))


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """First and end of every run of True in (F,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def passage_bounds(wave: np.ndarray, digital: np.ndarray, first: int, end: int) -> tuple[int, int]:
    """First and end sample of the passage of frames [first, end), in wave (T,) with digital silence in `digital` (F,).

    Digital silence at its ends is no part of it, exact to the sample: what is said is cut the same wherever it stands
    between zeros.
    """
    sound = first + np.flatnonzero(~digital[first:end])
    first, end = int(sound[0]), int(sound[-1]) + 1
    begin_sample, end_sample = first * FRAME_SAMPLES, end * FRAME_SAMPLES
    reach = EDGE_FRAMES * FRAME_SAMPLES
    if first == 0 or digital[first - 1]:
        start = max(0, begin_sample - FRAME_SAMPLES)
        begin_sample = start + _still(wave[start : begin_sample + reach], first == 0)
    if end >= len(digital) or digital[end]:
        stop = len(wave) if end >= len(digital) else end_sample + FRAME_SAMPLES
        around = wave[max(begin_sample, end_sample - reach) : stop]
        end_sample = stop - _still(around[::-1], end >= len(digital))
    return begin_sample, end_sample


def digital_frames(levels: np.ndarray) -> np.ndarray:
    """Which frames hold no more than the noise of a converter: levels (F, 3) -> (F,) bool."""
    return np.asarray(levels.max(1) <= QUIETEST_DBFS)


def _still(samples: np.ndarray, at_end: bool) -> int:
    """How many samples at the beginning hardly change; beyond the ends of a recording there are zeros."""
    changes = np.abs(np.diff(samples, prepend=0.0 if at_end else samples[0]))
    return int(np.argmax(np.append(changes > SMALLEST_CHANGE, True)))


def _smoothed(levels: np.ndarray) -> np.ndarray:
    """Median over SMOOTH_FRAMES, (F, 3); the outermost levels stand for what is beyond the ends."""
    if not len(levels):
        return levels
    reach = SMOOTH_FRAMES // 2
    padded = np.pad(np.maximum(levels, QUIETEST_DBFS), ((reach, reach), (0, 0)), mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, SMOOTH_FRAMES, axis=0), axis=-1)


def _steady(smoothed: np.ndarray) -> np.ndarray:
    """Whether each frame lies in some STEADY_FRAMES of steady sound: (F, 3) -> (F,) bool."""
    if len(smoothed) < STEADY_FRAMES:
        return np.zeros(len(smoothed), dtype=bool)
    stretches = np.lib.stride_tricks.sliding_window_view(smoothed, STEADY_FRAMES, axis=0)
    first = np.flatnonzero((stretches.max(-1) - stretches.min(-1) < STEADY_DB).all(1))
    steps = np.bincount(first, minlength=len(smoothed) + 1) - np.bincount(
        first + STEADY_FRAMES, minlength=len(smoothed) + 1
    )
    return np.cumsum(steps)[: len(smoothed)] > 0


def _steady_end(smoothed: np.ndarray) -> int:
    """How many frames at the end may be, or become, part of a steady stretch that goes on; less than STEADY_FRAMES."""
    backwards = smoothed[:-STEADY_FRAMES:-1]
    spread = np.maximum.accumulate(backwards) - np.minimum.accumulate(backwards)
    return int(np.argmin(np.append((spread < STEADY_DB).all(1), False)))


def _widened(sounding: np.ndarray, digital: np.ndarray) -> np.ndarray:
    """Frames (F,) that sound, and those around them that belong to them; a run with hardly any sound is none."""
    opened = np.zeros(len(sounding), dtype=bool)
    for first, end in runs(sounding):
        if (~digital[first:end]).sum() <= SMOOTH_FRAMES // 2:
            continue
        before = digital[max(0, first - LEAD_FRAMES) : first][::-1]
        after = digital[end : end + HANGOVER_FRAMES]
        lead, hangover = (int(np.argmax(np.append(side, True))) for side in (before, after))
        opened[first - lead : end + hangover] = True
    return opened
