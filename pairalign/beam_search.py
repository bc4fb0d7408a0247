"""Beam search: the likeliest strings of a batch of recordings, several per recording kept while they are written.

Shapes: B recordings being written, R = B x beams strings (row-major: a recording's beams side by side), U tokens,
T condition frames, V = K + 1 outputs.
"""

from dataclasses import dataclass

import torch

from pairalign.evidence import Evidence
from pairalign.model.decoder import Condition, Decoder

GIVE_WAY = 0.25  # the search goes on without the finished recordings when they are such a share


@dataclass(frozen=True)
class Decoded:
    """Strings of a batch.

    tokens (B, U): ids, EOS from each string's end on; lengths (B,) without EOS; log_probs (B, U + 1): the decoder's own
    log p of each token and of EOS, given the audio and the tokens before it, 0 after EOS, whatever else had a say in
    choosing them; chose_eos (B,): stopped by EOS rather than by the limit; attention (B, U + 1, T).
    """

    tokens: torch.Tensor
    lengths: torch.Tensor
    log_probs: torch.Tensor
    chose_eos: torch.Tensor
    attention: torch.Tensor


def constrain(
    logits: torch.Tensor, u: int, previous: torch.Tensor, fewest: torch.Tensor, most: torch.Tensor, eos: int
) -> torch.Tensor:
    """Logits (R, V) of position u with what is not allowed there set to -inf."""
    allowed = logits.clone()
    allowed[:, eos].masked_fill_(u < fewest, -torch.inf)
    again = previous[:, None].clamp(max=eos - 1)  # no token repeats at once; BOS and EOS are none
    allowed.scatter_(1, again, allowed.gather(1, again).masked_fill(previous[:, None] < eos, -torch.inf))
    allowed[:, :eos].masked_fill_((u >= most)[:, None], -torch.inf)
    return allowed


def beam_search(
    decoder: Decoder, condition: Condition, fewest: torch.Tensor, most: torch.Tensor, beams: int, evidence: float
) -> Decoded:
    """The string with the best mean score per token (EOS counted) of those found; arguments as for `decode`."""
    steps = int(most.max()) + 1
    search = _Search(decoder, condition, fewest, most, beams, steps)
    done = _Done(len(most), steps, condition.states.shape[1], decoder.eos_id, most.device)
    for u in range(steps):
        source = search.extend(u, evidence)
        over = search.finished.unflatten(0, (-1, beams)).all(1)
        if float(over.float().mean()) >= GIVE_WAY:
            done.add(search.recording[over], *search.best(over))
            if bool(over.all()):
                break
            source = search.drop(over, source)
        search.caches.reorder(source, u + 1)
    return done.decoded(u + 1, most)


class _Search:
    """All strings being written. After a step, caches still have to be reordered by the rows they came from."""

    def __init__(
        self,
        decoder: Decoder,
        condition: Condition,
        fewest: torch.Tensor,
        most: torch.Tensor,
        beams: int,
        steps: int,
    ) -> None:
        rows, device = len(most), most.device
        self.decoder, self.beams = decoder, beams
        self.valid, self.heard = condition.valid, Evidence(condition, beams)
        self.caches = decoder.start(condition, steps, beams)
        self.recording = torch.arange(rows, device=device)
        self.fewest, self.most = fewest.repeat_interleave(beams), most.repeat_interleave(beams)
        self.score = torch.full((rows, beams), -torch.inf, device=device)
        self.score[:, 0] = 0.0  # all beams start equal: only the first may spread
        self.token = torch.full((rows * beams,), decoder.bos_id, device=device)
        self.finished = torch.zeros(rows * beams, dtype=torch.bool, device=device)
        self.tokens = torch.zeros(rows * beams, 0, dtype=torch.long, device=device)
        self.log_probs = torch.zeros(rows * beams, 0, device=device)
        self.attention = torch.zeros(rows * beams, 0, condition.states.shape[1], device=device)

    def extend(self, u: int, evidence: float) -> torch.Tensor:
        """Write position u; returns the rows (R,) that the new strings go on from."""
        eos = self.decoder.eos_id
        logits, weights = self.decoder.step(self.token, u, self.caches, self.valid)
        gains = self.heard.gains()
        scores = self.heard.weigh(logits, weights, gains, evidence)
        scores[:, eos].masked_fill_(self.finished, 0.0)
        # a finished string goes on with EOS and nothing else
        allowed = constrain(scores, u, self.token, self.fewest, self.most.masked_fill(self.finished, u), eos)
        total = (self.score[:, :, None] + allowed.unflatten(0, (-1, self.beams))).flatten(1)
        self.score, pick = total.topk(self.beams, dim=1)
        source = (self._first_rows()[:, None] + pick // logits.shape[1]).flatten()
        self.token = (pick % logits.shape[1]).flatten()
        was_finished = self.finished[source]
        gained = logits.log_softmax(1)[source, self.token].masked_fill(was_finished, 0.0)
        self.tokens = torch.cat([self.tokens[source], self.token[:, None]], 1)
        self.log_probs = torch.cat([self.log_probs[source], gained[:, None]], 1)
        self.attention = torch.cat([self.attention[source], weights[source][:, None]], 1)
        self.heard.follow(source, self.token, gains)
        self.finished = was_finished | (self.token == eos)
        return source

    def best(self, over: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Tokens, log-probabilities and attention of the best strings of the recordings `over` (B,) bool."""
        lengths = (self.tokens != self.decoder.eos_id).sum(1).unflatten(0, (-1, self.beams))
        rows = (self._first_rows() + (self.score / (lengths + 1)).argmax(1))[over]
        return self.tokens[rows], self.log_probs[rows], self.attention[rows]

    def drop(self, over: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        """Go on without the recordings `over` (B,) bool; returns what is left of `source`."""
        kept = (~over).nonzero()[:, 0]
        rows = (kept[:, None] * self.beams + torch.arange(self.beams, device=kept.device)).flatten()
        self.recording, self.valid, self.score = self.recording[kept], self.valid[kept], self.score[kept]
        for name in ("fewest", "most", "token", "finished", "tokens", "log_probs", "attention"):
            setattr(self, name, getattr(self, name)[rows])
        self.heard.drop_but(kept, rows)
        self.caches.drop_but(kept)
        return source[rows]

    def _first_rows(self) -> torch.Tensor:
        return torch.arange(len(self.score), device=self.score.device) * self.beams


class _Done:
    """The strings of finished recordings, padded: ids (B, U), log p (B, U), attention (B, U, T)."""

    def __init__(self, rows: int, steps: int, frames: int, eos: int, device: torch.device) -> None:
        self.eos = eos
        self.tokens = torch.full((rows, steps), eos, device=device)
        self.log_probs = torch.zeros(rows, steps, device=device)
        self.attention = torch.zeros(rows, steps, frames, device=device)

    def add(self, recording: torch.Tensor, *found: torch.Tensor) -> None:
        """Recordings (B,) are these tokens, log-probabilities and attention, each (B, u, ...)."""
        for kept, new in zip((self.tokens, self.log_probs, self.attention), found, strict=True):
            kept[recording, : new.shape[1]] = new

    def decoded(self, steps: int, most: torch.Tensor) -> Decoded:
        """What was found in `steps` steps; a string that fills its limit in `most` (B,) was ended by it.

        Whether EOS would have won there is not tracked per beam.
        """
        lengths = (self.tokens != self.eos).sum(1)
        chosen = (lengths, self.log_probs[:, :steps], lengths < most, self.attention[:, :steps])
        return Decoded(self.tokens[:, : steps - 1], *chosen)
