"""Stage I: frame contrast between a student that hears distorted views and a teacher that hears mild ones (method.md).

Shapes: B batch, T frames, Z latent size, F mel bands, N shared negatives.
"""

from dataclasses import dataclass

import numpy as np
import torch

from pairalign.features import LogMel, length_mask
from pairalign.model.encoder import encoder_lengths
from pairalign.training import distributed, losses
from pairalign.training.data import augmentation_batch, realization_batch
from pairalign.training.matching import match_by_time, match_words
from pairalign.training.run import Run
from pairalign.views import MILD, STRONG, make_view

MASK_FRAMES = 5
LONGEST_WORD_SEGMENT_S = 1.6
TRUST_TEACHER_AFTER = 0.2  # of the stage: the teacher's frames know nothing at first, so DTW runs on log-mel alone


@dataclass(frozen=True)
class Side:
    """One side of a contrast: what the teacher heard (mild view, source time) and what the student heard."""

    teacher: torch.Tensor  # (B, T, Z) latents of the mild view
    teacher_lengths: torch.Tensor
    mel: torch.Tensor  # (B, T, F) of the mild view at the encoder's rate, for DTW
    student: torch.Tensor  # (B, T', Z)
    source: torch.Tensor  # (B, T') the source frame of each student frame, -1 outside


def _side(run: Run, step: int, stream: int, wave: torch.Tensor, lengths: torch.Tensor) -> Side:
    wave, lengths = wave.to(run.device), lengths.to(run.device)
    mild = make_view(wave, lengths, MILD, run.generator(step, stream)).log_mel()
    strong = make_view(wave, lengths, STRONG, run.generator(step, stream + 1))
    features = strong.log_mel()
    masked = _span_mask(features, run.config.masked_share, run.generator(step, stream + 2))
    with run.autocast():
        with torch.no_grad():
            heard = run.teacher.encode(mild)
        student = run.model.encode(features, masked)
    source = match_by_time(strong.time_map, student.lengths, heard.lengths, student.latents.shape[1])
    mel = torch.nn.functional.avg_pool1d(mild.mel, 2, ceil_mode=True).transpose(1, 2)
    return Side(heard.latents, heard.lengths, mel, student.latents, source)


def _span_mask(features: LogMel, share: float, generator: torch.Generator) -> torch.Tensor:
    """(B, T) frames hidden from the student, in spans of MASK_FRAMES."""
    frames = int(encoder_lengths(features.lengths).max())
    starts = (torch.rand(len(features.lengths), frames, generator=generator) < share / MASK_FRAMES).float()
    spans = torch.nn.functional.max_pool1d(torch.nn.functional.pad(starts, (MASK_FRAMES - 1, 0)), MASK_FRAMES, 1)
    return (spans > 0).to(features.mel.device)


def frame_step(run: Run, step: int, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
    """One step: a batch of word pairs where words are known, else of two views of one segment."""
    config = run.config
    draw = np.random.default_rng((7, config.seed, step)).random()
    if run.words is not None and len(run.words) and draw < config.realization_share:
        return _realization_step(run, step, progress)
    batch = augmentation_batch(
        run.bank,
        run.items,
        step,
        config.seed,
        config.augmentation_batch,
        config.min_s,
        config.max_s,
        run.rank,
        run.world,
    )
    sides = [_side(run, step, stream, batch.wave, batch.lengths) for stream in (10, 20)]
    shared = _shared_negatives(run, step, sides)
    loss = (
        sum(
            losses.frame_contrast(mine.student, _keys(other, mine.source), [], shared, config.contrast_temperature)
            for mine, other in (sides, sides[::-1])
        )
        / 2
    )
    return loss, {"frame_loss": float(loss.detach())}


def _realization_step(run: Run, step: int, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
    """The same word by two speakers: across speakers inside the word, within each recording everywhere."""
    config = run.config
    longest_s = max(config.min_s, min(LONGEST_WORD_SEGMENT_S, config.max_s))
    pairs = realization_batch(
        run.bank, run.words, step, config.seed, config.realization_batch, config.min_s, longest_s, run.rank, run.world
    )
    a = _side(run, step, 10, pairs.wave_a, pairs.lengths_a)
    b = _side(run, step, 20, pairs.wave_b, pairs.lengths_b)
    trust = 0.0 if progress < TRUST_TEACHER_AFTER else 1.0
    both = [torch.cat([torch.nn.functional.normalize(s.mel, dim=-1), trust * s.teacher], 2) for s in (a, b)]
    a_to_b, b_to_a = match_words(*both, pairs.span_a_s, pairs.span_b_s, a.teacher_lengths, b.teacher_lengths)
    shared = _shared_negatives(run, step, [a, b])
    across, within = [], []
    for mine, other, match in ((a, b, a_to_b), (b, a, b_to_a)):
        partner = torch.where(mine.source >= 0, match.gather(1, mine.source.clamp(min=0)), -1)
        own, theirs = _keys(mine, mine.source), _keys(other, partner)
        temperature = config.contrast_temperature
        across.append(losses.frame_contrast(mine.student, theirs, [own], shared, temperature))
        within.append(losses.frame_contrast(mine.student, own, [theirs], shared, temperature))
    loss = (sum(across) + sum(within)) / 4
    return loss, {"across_loss": float(sum(across).detach()) / 2, "within_loss": float(sum(within).detach()) / 2}


def _keys(side: Side, centre: torch.Tensor) -> losses.Keys:
    return losses.Keys(side.teacher, side.teacher_lengths, centre)


def _shared_negatives(run: Run, step: int, sides: list[Side]) -> losses.Shared:
    """Teacher frames drawn from the batch of every rank, with the row of the batch they come from."""
    valid = [length_mask(s.teacher_lengths, s.teacher.shape[1]) for s in sides]
    frames = torch.cat([s.teacher[v] for s, v in zip(sides, valid, strict=True)])
    rows = torch.cat([v.nonzero()[:, 0] for v in valid]) + run.rank * len(valid[0])
    pick = torch.randint(len(frames), (run.config.shared_negatives,), generator=run.generator(step, 30))
    pick = pick.to(frames.device)
    own = torch.arange(len(valid[0]), device=frames.device) + run.rank * len(valid[0])
    return losses.Shared(distributed.gather_rows(frames[pick]), distributed.gather_rows(rows[pick]), own)
