"""Two recordings as they are: all of both, nothing changed, aligned. No Gradio in here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.result import ModelInfo, decoding_options, string_document
from app.services import Services
from app.stretch import Stretch
from pairalign.errors import PairAlignError
from pairalign.strings import TokenString, align
from pairalign.tokenizer import Tokenizer


@dataclass(frozen=True)
class RecordingPair:
    """The strings of two whole recordings, and where each comes from."""

    strings: tuple[TokenString, TokenString]
    stretches: tuple[Stretch, Stretch]
    model: ModelInfo

    def to_document(self) -> dict[str, Any]:
        """What `python -m pairalign align --json` prints, with what was used of each recording."""
        a, b = self.strings
        found = align(a, b)
        return self.model.to_document() | {
            "options": {"method": a.method, "decoding": decoding_options(self.strings)},
            "recordings": {side: one.to_document() for side, one in zip("ab", self.stretches, strict=True)},
            "a": string_document(a),
            "b": string_document(b),
            "distance": found.distance,
            "normalized": found.normalized,
            "edits": [{"op": edit.op, "a": edit.a, "b": edit.b} for edit in found.edits],
        }


def align_recordings(
    services: Services, audio: str | None, audio_b: str | None, method: str, run_id: str = ""
) -> RecordingPair:
    """Tokenize both recordings as they are, with one method.

    Raises: ValueError for recordings or a method that cannot be used; Cancelled after `services.stop`.
    """
    if audio and not audio_b:
        raise PairAlignError("There is no second recording: give one as audio_b.")
    with services.running(run_id) as report:
        waves = [services.read(path) for path in (audio, audio_b)]
        report(0.1)
        a, b = services.compute(Tokenizer.tokenize_batch, waves, method=method)
        whole_a, whole_b = (
            Stretch.whole(str(path), len(wave)) for path, wave in zip((audio, audio_b), waves, strict=True)
        )
        return RecordingPair((a, b), (whole_a, whole_b), services.model_info())
