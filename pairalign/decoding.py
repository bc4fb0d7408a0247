"""Batched, length-constrained decoding: greedy and beam search over cached keys and values.

Shapes: B batch, N beams, U tokens, T condition frames, V outputs (codes and EOS).
"""

from dataclasses import dataclass

import torch

from pairalign.arguments import is_number, is_whole
from pairalign.beam_search import Decoded, beam_search, constrain
from pairalign.errors import PairAlignError
from pairalign.evidence import Evidence
from pairalign.features import MEL_RATE_HZ, LogMel
from pairalign.model.decoder import Condition, Decoder
from pairalign.model.encoder import encoder_lengths


@dataclass(frozen=True)
class DecodingOptions:
    """How a string is searched for and how long it may be.

    beam: strings kept per recording (1 = greedy).
    evidence: how much the names that the frames give themselves (`pairalign.evidence`) count beside the decoder's own
        choice, which also leans on what it has written so far. 0: not at all.
    max_rate_hz, min_rate_hz: tokens per second of *active* speech; quiet_rate_hz: extra room per second of pause.
    temperature: 0 writes the likeliest token; above 0 tokens are drawn from softmax(scores / temperature), with beam 1.
    seed: which string is drawn. All recordings share the luck of a seed, so that a string does not depend on what else
        is in the batch; draw several strings of a recording with several seeds.
    wanted_tokens: exactly so many tokens per window, or as many as it has frames, instead of the limits by rate.
    """

    beam: int = 1
    evidence: float = 2.0
    max_rate_hz: float = 22.0
    min_rate_hz: float = 2.0
    quiet_rate_hz: float = 8.0
    temperature: float = 0.0
    seed: int = 0
    wanted_tokens: int | None = None

    def __post_init__(self) -> None:
        if not (is_whole(self.beam) and 1 <= self.beam <= 16):
            raise PairAlignError(f"beam is {self.beam!r}; use a whole number from 1 (greedy) to 16.")
        if not (is_number(self.evidence) and 0 <= self.evidence <= 100):
            raise PairAlignError(f"evidence is {self.evidence!r}; use 0 (none) to 100.")
        rates = (self.min_rate_hz, self.max_rate_hz)
        if not (all(map(is_number, rates)) and 0 <= self.min_rate_hz < self.max_rate_hz <= 50):
            raise PairAlignError(
                f"min_rate_hz {rates[0]!r} and max_rate_hz {rates[1]!r} must satisfy 0 <= min < max <= 50."
            )
        if not (is_number(self.quiet_rate_hz) and 0 <= self.quiet_rate_hz <= 50):
            raise PairAlignError(f"quiet_rate_hz is {self.quiet_rate_hz!r}; use 0 to 50.")
        if not (is_number(self.temperature) and 0 <= self.temperature <= 10):
            raise PairAlignError(f"temperature is {self.temperature!r}; use 0 (the most likely string) to 10.")
        if self.temperature > 0 and self.beam > 1:
            raise PairAlignError(
                f"temperature is {self.temperature} and beam is {self.beam}; a beam search draws nothing. "
                "Use beam 1 to draw a string, or temperature 0 to search for the best one."
            )
        if not (is_whole(self.seed) and 0 <= self.seed < 2**63):
            raise PairAlignError(f"seed is {self.seed!r}; use a whole number from 0.")
        wanted = self.wanted_tokens
        if wanted is not None and not (is_whole(wanted) and wanted >= 1):
            raise PairAlignError(f"wanted_tokens is {wanted!r}; use a whole number from 1, or None for any.")
        for name in ("beam", "seed", "wanted_tokens"):  # 4.0, as a slider gives it, is 4
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else int(value))


def check_options(options: object) -> None:
    """Raises: PairAlignError for anything but `DecodingOptions`."""
    if not isinstance(options, DecodingOptions):
        raise PairAlignError(f"options is of type {type(options).__name__}; use DecodingOptions(…).")


def length_limits(features: LogMel, options: DecodingOptions) -> tuple[torch.Tensor, torch.Tensor]:
    """(L_min, L_max), each (B,): fewest and most tokens, scaled by active speech so that silence may be short.

    Both are `wanted_tokens` where that is given.
    """
    frames = encoder_lengths(features.lengths)  # every token needs a frame of its own
    if options.wanted_tokens is not None:
        wanted = frames.clamp(max=min(options.wanted_tokens, 2**31))
        return wanted, wanted
    active_s = features.active.sum(1) / MEL_RATE_HZ
    quiet_s = features.lengths / MEL_RATE_HZ - active_s
    most = torch.ceil(options.max_rate_hz * active_s + options.quiet_rate_hz * quiet_s).long() + 3
    most = torch.minimum(most, frames)
    fewest = torch.floor(options.min_rate_hz * active_s).long().clamp(min=1)
    return torch.minimum(fewest, most), most


@torch.no_grad()
def decode(
    decoder: Decoder,
    condition: Condition,
    fewest: torch.Tensor,
    most: torch.Tensor,
    options: DecodingOptions = DecodingOptions(),  # noqa: B008 (frozen)
) -> Decoded:
    """Write one string per condition.

    Args: condition of B recordings; fewest, most (B,): no EOS before `fewest` tokens, EOS forced at `most`.
    A token never repeats the one before it.
    """
    if options.beam > 1:
        return beam_search(decoder, condition, fewest, most, options.beam, options.evidence)
    return _step_by_step(decoder, condition, fewest, most, options)


def _luck(outputs: int, generator: torch.Generator) -> torch.Tensor:
    """Gumbel noise (V,), the same on every device: the largest of log p + noise is a draw from p."""
    return -torch.empty(outputs).exponential_(generator=generator).log()


def _step_by_step(
    decoder: Decoder, condition: Condition, fewest: torch.Tensor, most: torch.Tensor, options: DecodingOptions
) -> Decoded:
    """One token after the other, the best or a drawn one, never taken back."""
    rows, eos = len(most), decoder.eos_id
    heard, generator = Evidence(condition), torch.Generator().manual_seed(options.seed)
    every = torch.arange(rows, device=most.device)
    steps = int(most.max()) + 1
    caches = decoder.start(condition, steps)
    token = torch.full_like(most, decoder.bos_id)
    finished = torch.zeros_like(most, dtype=torch.bool)
    chose_eos = torch.zeros_like(finished)
    tokens, log_probs, attentions = [], [], []
    for u in range(steps):
        logits, attention = decoder.step(token, u, caches, condition.valid)
        gains = heard.gains()
        scores = heard.weigh(logits, attention, gains, options.evidence)
        worth = scores
        if options.temperature > 0:
            worth = scores + options.temperature * _luck(eos + 1, generator).to(scores.device)
        free = constrain(worth, u, token, fewest, most.new_full((rows,), steps), eos)
        would_stop = free.argmax(1) == eos
        allowed = constrain(worth, u, token, fewest, most, eos)
        chosen = torch.where(finished, eos, allowed.argmax(1))
        log_prob = logits.log_softmax(1).gather(1, chosen[:, None])[:, 0]  # of the decoder, however it was chosen
        tokens.append(chosen)
        log_probs.append(log_prob.masked_fill(finished, 0.0))
        attentions.append(attention)
        chose_eos |= would_stop & ~finished & (chosen == eos)
        heard.follow(every, chosen, gains)
        finished |= chosen == eos
        token = chosen
        if bool(finished.all()):
            break
    written = torch.stack(tokens, 1)
    return Decoded(
        written[:, :-1], (written != eos).sum(1), torch.stack(log_probs, 1), chose_eos, torch.stack(attentions, 1)
    )
