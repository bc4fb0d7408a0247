"""What the frames themselves have to say about a string while it is written.

Every frame of a condition names the token it belongs to. A product of experts takes that into account, as where CTC
and attention decode together (Hori, Watanabe & Hershey 2017): the decoder, the names of the frames it attends to, and
the alignment of the whole string with the names of all frames. A string that is right passes through them from the
first frame to the last, every token holding a stretch; one that goes on as its own text suggests leaves frames
unaccounted for. How well a prefix fits the beginning of the recording is kept up by one step of the forward algorithm
per token.

Shapes: B batch, N beams, R = B * N rows (row 0's beams first), T frames, K codes, V = K + 1 outputs (codes and EOS).
"""

import torch
from torch.nn import functional as fn

from pairalign.model.decoder import Condition

SHARPNESS = 0.3  # power of a frame's names: the frames of a token all say the same thing, so each counts for little
# nats for every frame that a prefix accounts for: prefixes of a beam have equally many tokens, and without it those
# that have hardly got on with the recording seem best, so that strings get long
FRAME_WORTH = 1.3
NEVER = -1e9  # the score of what can not be; finite, so that differences stay numbers
ALIGNED = 0.25  # weight of the alignment beside the names under attention
LEAST_HEARD = 1e-4  # a token is never ruled out by the frames under attention alone
LEAST = 1e-30


def frame_scores(name_logits: torch.Tensor) -> torch.Tensor:
    """What each frame says of each token (B, T, K): FRAME_WORTH for the name it finds best, less for the others."""
    return SHARPNESS * (name_logits - name_logits.max(2, keepdim=True).values) + FRAME_WORTH


class Evidence:
    """Forward scores of the strings being written, logarithms of sums over all ways to lay a string on the frames.

    `through` (R, T + 1): that the string so far is what the first t frames say; `begins` (R,): that the recording
    begins with it.
    """

    def __init__(self, condition: Condition, beams: int = 1) -> None:
        self.named = condition.name_logits.softmax(2)
        names = frame_scores(condition.name_logits)
        self.log_names = names.masked_fill(~condition.valid[:, :, None], NEVER)
        self.names = self.log_names.exp()
        self.beams = beams
        rows, frames, device = len(names) * beams, names.shape[1], names.device
        self.recording = torch.arange(rows, device=device) // beams
        self.lengths = condition.lengths.to(device)[self.recording]
        self.through = torch.full((rows, frames + 1), NEVER, device=device)
        self.through[:, 0] = 0.0
        self.begins = torch.zeros(rows, device=device)

    def weigh(
        self, logits: torch.Tensor, attention: torch.Tensor, gains: torch.Tensor, evidence: float
    ) -> torch.Tensor:
        """Scores (R, V) of the next position: logits (R, V) of the decoder, which attends to (R, T), and evidence.

        The names under attention do not say where a string ends: they leave p(EOS) to the decoder and the alignment.
        """
        log_probs = logits.log_softmax(1)
        if evidence == 0:
            return log_probs
        heard = (attention.unflatten(0, (-1, self.beams)) @ self.named).flatten(0, 1).clamp(min=LEAST_HEARD).log()
        eos = log_probs[:, -1:]
        codes = (log_probs[:, :-1] + evidence * heard).log_softmax(1) + torch.log1p(-eos.exp().clamp(max=1 - 1e-6))
        return torch.cat([codes, eos], 1) + evidence * ALIGNED * gains

    def gains(self) -> torch.Tensor:
        """What each token adds as the next one (R, V); for EOS, that the string then has to hold all frames."""
        highest = self.through.max(1, keepdim=True).values
        ready = (self.through - highest).exp()[:, :-1]
        starts = (ready.unflatten(0, (-1, self.beams)) @ self.names).flatten(0, 1)
        codes = starts.clamp(min=LEAST).log() + highest
        ends = self.through.gather(1, self.lengths[:, None])
        return torch.cat([codes, ends], 1) - self.begins[:, None]

    def follow(self, source: torch.Tensor, token: torch.Tensor, gains: torch.Tensor) -> None:
        """Go on with the strings of rows `source` (R,), each with its `token` (R,); EOS leaves a row as it is."""
        codes = self.names.shape[2]
        through, begins = self.through[source], self.begins[source]
        said = self.log_names[self.recording, :, token.clamp(max=codes - 1)]
        spent = fn.pad(said.cumsum(1), (1, 0))  # the score of a token that holds all frames up to t
        begun = torch.logcumsumexp(through - spent, 1)[:, :-1]
        further = fn.pad(spent[:, 1:] + begun, (1, 0), value=NEVER).clamp(min=NEVER)
        goes_on = token < codes
        self.through = torch.where(goes_on[:, None], further, through)
        self.begins = torch.where(goes_on, begins + gains[source, token], begins)

    def drop_but(self, recordings: torch.Tensor, rows: torch.Tensor) -> None:
        """Go on with these recordings only, whose strings are in `rows`."""
        self.named, self.names, self.log_names = (x[recordings] for x in (self.named, self.names, self.log_names))
        self.lengths, self.through, self.begins = (x[rows] for x in (self.lengths, self.through, self.begins))
        self.recording = torch.arange(len(rows), device=rows.device) // self.beams
