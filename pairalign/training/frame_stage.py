"""Stage I: frame contrast between a student that hears distorted views and a teacher that hears mild ones.

Shapes: B batch, T frames, Z latent size, D hidden size, F mel bands, N shared negatives.
"""

from dataclasses import dataclass

import numpy as np
import torch

from pairalign.features import LogMel, length_mask
from pairalign.model.encoder import encoder_lengths
from pairalign.training import distributed, losses
from pairalign.training.data import Segments, WordIndex, augmentation_batch, realization_batch
from pairalign.training.matching import match_by_time, match_words
from pairalign.training.phones import UNKNOWN, phone_labels
from pairalign.training.run import Run
from pairalign.views import MILD, STRONG, make_view, scaled

MASK_FRAMES = 5
LONGEST_WORD_SEGMENT_S = 1.6
ALIGN_AFTER = 0.04  # of the stage: before that phones are spread evenly over their word
TRUST_TEACHER_AFTER = 0.2  # of the stage: the teacher's frames know nothing at first, so DTW runs on log-mel alone


@dataclass(frozen=True)
class Mild:
    """What the teacher heard of a mild view, in source time: latents (B, T, Z), hidden (B, T, D), log-mel (B, T, F)."""

    latents: torch.Tensor
    hidden: torch.Tensor
    lengths: torch.Tensor
    mel: torch.Tensor


@dataclass(frozen=True)
class Strong:
    """What the student heard of a strong view, and the source frame (B, T') of each of its frames, -1 outside."""

    latents: torch.Tensor
    hidden: torch.Tensor
    source: torch.Tensor


def _mild(run: Run, step: int, stream: int, segments: Segments) -> Mild:
    wave, lengths = segments.wave.to(run.device), segments.lengths.to(run.device)
    features = make_view(wave, lengths, MILD, run.generator(step, stream)).log_mel()
    with run.autocast(), torch.no_grad():
        heard = run.teacher.encode(features)
    mel = torch.nn.functional.avg_pool1d(features.mel, 2, ceil_mode=True).transpose(1, 2)
    return Mild(heard.latents, heard.hidden, heard.lengths, mel)


def _strong(run: Run, step: int, stream: int, segments: Segments, mild: Mild) -> Strong:
    wave, lengths = segments.wave.to(run.device), segments.lengths.to(run.device)
    view = make_view(wave, lengths, scaled(STRONG, run.config.view_strength), run.generator(step, stream))
    features = view.log_mel()
    masked = _span_mask(features, run.config.masked_share, run.generator(step, stream + 1))
    with run.autocast():
        student = run.model.encode(features, masked)
    source = match_by_time(view.time_map, student.lengths, mild.lengths, student.latents.shape[1])
    return Strong(student.latents, student.hidden, source)


def _span_mask(features: LogMel, share: float, generator: torch.Generator) -> torch.Tensor:
    """(B, T) frames hidden from the student, in spans of MASK_FRAMES."""
    frames = int(encoder_lengths(features.lengths).max())
    starts = (torch.rand(len(features.lengths), frames, generator=generator) < share / MASK_FRAMES).float()
    spans = torch.nn.functional.max_pool1d(torch.nn.functional.pad(starts, (MASK_FRAMES - 1, 0)), MASK_FRAMES, 1)
    return (spans > 0).to(features.mel.device)


