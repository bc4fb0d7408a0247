"""What a run of the app leaves behind: the strings of a recording with all that is needed to draw and play them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from app.stretch import Stretch
from pairalign.audio import SAMPLE_RATE_HZ
from pairalign.errors import PairAlignError
from pairalign.strings import TokenString
from pairalign.version import __version__


@dataclass(frozen=True)
class ModelInfo:
    """What the header tells about the loaded checkpoint."""

    name: str
    sha256: str
    device: str
    parameters: int
    vocab_size: int
    sidecar: Mapping[str, Any] = field(default_factory=dict)

    def to_document(self) -> dict[str, str]:
        """How JSON documents begin: what made them."""
        made_by = {"checkpoint": self.name, "model_sha256": self.sha256, "device": self.device}
        return made_by | {"version": __version__}


@dataclass(frozen=True)
class Envelope:
    """Lowest and highest sample of each bin of the waveform; ``times_s`` are the middles of the bins."""

    times_s: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class MelImage:
    """Log-mel energies scaled to 0–255; ``values`` is (bands, columns), a column lasts ``step_s``."""

    values: np.ndarray
    step_s: float


@dataclass(frozen=True)
class TokenizeResult:
    """One recording and its token strings, with what is needed to draw and to play it."""

    file_name: str
    duration_s: float
    samples: np.ndarray  # int16 at 16 kHz: exactly what was tokenized, for playback
    opening: np.ndarray  # the first seconds as the model reads them in one go, float32; all of a short recording
    envelope: Envelope
    mel: MelImage
    strings: Mapping[str, TokenString]
    seconds: float
    model: ModelInfo

    @property
    def is_short(self) -> bool:
        """Whether the model reads all of the recording in one go."""
        return self.opening.size >= round(self.duration_s * SAMPLE_RATE_HZ)

    @property
    def compared(self) -> tuple[str, str | None]:
        """The method the big figures tell about and the one they compare it with: PairAlign and VQ when chosen."""
        ours = "pairalign" if "pairalign" in self.strings else next(iter(self.strings))
        others = [method for method in self.strings if method != ours]
        return ours, "vq" if "vq" in others else next(iter(others), None)

    @property
    def saving(self) -> float | None:
        """Share of tokens saved against the compared method; negative when more are needed, None without any there."""
        ours, other = self.compared
        return saving(len(self.strings[ours]), len(self.strings[other])) if other else None

    def to_document(self) -> dict[str, Any]:
        """What ``python -m pairalign tokenize --json`` prints, for one file, with its name under "file".

        Not under "path": Gradio's client takes every object with that key for a file and tries to download it.
        """
        whole = Stretch(self.file_name, 0.0, self.duration_s, self.duration_s)
        strings = {method: string_document(string) for method, string in self.strings.items()}
        options = {"methods": list(self.strings), "decoding": decoding_options(self.strings.values())}
        return self.model.to_document() | {"options": options, "files": [whole.to_document() | {"strings": strings}]}


def string_document(string: TokenString) -> dict[str, Any]:
    """A token string with its `log_probs`, which are empty for methods without any."""
    return string.to_dict() | {"log_probs": [round(value, 5) for value in string.log_probs]}


def decoding_options(strings: Iterable[TokenString]) -> dict[str, Any] | None:
    """How the written ones of some strings were searched for, where nothing else was asked for; None without any."""
    from pairalign.tokenizer import BEAM  # torch is loaded where there are strings

    return asdict(BEAM) if any(string.method == "pairalign" for string in strings) else None


def still_kept(result: TokenizeResult | None) -> TokenizeResult:
    """The result that a page still holds on the server. Raises ValueError when it was let go."""
    if result is None:
        raise PairAlignError("The result is no longer on the server: press Tokenize again.")
    return result


def saving(n_ours: int, n_other: int) -> float | None:
    """1 − n_ours / n_other, or None when there is nothing to compare with."""
    return 1.0 - n_ours / n_other if n_other else None
