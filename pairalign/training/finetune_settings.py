"""What a person chooses for a fine-tuning run, and the training configuration it means."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pairalign.checkpoint import atomic_write_json
from pairalign.errors import PairAlignError
from pairalign.home import checked_name, one_line
from pairalign.training.config import TrainConfig, parse_overrides

SETTINGS_FILE = "settings.json"
DEVICES = ("auto", "cpu", "cuda")
LIMITS: dict[str, tuple[float, float]] = {
    "minutes": (0.2, 24 * 60), "learning_rate": (1e-6, 1e-2), "view_strength": (0.1, 1.5), "batch": (2, 512),
    "keep_base": (0, 1), "seed": (0, 2**31),
}  # fmt: skip
WANTED_HZ = (4.0, 20.0)


class SettingsError(PairAlignError):
    """Settings that make no sense; the message says which and what is allowed."""


@dataclass(frozen=True)
class FinetuneSettings:
    """One run. The encoder and its codes stay as they are: only what writes the strings learns.

    name: of the run and of the checkpoint it makes. data: manifest or folder. init: the checkpoint to start from.
    wanted_rate_hz: tokens per second; 0 keeps what `init` writes. Otherwise the strings to learn are made from codes.
    view_strength: how much the recordings are disturbed while learning; 1 is as in the training of `base`.
    keep_base: share of `init`'s weights in the result (0: none); more costs other speakers less and gains less.
    licence: what the person said about the use of their recordings, for the model card.
    overrides: NAME=VALUE for any field of TrainConfig.
    """

    name: str
    data: str
    init: str = "base"
    minutes: float = 10.0
    learning_rate: float = 1e-4
    wanted_rate_hz: float = 0.0
    view_strength: float = 1.0
    batch: int = 24
    keep_base: float = 0.0
    share_words: bool = True
    licence: str = ""
    device: str = "auto"
    seed: int = 1
    overrides: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises SettingsError when a value makes no sense."""
        checked_name(self.name, "name for a checkpoint")
        for name in ("data", "init", "licence", "device"):
            if not isinstance(getattr(self, name), str):
                raise SettingsError(f"{name} is {str(getattr(self, name))[:40]}; give a text.")
        for name, (low, high) in LIMITS.items():
            if not low <= getattr(self, name) <= high:  # NaN fails too
                raise SettingsError(f"{name} is {getattr(self, name)}; use {low:g} to {high:g}.")
        if self.wanted_rate_hz != 0 and not WANTED_HZ[0] <= self.wanted_rate_hz <= WANTED_HZ[1]:
            raise SettingsError(
                f"wanted_rate_hz is {self.wanted_rate_hz}; use {WANTED_HZ[0]:g} to {WANTED_HZ[1]:g} tokens per second, "
                "or 0 to keep the rate of the base checkpoint."
            )
        if self.device not in DEVICES:
            raise SettingsError(f"device is {one_line(repr(self.device), 40)}; use one of {', '.join(DEVICES)}.")
        if not self.data or not self.init:
            raise SettingsError("data and init must be given: recordings to learn from, a checkpoint to start from.")
        parse_overrides(list(self.overrides))

    def config(self, steps: int, rate_hz: float) -> TrainConfig:
        """The training configuration for so many steps; rate_hz: what `init` writes on these recordings."""
        values = {
            "seed": self.seed,
            "stage1_steps": 0,
            "stage2_steps": 0,
            "stage3_steps": steps,
            "string_batch": self.batch,
            "stage3_learning_rate": self.learning_rate,
            "warmup_steps": max(1, min(50, steps // 10)),
            "ema_decay": min(0.996, 1 - 1 / max(10, steps / 10)),  # short runs need a teacher with a short memory
            "targets": "codes" if self.wanted_rate_hz else "own",
            "share_words": self.share_words,
            "wanted_rate_hz": self.wanted_rate_hz or min(max(rate_hz, 2.0), 22.0),
            "view_strength": self.view_strength,
            "teacher_targets": False,  # with little data the strings of the start are the safer ones
            "phone_pull": 0.0,  # phones that are heard, not told, make worse strings
            "prefix_corruption": 0.4,
            "validate_every": max(5, steps // 10),
            "validation_segments": 48,
            "save_every_s": 30.0,
        }
        return TrainConfig(**{**values, **parse_overrides(list(self.overrides))})

    def save(self, folder: Path) -> None:
        """Write them into the run folder."""
        atomic_write_json(folder / SETTINGS_FILE, asdict(self))


def read_settings(folder: Path) -> FinetuneSettings:
    """The settings of a run. Raises SettingsError when the folder holds none that can be read."""
    try:
        content = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
        known = {f.name: content[f.name] for f in fields(FinetuneSettings) if f.name in content}
        return FinetuneSettings(**{**known, "overrides": tuple(known.get("overrides", ()))})
    except FileNotFoundError:
        raise SettingsError(f"{folder} holds no fine-tuning run: there is no {SETTINGS_FILE}.") from None
    except SettingsError:
        raise
    except (OSError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise SettingsError(
            f"{folder / SETTINGS_FILE} cannot be read ({one_line(error, 200)}). Start a new run."
        ) from None
