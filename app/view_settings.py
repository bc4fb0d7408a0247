"""The numbers on the sliders of a view: ranges, presets, and what the library makes of them. No Gradio in here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch

from pairalign.codec import CODECS
from pairalign.errors import PairAlignError
from pairalign.views import EQUALISER_POINTS, STRONG, ViewParameters, draw_parameters

MAX_SEED = 999_999
NOISES = ("none", "white", "pink", "brown")  # each steeper than the one before; `ViewParameters.noise_slope` counts it


@dataclass(frozen=True)
class Control:
    """A slider: its name on the page and the numbers it allows."""

    label: str
    lowest: float
    highest: float
    step: float


CONTROLS = {
    "shift_ms": Control("Start later, ms", 0, 300, 5),
    "speed": Control("Speed, times", 0.8, 1.25, 0.01),
    "warp": Control("Vocal tract, times", 0.85, 1.15, 0.01),
    "equaliser_db": Control("Equaliser, ± dB", 0, 12, 0.5),
    "t60_s": Control("Reverberation, s", 0, 0.4, 0.01),
    "snr_db": Control("Speech over noise, dB", 0, 40, 1),
    "gain_db": Control("Gain, dB", -12, 6, 0.5),
    "seed": Control("Seed", 0, MAX_SEED, 1),
}
CHOICES = {"noise": NOISES, "codec": CODECS}


@dataclass(frozen=True)
class ViewSettings:
    """A view in plain numbers; the default changes nothing.

    equaliser_db: size of a random gain curve; the seed draws the curve, the noise and the reverberation.
    snr_db counts only with a noise. Raises: ValueError for anything outside `CONTROLS` and `CHOICES`.
    """

    shift_ms: float = 0.0
    speed: float = 1.0
    warp: float = 1.0
    equaliser_db: float = 0.0
    t60_s: float = 0.0
    noise: str = "none"
    snr_db: float = 20.0
    gain_db: float = 0.0
    codec: str = "none"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, control in CONTROLS.items():
            object.__setattr__(self, name, _number(name, getattr(self, name), control))
        object.__setattr__(self, "seed", int(self.seed))
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise PairAlignError(f"{name} is {getattr(self, name)!r}; use one of {', '.join(allowed)}.")

    @staticmethod
    def from_dict(values: Mapping[str, Any] | None) -> ViewSettings:
        """Settings from names and numbers; what is not named stays as recorded."""
        if not isinstance(values or {}, Mapping):
            raise PairAlignError(f'A view is an object such as {{"speed": 1.1}}, not {str(values)[:40]!r}.')
        known = [field.name for field in fields(ViewSettings)]
        unknown = [str(name) for name in values or {} if name not in known]
        if unknown:
            raise PairAlignError(f"A view has no parameter {unknown[0][:40]!r}; use {', '.join(known)}.")
        return ViewSettings(**(values or {}))

    def to_dict(self) -> dict[str, Any]:
        """All parameters by name."""
        return asdict(self)

    def parameters(self) -> ViewParameters:
        """What `pairalign.views.make_view` takes, for a batch of one."""
        curve = 2 * torch.rand(1, EQUALISER_POINTS, generator=self.generator()) - 1
        return ViewParameters(
            torch.tensor([self.shift_ms]),
            torch.tensor([self.speed]),
            torch.tensor([self.warp]),
            curve * self.equaliser_db,
            torch.tensor([self.t60_s]),
            torch.tensor([torch.inf if self.noise == "none" else self.snr_db]),
            torch.tensor([max(NOISES.index(self.noise) - 1.0, 0.0)]),
            torch.zeros(1),
            torch.tensor([self.gain_db]),
        )

    def generator(self) -> torch.Generator:
        """The source of everything random in the view."""
        return torch.Generator().manual_seed(self.seed)

    def words(self) -> str:
        """What the view does, in words: 'speed 1.1 ×, pink noise at 12 dB'."""
        parts = {
            f"starts {self.shift_ms:g} ms later": self.shift_ms,
            f"speed {self.speed:g} ×": self.speed != 1,
            f"vocal tract {self.warp:g} ×": self.warp != 1,
            f"equaliser ± {self.equaliser_db:g} dB": self.equaliser_db,
            f"reverberation {self.t60_s:g} s": self.t60_s,
            f"{self.noise} noise at {self.snr_db:g} dB": self.noise != "none",
            f"gain {self.gain_db:+g} dB".replace("-", "−"): self.gain_db,
            f"codec {self.codec}": self.codec != "none",
        }
        return ", ".join(part for part, on in parts.items() if on) or "as recorded"


def _number(name: str, value: Any, control: Control) -> float:
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    if not numeric or not control.lowest <= value <= control.highest:  # also where it is NaN
        raise PairAlignError(
            f"{name} is {str(value)[:40]!r}; use a number from {control.lowest:g} to {control.highest:g}."
        )
    return float(value)


PRESETS = {
    "Clean": ViewSettings(),
    "Mild": ViewSettings(warp=1.02, equaliser_db=2, noise="pink", snr_db=30, gain_db=-3, seed=1),
    "Strong": ViewSettings(60, 1.06, 0.95, 6, 0.2, "pink", 14, -6, seed=2),
    "Telephone": ViewSettings(noise="white", snr_db=32, codec="telephone", seed=3),
    "Large room": ViewSettings(t60_s=0.4, noise="pink", snr_db=28, gain_db=-6, seed=4),
    "Noisy street": ViewSettings(noise="brown", snr_db=3, t60_s=0.08, seed=5),
    "Another voice (vocal tract)": ViewSettings(warp=1.12, seed=6),
    "Fast talker": ViewSettings(speed=1.2, seed=7),
    "Smallest MP3": ViewSettings(codec="mp3", seed=8),
}


OWN = "Your own"  # stands where the settings are those of no preset


def preset_name(settings: ViewSettings) -> str:
    """The preset that these settings are, or `OWN`."""
    return next((name for name, preset in PRESETS.items() if preset == settings), OWN)


def surprise(seed: int) -> ViewSettings:
    """A view as strong as those of the training, drawn by the seed."""
    drawn = draw_parameters(STRONG, 1, torch.Generator().manual_seed(seed))
    snr_db = float(drawn.snr_db)
    return ViewSettings(
        shift_ms=round(float(drawn.shift_ms)),
        speed=round(float(drawn.speed), 2),
        warp=round(float(drawn.warp), 2),
        equaliser_db=STRONG.equaliser_db,
        t60_s=round(float(drawn.t60_s), 2),
        noise=NOISES[1 + round(float(drawn.noise_slope))] if math.isfinite(snr_db) else "none",
        snr_db=round(snr_db) if math.isfinite(snr_db) else 20.0,
        gain_db=round(float(drawn.gain_db), 1),
        seed=seed,
    )
