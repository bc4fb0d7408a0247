"""Timing recovery: tokens onto the time axis by the best monotone path (method: timing recovery).

Shapes: B batch, U tokens, T frames (20 ms).
"""

import numpy as np

from pairalign.errors import PairAlignError

ATTENTION_FLOOR = 1e-4  # a frame the decoder did not look at is unlikely, not impossible


def emissions(attention: np.ndarray, code_log_scores: np.ndarray | None, code_weight: float = 1.0) -> np.ndarray:
    """How well frame t fits token u, (B, U, T).

    Args: attention (B, U, T) mean cross-attention; code_log_scores (B, U, T) log-softmax of the frame's similarity to
    the token's code, or None once tokens no longer mean codes.
    """
    padded = np.pad(attention, ((0, 0), (0, 0), (1, 1)), mode="edge")
    smooth = np.median(np.stack([padded[:, :, :-2], attention, padded[:, :, 2:]]), axis=0)  # median of 3 frames
    fit = np.log(smooth + ATTENTION_FLOOR)
    return fit if code_log_scores is None else fit + code_weight * code_log_scores


def monotone_starts(fit: np.ndarray, tokens: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """First frame of every token on the best monotone path; every token gets at least one frame.

    Args: fit (B, U, T) from `emissions`; tokens (B,) string lengths; frames (B,) valid frames.
    Returns: starts (B, U), 0 for the first token; the last token ends at the last frame.
    Raises: ValueError when a string has more tokens than frames.
    """
    if (tokens > frames).any():
        raise PairAlignError(
            "A string has more tokens than frames; lower max_rate_hz so that every token gets a frame."
        )
    batch, size, total = fit.shape
    rows = np.arange(batch)
    best = np.full((batch, size), -np.inf)
    best[:, 0] = fit[:, 0, 0]
    moved = np.zeros((total, batch, size), dtype=bool)
    for t in range(1, total):
        arrived = np.concatenate([np.full((batch, 1), -np.inf), best[:, :-1]], axis=1)
        moved[t] = arrived > best
        best = np.maximum(best, arrived) + fit[:, :, t]
    starts = np.zeros((batch, size), dtype=int)
    # the path is read back from each string's own last token and last frame; later frames and tokens do not matter,
    # because best at (t, u) only depends on what is before them
    token = np.maximum(tokens - 1, 0)
    for t in range(total - 1, 0, -1):
        step = moved[t, rows, token] & (t < frames)
        starts[rows[step], token[step]] = t
        token = token - step
    return starts
