"""Bridge targets: the deterministic strings the decoder first learns (method: stage II).

A target is the Viterbi string at the wanted rate of what several mild views of the segment agree on. Where a lexicon
says which phones were spoken, the latents are pulled towards those phones first, so that the target says what was
meant where the codes of the frames do not: weak supervision that only the decoder gets.

Shapes: B batch, T frames, Z latent size, P phones.
"""

from dataclasses import dataclass, replace

import torch
from torch.nn import functional as fn

from pairalign.features import LogMel
from pairalign.model import PairAlignModel
from pairalign.model.encoder import FRAME_RATE_HZ
from pairalign.model.network import Encoded
from pairalign.model.quantizer import Codebook, bisect_penalty, runs_of
from pairalign.training import distributed
from pairalign.training.data import Segments, augmentation_batch
from pairalign.training.phones import phone_labels
from pairalign.training.run import Run
from pairalign.training.targets import Target
from pairalign.views import MILD, View, ViewRanges, make_view

# what the further views may differ in: nothing that moves the frames
CONSENSUS = ViewRanges((0.0, 0.0), (1.0, 1.0), (0.92, 1.08), 5.0, (0.05, 0.2), 0.3, (12.0, 30.0), 0.7, 0.0, (-6.0, 0.0))
FIT_STEP = 2_000_000_000  # batches nobody trains on
FIT_BATCHES = 8


@dataclass(frozen=True)
class Heard:
    """One view as the network gets it."""

    view: View
    features: LogMel
    encoded: Encoded


@dataclass(frozen=True)
class Agreed:
    """Latents (B, T, Z) that the views of a segment agree on, their lengths (B,), and which rows (B,) have phones."""

    latents: torch.Tensor
    lengths: torch.Tensor
    labelled: torch.Tensor

    def rows(self, chosen: torch.Tensor) -> "Agreed":
        """Some rows (B,) of the batch."""
        return Agreed(self.latents[chosen], self.lengths[chosen], self.labelled[chosen])


def hear(run: Run, model: PairAlignModel, step: int, stream: int, batch: Segments, ranges: ViewRanges) -> Heard:
    """A view of the batch and what the encoder makes of it; gradients reach the encoder only where it is trained."""
    wave, lengths = batch.wave.to(run.device), batch.lengths.to(run.device)
    view = make_view(wave, lengths, ranges, run.generator(step, stream))
    features = view.log_mel()
    frozen = run.config.encoder_rate_scale == 0 or run.config.stage_at(step)[0] == 2
    with run.autocast(), torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
        encoded = model.encode(features)
    return Heard(view, features, encoded)


@torch.no_grad()
def agreed_latents(run: Run, step: int, batch: Segments, source: Heard) -> Agreed:
    """Mean latents of `source` (a mild view) and further views in source time, pulled towards the phones spoken."""
    latents, lengths = source.encoded.latents, source.encoded.lengths
    for k in range(1, run.config.consensus_views):
        latents = latents + hear(run, run.teacher, step, 40 + k, batch, CONSENSUS).encoded.latents
    latents = fn.normalize(latents, dim=-1)
    labelled = torch.zeros(len(lengths), dtype=torch.bool, device=latents.device)
    if run.phones is not None and run.config.phone_pull > 0:
        head = run.teacher.phone_head
        labels = phone_labels(run.phones, batch, head(latents).log_softmax(-1), lengths, aligned=True)
        known = labels >= 0
        pull = fn.normalize(head.prototypes, dim=-1)[labels.clamp(min=0)] * known[:, :, None]
        latents = fn.normalize(latents + run.config.phone_pull * pull, dim=-1)
        labelled = known.any(1)
    return Agreed(latents, lengths, labelled)


def bridge_targets(run: Run, agreed: Agreed) -> list[Target]:
    """Viterbi strings at the wanted rate."""
    plain, pulled = run.bridge_penalties
    penalty = torch.where(agreed.labelled, pulled, plain)[:, None]
    paths = run.teacher.codebook.viterbi(agreed.latents, agreed.lengths, penalty).cpu()
    return [Target(*runs_of(path, int(n)), int(n)) for path, n in zip(paths, agreed.lengths, strict=True)]


@torch.no_grad()
def fit_bridge(run: Run) -> tuple[float, float]:
    """Switch penalties for segments without and with phones, such that the targets have the wanted rate.

    Latents pulled towards phones change less often: they get their own penalty, at which the same segments have the
    rate they would have without the pull, so that slow speech stays slow.
    """
    plain, same, pulled = [], [], []
    for k in range(FIT_BATCHES):
        step = FIT_STEP + k
        batch = augmentation_batch(run.bank, run.items, step, run.config.seed, 24, 1.0, run.config.max_s)
        source = hear(run, run.teacher, step, 40, batch, MILD)
        agreed = agreed_latents(replace(run, phones=None), step, batch, source)
        plain.append(agreed)
        if run.phones is not None:
            after = agreed_latents(run, step, batch, source)
            pulled.append(after.rows(after.labelled))
            same.append(agreed.rows(after.labelled))
    book = run.teacher.codebook
    plain_penalty = bisect_penalty(lambda penalty: _rate_hz(book, plain, penalty), run.config.wanted_rate_hz)
    pulled_penalty = plain_penalty
    if sum(len(agreed.lengths) for agreed in pulled):
        rate_hz = _rate_hz(book, same, plain_penalty)
        pulled_penalty = bisect_penalty(lambda penalty: _rate_hz(book, pulled, penalty), rate_hz)
    first = distributed.from_first(torch.tensor([plain_penalty, pulled_penalty], device=run.device))
    return float(first[0]), float(first[1])


def _rate_hz(book: Codebook, batches: list[Agreed], penalty: float) -> float:
    """Tokens per second of the Viterbi strings under a penalty."""
    tokens = frames = 0
    for agreed in batches:
        paths = book.viterbi(agreed.latents, agreed.lengths, penalty).cpu()
        tokens += sum(len(runs_of(path, int(n))[0]) for path, n in zip(paths, agreed.lengths, strict=True))
        frames += int(agreed.lengths.sum())
    return tokens / frames * FRAME_RATE_HZ
