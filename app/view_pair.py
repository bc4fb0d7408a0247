"""Two views of one recording, or two recordings, and their strings. No Gradio in here.

Shapes: T samples at 16 kHz; S strings, C conditions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app.result import decoding_options
from app.services import ModelInfo, Progress, Services, TokenizeResult, mel_image, to_int16, wave_envelope
from app.stretch import Stretch
from app.view_settings import ViewSettings
from pairalign.audio import SAMPLE_RATE_HZ, wave_from_array
from pairalign.codec import through_codec
from pairalign.errors import PairAlignError
from pairalign.likelihood import log_likelihoods
from pairalign.strings import TokenString, align, jaccard, lcs_ratio
from pairalign.tokenizer import Tokenizer
from pairalign.views import View, make_view
from pairalign.windows import WINDOW_S

SHORTEST_S = 0.2  # of the recording, so that a fast view of it is still long enough for the tokenizer
UNRELATED = 3
METHODS = ("pairalign", "vq", "viterbi", "bpe")


@dataclass(frozen=True)
class Source:
    """The stretch of a recording that is listened to: samples (T,), where it starts, and how long the whole lasts."""

    file_name: str
    wave: np.ndarray
    start_s: float
    duration_s: float

    @property
    def end_s(self) -> float:
        """Where the stretch ends in the recording."""
        return self.start_s + len(self.wave) / SAMPLE_RATE_HZ

    @property
    def stretch(self) -> Stretch:
        """The same without its sound."""
        return Stretch(self.file_name, self.start_s, self.end_s, self.duration_s)


@dataclass(frozen=True)
class Side:
    """One of the two: where it comes from, how it was changed, and its string, with what draws and plays it.

    wave: (T,) float32, what was tokenized; `view` knows its time map and its vocal-tract factor.
    """

    source: Source
    settings: ViewSettings
    view: View
    wave: np.ndarray
    string: TokenString

    def times_in_source_s(self) -> np.ndarray:
        """Middle of every token, in seconds of the recording before it was changed."""
        middles = torch.tensor([[(start + end) / 2 for start, end in self.string.spans_s]])
        return self.view.time_map.to_source(middles)[0].numpy() + self.source.start_s

    def drawable(self, model: ModelInfo) -> TokenizeResult:
        """As the figures take it."""
        return TokenizeResult(
            file_name=self.source.file_name,
            duration_s=len(self.wave) / SAMPLE_RATE_HZ,
            samples=to_int16(self.wave),
            opening=self.wave,
            envelope=wave_envelope(self.wave),
            mel=mel_image(self.wave, warp=self.settings.warp),
            strings={self.string.method: self.string},
            seconds=0.0,
            model=model,
        )


@dataclass(frozen=True)
class ViewPair:
    """Both sides; `same_source` where they are views of one recording, so that their times can be compared."""

    a: Side
    b: Side
    method: str
    same_source: bool
    model: ModelInfo

    @property
    def apart_ms(self) -> float | None:
        """Mean distance of matched tokens in time of the source; None without a common source or a match."""
        matches = [(e.a, e.b) for e in align(self.a.string, self.b.string).edits if e.op == "match"]
        if not matches or not self.same_source:
            return None
        in_a, in_b = (list(index) for index in zip(*matches, strict=True))
        apart_s = self.a.times_in_source_s()[in_a] - self.b.times_in_source_s()[in_b]
        return float(np.abs(apart_s).mean() * 1000)

    def to_document(self) -> dict[str, Any]:
        """The public answer: strings, their distances and edits as `python -m pairalign align` gives them."""
        a, b = self.a.string, self.b.string
        found = align(a, b)
        return self.model.to_document() | {
            "options": {"method": self.method, "decoding": decoding_options((a, b))},
            "method": self.method,
            "recordings": {side: one.source.stretch.to_document() for side, one in (("a", self.a), ("b", self.b))},
            "a": a.to_dict(),
            "b": b.to_dict(),
            "views": {"a": self.a.settings.to_dict(), "b": self.b.settings.to_dict()},
            "distance": found.distance,
            "normalized": found.normalized,
            "jaccard": jaccard(a.ids, b.ids),
            "lcs": lcs_ratio(a.ids, b.ids),
            "apart_ms": self.apart_ms,
            "edits": [{"op": edit.op, "a": edit.a, "b": edit.b} for edit in found.edits],
        }


def methods(services: Services) -> tuple[str, ...]:
    """The methods to choose from: those of `METHODS` that the loaded checkpoint can make."""
    return tuple(method for method in METHODS if method in services.methods())


def compare(
    services: Services,
    audio: str | Path | None,
    view_a: Mapping[str, Any] | None = None,
    view_b: Mapping[str, Any] | None = None,
    method: str = "pairalign",
    start_s: float = 0.0,
    audio_b: str | Path | None = None,
    start_b_s: float = 0.0,
    progress: Progress | None = None,
    run_id: str = "",
    before: ViewPair | None = None,
) -> ViewPair:
    """Make view A and view B of a recording (B of `audio_b` where given) and tokenize both in one batch.

    start_s, start_b_s: where the stretch of at most `WINDOW_S` begins; start_b_s counts only with `audio_b`.
    before: an earlier result; where one of its sides sounds the same, its string is taken over.
    Raises: ValueError for settings, starts or recordings that cannot be used; Cancelled after `services.stop`.
    """
    with services.running(run_id, progress) as report:
        settings = [ViewSettings.from_dict(view) for view in (view_a, view_b)]
        # both views hear the same stretch, and even the slower one fits one window of the model
        window_s = WINDOW_S * min(1.0, *(each.speed for each in settings))
        places = [(audio, start_s), (audio_b, start_b_s) if audio_b else (audio, start_s)]
        sides = [
            _make_side(_source(services, path, start, window_s, each), each)
            for (path, start), each in zip(places, settings, strict=True)
        ]
        report(0.2)
        if before is not None and before.model.sha256 != services.model_info().sha256:
            before = None
        known = [_known(before, wave, each, method) for (_, _, wave), each in zip(sides, settings, strict=True)]
        new = [k for k, string in enumerate(known) if string is None]
        waves, warps = [sides[k][2] for k in new], [settings[k].warp for k in new]
        # nothing new needs no turn, nor a slot
        made = iter(services.compute(Tokenizer.tokenize_batch, waves, method=method, warps=warps) if new else ())
        strings = [next(made) if string is None else string for string in known]
        report(1.0)
        a, b = (
            Side(source, each, view, wave, string)
            for (source, view, wave), each, string in zip(sides, settings, strings, strict=True)
        )
        return ViewPair(a, b, method, not audio_b, services.model_info())


def _known(before: ViewPair | None, wave: np.ndarray, settings: ViewSettings, method: str) -> TokenString | None:
    """The string of a side of `before` that sounds the same; strings do not depend on what is in their batch."""
    if before is None or before.method != method:
        return None
    same = (s for s in (before.a, before.b) if s.settings.warp == settings.warp and np.array_equal(s.wave, wave))
    return next((side.string for side in same), None)


def _source(
    services: Services, path: str | Path | None, start_s: float, window_s: float, settings: ViewSettings
) -> Source:
    """The stretch of a recording that a view is made of: a later start of the view slides it along."""
    wave = services.read(path)
    duration_s = len(wave) / SAMPLE_RATE_HZ
    latest_s = max(duration_s - SHORTEST_S - settings.shift_ms / 1000, 0.0)
    numeric = isinstance(start_s, int | float) and not isinstance(start_s, bool)
    if not numeric or not 0 <= start_s <= latest_s + 1e-6:
        raise PairAlignError(
            f"The start is {str(start_s)[:20]!r}; for this recording of {duration_s:.2f} s and this view use 0 to"
            f" {latest_s:.2f} s."
        )
    first = round(start_s * SAMPLE_RATE_HZ)
    size = round((window_s + settings.shift_ms / 1000) * SAMPLE_RATE_HZ)
    return Source(Path(str(path)).name, wave[first : first + size], start_s, duration_s)


def _make_side(source: Source, settings: ViewSettings) -> tuple[Source, View, np.ndarray]:
    segment = torch.from_numpy(np.ascontiguousarray(source.wave))[None]
    view = make_view(segment, torch.tensor([segment.shape[1]]), settings.parameters(), settings.generator())
    heard = through_codec(view.wave[0].numpy(), settings.codec)
    # checked and brought into [-1, 1] as the tokenizer does it, so that what one hears is what it gets
    return source, view, wave_from_array(heard, SAMPLE_RATE_HZ)


@dataclass(frozen=True)
class CrossLikelihood:
    """Mean log p per token, nat, of every string (rows) under every recording (columns): `values` is (S, C)."""

    names: tuple[str, ...]
    values: np.ndarray
    warped: bool

    @property
    def contrast(self) -> float | None:
        """How much likelier A and B are under A and B than under unrelated recordings, nat per token."""
        if len(self.names) == 2:
            return None
        return float(self.values[:2, :2].mean() - self.values[:2, 2:].mean())


def cross_likelihood(
    services: Services, pair: ViewPair, others: Sequence[Mapping[str, str]], run_id: str = ""
) -> CrossLikelihood:
    """The strings of A, B and `others` ("name" and "file" of each), every one under the sound of all of them."""
    services.check_model(pair.model)
    with services.running(run_id) as report:
        waves = [services.read(entry["file"])[: round(WINDOW_S * SAMPLE_RATE_HZ)] for entry in others]
        report(0.5)
        values = services.compute(_crossed, (pair.a.string, pair.b.string), (pair.a.wave, pair.b.wave), waves)
        names = ("A", "B", *(entry["name"] for entry in others))
        return CrossLikelihood(names, values, any(side.settings.warp != 1 for side in (pair.a, pair.b)))


def _crossed(
    tokenizer: Tokenizer, strings: Sequence[TokenString], heard: Sequence[np.ndarray], others: Sequence[np.ndarray]
) -> np.ndarray:
    """(S, S) of the strings with their recordings, and of others (T,) whose strings are written here."""
    written = tokenizer.tokenize_batch(others, method=strings[0].method)
    return log_likelihoods(tokenizer, [*strings, *written], [*heard, *others])


def unrelated(entries: Sequence[Mapping[str, str]], pair: ViewPair) -> list[Mapping[str, str]]:
    """Up to `UNRELATED` recordings ("file", "text") that say something else than A and B, one per sentence."""
    heard = {side.source.file_name for side in (pair.a, pair.b)}
    said = {entry["text"] for entry in entries if Path(entry["file"]).name in heard}
    found: dict[str, Mapping[str, str]] = {}
    for entry in entries:
        if entry["text"] not in said:
            found.setdefault(entry["text"], entry)
    return list(found.values())[:UNRELATED]
