"""Which parts of a recording hold sound worth a token: a gate that follows the noise around it.

A frame (20 ms) is loud when in one of three bands (low: voices, middle: vowels, high: fricatives) its level is
THRESHOLD_DB above that band's noise floor, and above QUIETEST_DBFS. The floor is the FLOOR_SHARE quantile of the band's
levels from PAST_S before to AHEAD_S after: faint or loud, a steady noise is its own floor, while speech always has
softer moments around it. A sound that stays the same for longer than about PAST_S is noise by this rule.
LEAST_FRAMES loud frames in a row make an onset, so that clicks do not. The gate is open from LEAD_S before the first of
them, so that a soft beginning is not cut, to HANGOVER_S after the last.

The rule looks no more than REACH_S ahead, and tokens of a stream are committed later than that: a stream and a finished
recording are gated alike.

Shapes: T samples, F frames, 3 bands.
"""

from dataclasses import replace

import numpy as np

from pairalign.audio import SAMPLE_RATE_HZ
from pairalign.strings import TokenString
from pairalign.windows import FRAME_SAMPLES

FRAME_S = FRAME_SAMPLES / SAMPLE_RATE_HZ
BANDS_HZ = (100, 1000, 3000, 8000)
THRESHOLD_DB = 8.0
QUIETEST_DBFS = -68.0  # below this is the noise of a 16-bit converter
FLOOR_SHARE = 0.1
PAST_S, AHEAD_S = 5.0, 0.8
LEAST_FRAMES = 3
LEAD_S, HANGOVER_S = 0.24, 0.3
STEP_FRAMES = 10  # the floor is measured once for so many frames
_TAPER = np.hanning(FRAME_SAMPLES).astype(np.float32)  # keeps rumble out of the higher bands
REACH_S = AHEAD_S + LEAD_S + (LEAST_FRAMES + STEP_FRAMES) * FRAME_S


def levels_dbfs(wave: np.ndarray) -> np.ndarray:
    """Level of every whole frame of a wave (T,) at 16 kHz in each band, (F, 3); full scale is a square wave's 0."""
    frames = wave[: len(wave) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    power = np.square(np.abs(np.fft.rfft(frames * _TAPER))) * (2 / (FRAME_SAMPLES * np.square(_TAPER).sum()))
    bins = [round(edge_hz * FRAME_S) for edge_hz in BANDS_HZ]
    return 10 * np.log10(np.add.reduceat(power[:, : bins[-1]], bins[:-1], axis=1) + 1e-12)


def open_frames(levels: np.ndarray) -> np.ndarray:
    """Whether the gate is open in each frame: levels (F, 3) from `levels_dbfs` -> (F,) bool."""
    loud = (levels > np.maximum(_floor(levels) + THRESHOLD_DB, QUIETEST_DBFS)).any(1)
    opened = np.zeros(len(levels), dtype=bool)
    lead, hangover = round(LEAD_S / FRAME_S), round(HANGOVER_S / FRAME_S)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]])))
    for first, end in zip(edges[::2], edges[1::2], strict=True):
        if end - first >= LEAST_FRAMES:
            opened[max(0, first - lead) : end + hangover] = True
    return opened


def _floor(levels: np.ndarray) -> np.ndarray:
    """The noise floor around every frame, (F, 3) dBFS."""
    past, ahead = round(PAST_S / FRAME_S), round(AHEAD_S / FRAME_S)
    floor = np.empty_like(levels)
    for start in range(0, len(levels), STEP_FRAMES):
        around = levels[max(0, start - past) : start + STEP_FRAMES + ahead]
        rank = int(FLOOR_SHARE * len(around))
        floor[start : start + STEP_FRAMES] = np.partition(around, rank, axis=0)[rank]
    return floor


def heard(opened: np.ndarray, start_s: float, end_s: float, first_s: float = 0.0) -> bool:
    """Whether the gate is open anywhere in a span; `first_s` is when the first of the frames `opened` (F,) begins."""
    first = max(0, int((start_s - first_s) / FRAME_S + 1e-6))
    return bool(opened[first : max(first + 1, int(np.ceil((end_s - first_s) / FRAME_S - 1e-6)))].any())


def without_silence(string: TokenString, wave: np.ndarray) -> TokenString:
    """The string without the tokens whose span lies where the gate is closed; wave (T,) is what it was made from.

    What a stream commits (`pairalign.streaming`) is this string of its recording.
    """
    opened = open_frames(levels_dbfs(wave))
    kept = [k for k, span in enumerate(string.spans_s) if heard(opened, *span)]
    return replace(
        string,
        ids=tuple(string.ids[k] for k in kept),
        spans_s=tuple(string.spans_s[k] for k in kept),
        log_probs=tuple(string.log_probs[k] for k in kept if string.log_probs),
    )
