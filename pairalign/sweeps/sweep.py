"""Sweeps: how the string of a recording moves while the audio slides, gets noisier, or changes its speed or voice.

y(v) is the string at value v: of the window that starts v ms later ("shift"), of the window in noise at v dB ("snr"),
of the window played v times as fast ("speed"), or of the window as if said by a vocal tract about v times as long
("warp"). The first value is the origin, the last one is `stop`.
torch is imported on use, because `import pairalign` brings this module along.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from pairalign.arguments import is_number, is_whole
from pairalign.audio import SAMPLE_RATE_HZ
from pairalign.audio_input import load_waves
from pairalign.errors import PairAlignError
from pairalign.strings import TokenString
from pairalign.sweeps.trajectory import Trajectory
from pairalign.windows import WINDOW_S

if TYPE_CHECKING:
    from pairalign.audio_input import Audio
    from pairalign.tokenizer import Tokenizer

MAX_STEPS = 500
NOISE_SLOPE = 1.0  # pink: speech is masked about evenly over frequency


@dataclass(frozen=True)
class Kind:
    """What one kind of sweep moves: from `origin` to a stop within [lowest, highest] in steps, all in `unit`."""

    unit: str
    origin: float
    stop: float
    step: float
    lowest: float
    highest: float


KINDS = {
    "shift": Kind("ms", 0.0, 100.0, 10.0, 0.0, 60_000.0),
    "snr": Kind("dB", 40.0, 0.0, 4.0, -20.0, 40.0),  # noise at 40 dB is hardly heard
    "speed": Kind("x", 1.0, 1.1, 0.01, 0.5, 2.0),
    "warp": Kind("x", 1.0, 1.15, 0.015, 0.8, 1.25),
}


def sweep_values(kind: str = "shift", stop: float | None = None, step: float | None = None) -> tuple[float, ...]:
    """Values of a sweep, from its origin in steps towards `stop` (None: the usual stop and step of the kind).

    shift: ms from 0; snr: dB from 40, down; speed, warp: factors from 1, up or down.
    Raises: ValueError for an unknown kind, a stop out of range, a step that is not positive or too large or small.
    """
    if not isinstance(kind, str) or kind not in KINDS:
        raise PairAlignError(f"kind is {kind!r}; use one of {', '.join(KINDS)}.")
    about = KINDS[kind]
    stop, step = (about.stop if stop is None else stop), (about.step if step is None else step)
    if not is_number(stop) or not about.lowest <= stop <= about.highest or stop == about.origin:
        allowed = f"{about.lowest:g} to {about.highest:g} {about.unit}, but not the origin {about.origin:g}"
        raise PairAlignError(f"stop is {_shown(stop)} {about.unit}; a {kind} sweep allows {allowed}.")
    if not (is_number(step) and step > 0):
        raise PairAlignError(
            f"step is {_shown(step)} {about.unit}; use a number above 0: it is counted from the origin to stop."
        )
    distance = abs(stop - about.origin)
    if step > distance * (1 + 1e-9):
        raise PairAlignError(f"step is {step:g} {about.unit}, more than the whole sweep; use {distance:g} or less.")
    if distance / step > MAX_STEPS + 1e-9:
        raise PairAlignError(
            f"{distance / step:.0f} steps are too many; use a step of {distance / MAX_STEPS:g} or more."
        )
    count = math.floor(distance / step + 1e-9)
    signed = math.copysign(step, stop - about.origin)
    return tuple(round(about.origin + k * signed, 9) for k in range(count + 1))


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else repr(value)


def sweep(
    tokenizer: Tokenizer,
    audio: Audio,
    kind: str = "shift",
    stop: float | None = None,
    step: float | None = None,
    method: str = "pairalign",
    *,
    start_s: float = 0.0,
    window_s: float = WINDOW_S,
    seed: int = 0,
    sample_rate: int | None = None,
    **how: Any,
) -> Trajectory:
    """The strings of one recording while it slides, gets noisier, or changes its speed or voice; all in one batch.

    Args:
        audio: a recording as `Tokenizer.tokenize` takes it.
        kind, stop, step: see `sweep_values`.
        method: any method of the tokenizer.
        start_s, window_s: the window of the origin; all kinds but "shift" take a shorter rest of a recording as it is.
        seed: draws the noise of "snr", the same at every level.
        sample_rate: hertz of samples that come without a rate; 16,000 when it is None.
        how: further options of `Tokenizer.tokenize_batch`, such as `options` and `progress`.
    Raises: AudioError for audio that cannot be used; ValueError for what `sweep_values` refuses, an unknown method, or
        a recording that is too short, with the length that is needed.
    """
    where: dict[str, Any] = {"start_s": start_s, "window_s": window_s, "seed": seed, "sample_rate": sample_rate}
    return sweep_batch(tokenizer, [audio], kind, stop, step, method, **where, **how)[0]


def sweep_batch(
    tokenizer: Tokenizer,
    waves: Sequence[Audio],
    kind: str = "shift",
    stop: float | None = None,
    step: float | None = None,
    method: str = "pairalign",
    *,
    start_s: float = 0.0,
    window_s: float | Sequence[float] = WINDOW_S,
    seed: int = 0,
    sample_rate: int | None = None,
    **how: Any,
) -> list[Trajectory]:
    """`sweep` for many recordings with a single call of `tokenize_batch`: one trajectory each, in order.

    window_s: one for all recordings, or one for each.
    """
    values, windows_s, heard = _heard(load_waves(waves, sample_rate), kind, stop, step, start_s, window_s, seed)
    if not heard:
        return []
    if kind == "warp":
        how["warps"] = values * len(waves)
    return _trajectories(tokenizer.tokenize_batch(heard, method=method, **how), kind, method, values, windows_s)


def sweep_methods(
    tokenizer: Tokenizer,
    waves: Sequence[Audio],
    kind: str = "shift",
    stop: float | None = None,
    step: float | None = None,
    methods: Sequence[str] = ("pairalign", "vq"),
    *,
    start_s: float = 0.0,
    window_s: float | Sequence[float] = WINDOW_S,
    seed: int = 0,
    sample_rate: int | None = None,
    **how: Any,
) -> dict[str, list[Trajectory]]:
    """`sweep_batch` with several methods, by name, that share what they hear and its encoding."""
    values, windows_s, heard = _heard(load_waves(waves, sample_rate), kind, stop, step, start_s, window_s, seed)
    if not heard:
        return {method: [] for method in methods}
    if kind == "warp":
        how["warps"] = values * len(waves)
    written = tokenizer.tokenize_methods(heard, methods, **how)
    return {method: _trajectories(strings, kind, method, values, windows_s) for method, strings in written.items()}


def _heard(
    waves: Sequence[np.ndarray],
    kind: str,
    stop: float | None,
    step: float | None,
    start_s: float,
    window_s: float | Sequence[float],
    seed: int,
) -> tuple[tuple[float, ...], list[float], list[np.ndarray]]:
    """Values of a sweep, the window of every recording, and what is heard of all recordings, one after the other."""
    values = sweep_values(kind, stop, step)
    windows_s = list(window_s) if isinstance(window_s, (list, tuple)) else [cast(float, window_s)] * len(waves)
    if len(windows_s) != len(waves):
        raise PairAlignError(
            f"{len(waves)} recordings have {len(windows_s)} windows; give one for all or one for each."
        )
    heard: list[np.ndarray] = []
    for wave, one_s in zip(waves, windows_s, strict=True):
        heard += heard_at(values, wave, kind, start_s=start_s, window_s=one_s, seed=seed)
    return values, windows_s, heard


def _trajectories(
    strings: Sequence[TokenString], kind: str, method: str, values: tuple[float, ...], windows_s: Sequence[float]
) -> list[Trajectory]:
    count = len(values)
    rows = [tuple(strings[at : at + count]) for at in range(0, len(strings), count)]
    return [Trajectory(kind, method, values, row, one_s) for row, one_s in zip(rows, windows_s, strict=True)]


def heard_at(
    values: Sequence[float],
    wave: np.ndarray,
    kind: str = "shift",
    *,
    start_s: float = 0.0,
    window_s: float = WINDOW_S,
    seed: int = 0,
) -> list[np.ndarray]:
    """What a sweep hears of a recording (T,) at every one of `values`, (T',) each.

    A warp exists on the mel axis only, so its windows are all alike.
    Raises: ValueError for a start or window out of range, or a recording that ends before the last window does.
    """
    if not (is_number(start_s) and start_s >= 0):
        raise PairAlignError(f"start_s is {_shown(start_s)}; use 0 or more seconds.")
    if not (is_number(window_s) and window_s > 0):
        raise PairAlignError(f"window_s is {_shown(window_s)}; use seconds above 0.")
    if not (is_whole(seed) and 0 <= seed < 2**63):
        raise PairAlignError(f"seed is {seed!r}; use a whole number from 0.")
    first, size = round(start_s * SAMPLE_RATE_HZ), round(window_s * SAMPLE_RATE_HZ)
    _check_length(len(wave), kind, values, first, size)
    if kind == "shift":
        firsts = [first + round(value / 1000 * SAMPLE_RATE_HZ) for value in values]
        return [wave[start : start + size] for start in firsts]
    return _changed(wave[first : first + size], kind, values, seed)


def _check_length(samples: int, kind: str, values: Sequence[float], first: int, size: int) -> None:
    """Refuses a recording that ends before the last window does."""
    needed = first + size + round(values[-1] / 1000 * SAMPLE_RATE_HZ) if kind == "shift" else first + 1
    if samples < needed:
        needed_s = -(-needed * 1000 // SAMPLE_RATE_HZ) / 1000  # rounded up, so that this much is enough
        raise PairAlignError(
            f"the recording lasts {samples / SAMPLE_RATE_HZ:.3f} s and this {kind} sweep needs {needed_s:.3f} s. "
            f"Use a longer recording, or a smaller {'start, stop or window' if kind == 'shift' else 'start'}."
        )


def _changed(wave: np.ndarray, kind: str, values: Sequence[float], seed: int) -> list[np.ndarray]:
    """The wave at every noise level, speed or warp."""
    if kind == "warp":
        return [wave] * len(values)
    import torch

    from pairalign.views import ViewParameters, make_view

    segment, lengths = torch.from_numpy(np.ascontiguousarray(wave))[None], torch.tensor([len(wave)])
    neutral = replace(ViewParameters.neutral(1), noise_slope=torch.tensor([NOISE_SLOPE]))
    field = {"snr": "snr_db", "speed": "speed"}[kind]
    heard = []
    for value in values:
        # the generator starts anew, so that the same noise only grows louder
        generator = torch.Generator().manual_seed(int(seed))
        view = make_view(segment, lengths, replace(neutral, **{field: torch.tensor([value])}), generator)
        heard.append(view.wave[0].numpy())
    return heard