def frame_step(run: Run, step: int, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
    """One step: a batch of word pairs where words are known, else of two views of one segment."""
    draw = np.random.default_rng((7, run.config.seed, step)).random()
    if run.words is not None and len(run.words) and draw < run.config.realization_share:
        return _realization_step(run, run.words, step, progress)
    return _augmentation_step(run, step, progress)


def _augmentation_step(run: Run, step: int, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
    """Two strong views of each segment against the teacher's mild one."""
    config = run.config
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
    mild = _mild(run, step, 10, batch)
    views = [_strong(run, step, stream, batch, mild) for stream in (20, 22)]
    shared = _shared_negatives(run, step, [mild])
    temperature = config.contrast_temperature
    first, second = (losses.frame_contrast(v.latents, _keys(mild, v.source), [], shared, temperature) for v in views)
    contrast = (first + second) / 2
    stats = {"frame_loss": float(contrast.detach())}
    return contrast + _phone_term(run, progress, [(batch, mild, views)], stats), stats


def _realization_step(run: Run, words: WordIndex, step: int, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
    """The same word by two speakers: across speakers inside the word, within each recording everywhere."""
    config = run.config
    longest_s = max(config.min_s, min(LONGEST_WORD_SEGMENT_S, config.max_s))
    pairs = realization_batch(
        run.bank, words, step, config.seed, config.realization_batch, config.min_s, longest_s, run.rank, run.world
    )
    mild_a, mild_b = _mild(run, step, 10, pairs.a), _mild(run, step, 11, pairs.b)
    strong_a, strong_b = _strong(run, step, 20, pairs.a, mild_a), _strong(run, step, 22, pairs.b, mild_b)
    trust = 0.0 if progress < TRUST_TEACHER_AFTER else 1.0
    both = [torch.cat([torch.nn.functional.normalize(m.mel, dim=-1), trust * m.latents], 2) for m in (mild_a, mild_b)]
    a_to_b, b_to_a = match_words(both[0], both[1], pairs.span_a_s, pairs.span_b_s, mild_a.lengths, mild_b.lengths)
    shared = _shared_negatives(run, step, [mild_a, mild_b])
    across, within = [], []
    for student, mine, other, match in ((strong_a, mild_a, mild_b, a_to_b), (strong_b, mild_b, mild_a, b_to_a)):
        partner = torch.where(student.source >= 0, match.gather(1, student.source.clamp(min=0)), -1)
        own, theirs = _keys(mine, student.source), _keys(other, partner)
        across.append(losses.frame_contrast(student.latents, theirs, [own], shared, config.contrast_temperature))
        within.append(losses.frame_contrast(student.latents, own, [theirs], shared, config.contrast_temperature))
    across_loss, within_loss = across[0] + across[1], within[0] + within[1]
    stats = {"across_loss": float(across_loss.detach()) / 2, "within_loss": float(within_loss.detach()) / 2}
    heard = [(pairs.a, mild_a, [strong_a]), (pairs.b, mild_b, [strong_b])]
    return (across_loss + within_loss) / 4 + _phone_term(run, progress, heard, stats), stats


def _phone_term(
    run: Run, progress: float, heard: list[tuple[Segments, Mild, list[Strong]]], stats: dict[str, float]
) -> torch.Tensor | float:
    """Weighted cross-entropy of the phones that a lexicon gives the words; 0 without a lexicon."""
    if run.phones is None or run.config.phone_weight == 0:
        return 0.0
    teacher, student = run.teacher.phone_head, run.model.phone_head
    assert teacher is not None and student is not None  # a network that is to learn phones has one
    logits, labels = [], []
    for segments, mild, views in heard:
        scores = teacher(mild.hidden.float()).log_softmax(-1)
        known = phone_labels(run.phones, segments, scores, mild.lengths, progress >= ALIGN_AFTER)
        for view in views:
            here = torch.where(view.source >= 0, known.gather(1, view.source.clamp(min=0)), UNKNOWN)
            logits.append(student(view.hidden[here >= 0].float()))
            labels.append(here[here >= 0])
    if not sum(map(len, labels)):  # the head takes part all the same: gradients of all processes have one length
        return 0.0 * (student.weight.sum() + student.bias.sum())
    said, wanted = torch.cat(logits), torch.cat(labels)
    loss = torch.nn.functional.cross_entropy(said, wanted)
    stats["phone_loss"] = float(loss.detach())
    stats["phone_accuracy"] = float((said.argmax(-1) == wanted).float().mean())
    return run.config.phone_weight * loss


def _keys(mild: Mild, centre: torch.Tensor) -> losses.Keys:
    return losses.Keys(mild.latents, mild.lengths, centre)


def _shared_negatives(run: Run, step: int, sides: list[Mild]) -> losses.Shared:
    """Teacher frames drawn from the batch of every rank, with the row of the batch they come from."""
    valid = [length_mask(s.lengths, s.latents.shape[1]) for s in sides]
    frames = torch.cat([s.latents[v] for s, v in zip(sides, valid, strict=True)])
    rows = torch.cat([v.nonzero()[:, 0] for v in valid]) + run.rank * len(valid[0])
    pick = torch.randint(len(frames), (run.config.shared_negatives,), generator=run.generator(step, 30))
    pick = pick.to(frames.device)
    own = torch.arange(len(valid[0]), device=frames.device) + run.rank * len(valid[0])
    return losses.Shared(distributed.gather_rows(frames[pick]), distributed.gather_rows(rows[pick]), own)
