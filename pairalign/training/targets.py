"""Target strings with times: what they are, those of the EMA teacher (stage III), length control.

Shapes: B batch, T frames, U tokens.
"""

from dataclasses import dataclass

import numpy as np
import torch

from pairalign.decoding import DecodingOptions, decode, length_limits
from pairalign.features import LogMel
from pairalign.model import PairAlignModel
from pairalign.model.decoder import Condition
from pairalign.model.encoder import FRAME_RATE_HZ
from pairalign.model.network import Encoded
from pairalign.placement import token_starts
from pairalign.training.losses import IGNORED, Strings, pack_strings
from pairalign.views import View

AUDIBLE_S = 0.02  # a token with less than this left in a view is not asked of it


@dataclass(frozen=True)
class Target:
    """A string with the frame each token starts at, and the frame the last one ends at (frames need not be whole)."""

    ids: list[int]
    starts: list[float]
    end: float

    def kept(self, keep: list[int]) -> "Target":
        """Only the tokens at those positions, repeats collapsed; a dropped token's stretch goes to the one before."""
        ids: list[int] = []
        starts: list[float] = []
        for u in keep:
            if not ids or self.ids[u] != ids[-1]:
                ids.append(self.ids[u])
                starts.append(self.starts[u] if starts else 0)
        return Target(ids, starts, self.end)


def teacher_targets(
    teacher: PairAlignModel, features: LogMel, encoded: Encoded, condition: Condition, options: DecodingOptions
) -> list[Target]:
    """Strings the EMA teacher decodes, placed on the time axis."""
    decoded = decode(teacher.decoder, condition, *length_limits(features, options), options)
    starts = token_starts(teacher, encoded, decoded.tokens, decoded.lengths, decoded.attention)
    rows = zip(
        decoded.tokens.tolist(), decoded.lengths.tolist(), starts.tolist(), encoded.lengths.tolist(), strict=True
    )
    return [Target(ids[:n], first[:n], frames) for ids, n, first, frames in rows]


def aim_at_view(
    targets: list[Target], view: View, frames: torch.Tensor, eos_id: int
) -> tuple[Strings, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Targets of the undistorted source as targets of a view: without the tokens its shift cut away, in its time.

    Args: frames (B,) valid frames of the view.
    Returns: strings, starts (B, U), ends (B, U) in the view's frames, known (B, U): False at EOS and padding.
    """
    shift_s, speed = view.time_map.shift_s.tolist(), view.time_map.speed.tolist()
    strings, spans = [], []
    for target, shift, fast, total in zip(targets, shift_s, speed, frames.tolist(), strict=True):
        edges = [((t / FRAME_RATE_HZ) - shift) / fast for t in [*target.starts, target.end]]
        kept = [u for u in range(len(target.ids)) if edges[u + 1] > AUDIBLE_S] or [len(target.ids) - 1]
        strings.append([target.ids[u] for u in kept])
        spans.append([_frame_span(edges[u], edges[u + 1], total) for u in kept])
    packed = pack_strings(strings, eos_id, frames.device)
    starts, ends = torch.zeros_like(packed.ids), torch.zeros_like(packed.ids)
    for row, span in enumerate(spans):
        starts[row, : len(span)] = torch.tensor([s for s, _ in span], device=starts.device)
        ends[row, : len(span)] = torch.tensor([e for _, e in span], device=ends.device)
    return packed, starts, ends, (packed.ids != IGNORED) & (packed.ids != eos_id)


def _frame_span(start_s: float, end_s: float, total: int) -> tuple[int, int]:
    start = min(max(round(start_s * FRAME_RATE_HZ), 0), total - 1)
    return start, min(max(round(end_s * FRAME_RATE_HZ), start + 1), total)


def shorten(
    targets: list[Target], scores: np.ndarray, durations_s: list[float], rate_hz: float
) -> tuple[list[Target], int]:
    """Length control: of a string longer than ``rate_hz * duration`` keep the best-scored tokens in order.

    Args: scores (B, U) worth of each token. Returns: the targets and how many tokens were dropped.
    """
    kept, dropped = [], 0
    for target, worth, duration_s in zip(targets, scores, durations_s, strict=True):
        wanted = max(1, round(rate_hz * duration_s))
        if len(target.ids) > wanted:
            best = np.argsort(-worth[: len(target.ids)], kind="stable")[:wanted]
            shorter = target.kept(sorted(best.tolist()))
            dropped += len(target.ids) - len(shorter.ids)
            target = shorter
        kept.append(target)
    return kept, dropped
