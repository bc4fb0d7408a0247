"""How well a string fits a recording in the eyes of the decoder: mean log-probabilities, and where it looks.

The decoder is given the string and asked for its tokens (teacher forcing); nothing is searched for, and the frames'
own names (`evidence`) have no say.

Shapes: S strings, C recordings, U tokens of a string, T frames (20 ms).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from pairalign.arguments import is_whole
from pairalign.audio_input import load_waves
from pairalign.errors import PairAlignError
from pairalign.model.decoder import Condition
from pairalign.model.encoder import FRAME_RATE_HZ
from pairalign.strings import TokenString
from pairalign.training.losses import mean_log_probability, pack_strings

if TYPE_CHECKING:
    from pairalign.audio_input import Audio
    from pairalign.tokenizer import Tokenizer

BATCH = 64  # strings per call of the decoder


@dataclass(frozen=True)
class AttentionMap:
    """Where the decoder looks while it writes: weights (U + 1, T) float32, the last row for EOS; every row sums to 1.

    frame_s: seconds per column.
    """

    weights: np.ndarray
    frame_s: float = 1 / FRAME_RATE_HZ


@torch.inference_mode()
def log_likelihoods(
    tokenizer: Tokenizer, strings: Sequence[TokenString], audio: Sequence[Audio], *, sample_rate: int | None = None
) -> np.ndarray:
    """lbar(y | C), the mean log-probability per token of every string under every recording.

    Args:
        strings: S strings of this checkpoint's codes, generated or VQ ones.
        audio: C recordings that fit one window, as `Tokenizer.tokenize` takes them.
        sample_rate: hertz of samples that come without a rate; 16,000 when it is None.
    Returns: (S, C) in nats, EOS counted as a token.
    Raises: AudioError for audio that cannot be used; ValueError for strings of another checkpoint or of other symbols
        than codes ("bpe", "mfcc"), and for recordings longer than a window.
    """
    if isinstance(strings, (TokenString, str)) or not isinstance(strings, Sequence):
        raise PairAlignError("strings must be a list of token strings; put a single one in a list.")
    for string in strings:
        _check(tokenizer, string)
    waves = load_waves(audio, sample_rate)
    found = np.zeros((len(strings), len(waves)))
    for c, one in enumerate(waves):
        condition = tokenizer.condition(one)
        for start in range(0, len(strings), BATCH):
            found[start : start + BATCH, c] = _log_likelihoods(tokenizer, strings[start : start + BATCH], condition)
    return found


def condition_gains(
    tokenizer: Tokenizer,
    strings: Sequence[TokenString],
    waves: Sequence[np.ndarray],
    unrelated: Sequence[int] | None = None,
) -> np.ndarray:
    """G = lbar(y | own audio) - lbar(y | unrelated audio) of every string, nat per token (method: anti-bypass).

    Args:
        waves: at least two recordings (T,) at 16 kHz that fit one window, and their `strings`.
        unrelated: for each, the index of a recording that says something else; by default the next in the list.
    Raises: as `log_likelihoods`; PairAlignError for lists that do not fit together.
    """
    count = len(waves)
    if count < 2:
        raise PairAlignError("condition_gain compares with unrelated audio: give two recordings or more.")
    other = [(i + 1) % count for i in range(count)] if unrelated is None else list(unrelated)
    if len(strings) != count or len(other) != count:
        raise PairAlignError(f"{count} recordings need {count} strings and as many unrelated indices.")
    if not all(is_whole(k) and 0 <= k < count for k in other):
        raise PairAlignError(f"unrelated is {unrelated!r}; use indices of recordings, 0 to {count - 1}.")
    pairs = [(waves[i], waves[int(other[i])]) for i in range(count)]
    gains = [log_likelihoods(tokenizer, [string], pair)[0] for string, pair in zip(strings, pairs, strict=True)]
    return np.array([own - unrelated for own, unrelated in gains])


@torch.inference_mode()
def attention_map(
    tokenizer: Tokenizer, audio: Audio, string: TokenString, *, sample_rate: int | None = None
) -> AttentionMap:
    """Cross-attention of the decoder block that timing is recovered from, given a recording and its (or any) string.

    Raises: as `log_likelihoods`.
    """
    _check(tokenizer, string)
    decoder = tokenizer.model.decoder
    inputs = torch.tensor([[decoder.bos_id, *string.ids]], device=tokenizer.device)
    _, attention = decoder(inputs, tokenizer.condition(audio, sample_rate=sample_rate))
    return AttentionMap(attention[0].float().cpu().numpy())


def _log_likelihoods(tokenizer: Tokenizer, strings: Sequence[TokenString], condition: Condition) -> np.ndarray:
    """(S,) under the condition of one recording. Padding is after a string, where a causal decoder does not look."""
    decoder = tokenizer.model.decoder
    packed = pack_strings([list(string.ids) for string in strings], decoder.eos_id, tokenizer.device)
    everywhere = torch.zeros(len(strings), dtype=torch.long, device=tokenizer.device)
    logits, _ = decoder(packed.inputs(decoder.bos_id), condition.rows(everywhere))
    return mean_log_probability(logits, packed).cpu().numpy()


def _check(tokenizer: Tokenizer, string: TokenString) -> None:
    """Refuses a string that the decoder of this checkpoint cannot have written."""
    if not isinstance(string, TokenString):
        raise PairAlignError(
            f"a value of type {type(string).__name__} is no token string; give what `tokenize` returns."
        )
    if string.model_sha256 != tokenizer.sha256:
        raise PairAlignError(
            f"the string is of another checkpoint ({string.model_sha256[:12]}, not {tokenizer.sha256[:12]}). "
            "Tokenize the recording again with this one."
        )
    codes = tokenizer.vocab_size
    if string.alphabet != "codes" or not all(0 <= token < codes for token in string.ids):
        raise PairAlignError(
            f"the string of method {string.method!r} has other symbols than the decoder's {codes} codes. "
            "Use a string of method 'pairalign' or 'vq'."
        )
