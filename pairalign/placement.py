"""Tokens of a decoded batch onto the time axis: cross-attention and code similarity through `timing`.

Shapes: B batch, U tokens, T frames.
"""

import numpy as np
import torch

from pairalign.decoding import Decoded
from pairalign.model import PairAlignModel
from pairalign.model.encoder import FRAME_RATE_HZ
from pairalign.model.network import Encoded
from pairalign.timing import emissions, monotone_starts
from pairalign.windows import Piece, Window


def token_starts(
    model: PairAlignModel, encoded: Encoded, tokens: torch.Tensor, lengths: torch.Tensor, attention: torch.Tensor
) -> np.ndarray:
    """First frame of every token (B, U); tokens (B, U), lengths (B,), attention (B, U or more, T)."""
    scores = model.codebook.log_scores(encoded.latents)
    ids = tokens.clamp(max=model.config.codes - 1)[:, :, None].expand(-1, -1, scores.shape[1])
    fit = emissions(
        attention[:, : tokens.shape[1]].float().cpu().numpy(),
        torch.gather(scores.transpose(1, 2), 1, ids).cpu().numpy(),
    )
    return monotone_starts(fit, lengths.cpu().numpy(), encoded.lengths.cpu().numpy())


def placed(windows: list[Window], decoded: Decoded, starts: np.ndarray, frames: torch.Tensor) -> list[Piece]:
    """The tokens of each window with seconds of its recording; starts (B, U) from `token_starts`, frames (B,)."""
    pieces = []
    for row, (window, count) in enumerate(zip(windows, decoded.lengths.tolist(), strict=True)):
        edges = [*starts[row, :count].tolist(), int(frames[row])]
        seconds = [min(window.start_s + t / FRAME_RATE_HZ, window.end_s) for t in edges]
        spans = list(zip(seconds[:-1], seconds[1:], strict=True))
        pieces.append(Piece(decoded.tokens[row, :count].tolist(), spans, decoded.log_probs[row, :count].tolist()))
    return pieces
