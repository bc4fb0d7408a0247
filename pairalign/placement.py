"""Tokens of a decoded batch onto the time axis: cross-attention and code similarity through `timing`.

Shapes: B batch, U tokens, T frames.
"""

import numpy as np
import torch

from pairalign.model import PairAlignModel
from pairalign.model.network import Encoded
from pairalign.timing import emissions, monotone_starts


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
