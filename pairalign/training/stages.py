"""The three stages of method.md: what one optimizer step of each computes.

Shapes: B batch, T frames, Z latent size, U tokens.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from pairalign.decoding import DecodingOptions
from pairalign.features import LogMel
from pairalign.model import PairAlignModel
from pairalign.model.decoder import Condition
from pairalign.model.encoder import FRAME_RATE_HZ, encoder_lengths
from pairalign.model.network import Encoded
from pairalign.strings import normalized_distance
from pairalign.training import distributed, losses
from pairalign.training.config import TrainConfig
from pairalign.training.data import AudioBank, WordIndex, augmentation_batch, realization_batch
from pairalign.training.matching import match_by_time, match_words
from pairalign.training.targets import Target, aim_at_view, shorten, teacher_targets, viterbi_targets
from pairalign.views import MILD, STRONG, View, ViewRanges, make_view

SAME_STRING = 0.2  # strings closer than this are no negatives of each other
MASK_FRAMES = 5
NATURAL_RATE_HZ = 22.0  # where the wanted rate starts to fall from


@dataclass
class Run:
    """All a step needs. `teacher` is the EMA copy of `model`; it never gets gradients."""

    config: TrainConfig
    model: PairAlignModel
    teacher: PairAlignModel
    bank: AudioBank
    items: list[int]
    words: WordIndex | None
    device: str = "cpu"
    rank: int = 0
    world: int = 1

    def generator(self, step: int, stream: int) -> torch.Generator:
        """Random numbers of one purpose at one step: nothing has to be saved to resume."""
        seed = np.random.SeedSequence((self.config.seed, step, stream, self.rank)).generate_state(2, np.uint64)[0]
        return torch.Generator().manual_seed(int(seed) % (1 << 63))

    def autocast(self) -> torch.autocast:
        return torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.config.autocast)


def step_loss(run: Run, step: int) -> tuple[torch.Tensor, dict[str, float]]:
    """Loss and statistics of one global step."""
    stage, within, length = run.config.stage_at(step)
    torch.manual_seed(int(np.random.SeedSequence((run.config.seed, step, 99, run.rank)).generate_state(1)[0]))
    if stage == 1:
        return _frame_step(run, step, within / max(length, 1))
    return _string_step(run, step, stage, within / max(length, 1))


# Stage I: frame contrast -------------------------------------------------------------------------------------------


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


def _frame_step(run: Run, step: int, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
    config = run.config
    draw = np.random.default_rng((7, config.seed, step)).random()
    if run.words is not None and len(run.words) and draw < config.realization_share:
        return _realization_step(run, step, progress)
    batch = augmentation_batch(
        run.bank, run.items, step, config.seed, config.augmentation_batch, config.min_s, config.max_s, run.rank, run.world
    )
    sides = [_side(run, step, stream, batch.wave, batch.lengths) for stream in (10, 20)]
    shared = _shared_negatives(run, step, [s.teacher for s in sides], [s.teacher_lengths for s in sides])
    loss = sum(
        losses.frame_contrast(
            mine.student, _keys(other, mine.source), [], shared, config.contrast_temperature
        )
        for mine, other in (sides, sides[::-1])
    ) / 2  # fmt: skip
    return loss, {"frame_loss": float(loss.detach())}


def _realization_step(run: Run, step: int, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
    """The same word by two speakers: across speakers inside the word, within each recording everywhere."""
    config = run.config
    pairs = realization_batch(
        run.bank, run.words, step, config.seed, config.realization_batch, config.min_s, 1.6, run.rank, run.world
    )
    a = _side(run, step, 10, pairs.wave_a, pairs.lengths_a)
    b = _side(run, step, 20, pairs.wave_b, pairs.lengths_b)
    # the teacher's frames know nothing at first: DTW runs on log-mel alone, then on both
    trust = 0.0 if progress < 0.2 else 1.0
    both = [
        torch.cat([torch.nn.functional.normalize(s.mel, dim=-1), trust * s.teacher], 2) for s in (a, b)
    ]  # fmt: skip
    a_to_b, b_to_a = match_words(*both, pairs.span_a_s, pairs.span_b_s, a.teacher_lengths, b.teacher_lengths)
    shared = _shared_negatives(run, step, [a.teacher, b.teacher], [a.teacher_lengths, b.teacher_lengths])
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


def _shared_negatives(
    run: Run, step: int, latents: list[torch.Tensor], lengths: list[torch.Tensor]
) -> torch.Tensor:
    """(N, Z) teacher frames drawn from the batch of every rank."""
    frames = torch.cat([z[_valid(z, n)] for z, n in zip(latents, lengths, strict=True)])
    pick = torch.randint(len(frames), (run.config.shared_negatives,), generator=run.generator(step, 30))
    return distributed.gather_rows(frames[pick.to(frames.device)])


def _valid(z: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    return torch.arange(z.shape[1], device=z.device)[None] < lengths[:, None]


# Stages II and III: strings ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Heard:
    """One view as the decoder gets it."""

    view: View
    features: LogMel
    encoded: Encoded
    condition: Condition


def _hear(
    run: Run, model: PairAlignModel, step: int, stream: int, wave: torch.Tensor, lengths: torch.Tensor, ranges: ViewRanges
) -> Heard:  # fmt: skip
    view = make_view(wave, lengths, ranges, run.generator(step, stream))
    features = view.log_mel()
    frozen = run.config.encoder_rate_scale == 0 or run.config.stage_at(step)[0] == 2
    with run.autocast():
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            encoded = model.encode(features)
        condition = model.condition(encoded)
    return Heard(view, features, encoded, condition)


def _string_step(run: Run, step: int, stage: int, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
    config = run.config
    batch = augmentation_batch(
        run.bank, run.items, step, config.seed, config.string_batch, config.min_s, config.max_s, run.rank, run.world
    )
    wave, lengths = batch.wave.to(run.device), batch.lengths.to(run.device)
    with torch.no_grad():
        source = _hear(run, run.teacher, step, 40, wave, lengths, MILD)
    ranges = STRONG if config.cross_paired else MILD
    views = [_hear(run, run.model, step, stream, wave, lengths, ranges) for stream in (50, 60)]
    stats: dict[str, float] = {}
    targets = viterbi_targets(run.teacher, source.encoded)
    if stage == 3 and config.teacher_targets:
        targets = _adaptive_targets(run, step, progress, targets, source, wave, lengths, stats)
    ramp = 1.0 if stage == 3 else min(1.0, 2 * progress)
    total = torch.zeros((), device=run.device)
    aimed = [aim_at_view(targets, h.view, h.encoded.lengths, run.model.decoder.eos_id) for h in views]
    for stream, (heard, aim) in enumerate(zip(views, aimed, strict=True)):
        loss, parts = _forced_loss(run, step, 70 + stream, heard, aim, ramp)
        total = total + loss / 2
        for name, value in parts.items():
            stats[name] = stats.get(name, 0.0) + value / 2
    stats["target_rate_hz"] = sum(len(t.ids) for t in targets) * 16000 / float(lengths.sum())
    if stage == 3 and config.contrast_weight > 0:
        contrast = _likelihood_contrast(run, views[0].condition, aimed[1][0], batch.utterance_ids, stats)
        total = total + config.contrast_weight * contrast
    return total, stats


def _forced_loss(run: Run, step: int, stream: int, heard: Heard, aim: tuple, ramp: float) -> tuple:
    """Cross-paired teacher forcing on a corrupted prefix, with the attention guide and the onset clock."""
    config, decoder = run.config, run.model.decoder
    strings, starts, ends, known = aim
    inputs = losses.corrupt_prefix(
        strings.inputs(decoder.bos_id), config.prefix_corruption * ramp, decoder.eos_id, decoder.mask_id,
        run.generator(step, stream),
    )  # fmt: skip
    with run.autocast():
        logits, attention = decoder(inputs, heard.condition)
    entropy = losses.string_cross_entropy(logits, strings, decoder.eos_id, config.eos_weight)
    guide = losses.guide_loss(attention, starts, ends, known)
    onset = losses.onset_loss(heard.condition.onset_logits, starts, known, heard.encoded.lengths)
    loss = entropy + config.guide_weight * guide + config.onset_weight * onset
    right = (logits.argmax(-1) == strings.ids)[strings.ids >= 0].float().mean()
    return loss, {
        "cross_entropy": float(entropy.detach()), "guide": float(guide.detach()), "onset": float(onset.detach()),
        "accuracy": float(right),
    }  # fmt: skip


def _adaptive_targets(
    run: Run, step: int, progress: float, bridge: list[Target], source: Heard, wave: torch.Tensor, lengths: torch.Tensor,
    stats: dict[str, float],
) -> list[Target]:  # fmt: skip
    """Teacher strings under length control; the bridge's with probability rho (quarter cosine over the first 30 %)."""
    with torch.no_grad(), run.autocast():
        decoded = teacher_targets(
            run.teacher, source.features, source.encoded, _float(source.condition), DecodingOptions()
        )
        decoded, dropped = _controlled(run, step, progress, decoded, source, wave, lengths)
    rho = math.cos(min(1.0, progress / 0.3) * math.pi / 2)
    use_bridge = torch.rand(len(bridge), generator=run.generator(step, 80)) < rho
    stats["rho"] = rho
    stats["dropped_share"] = dropped / max(1, sum(len(t.ids) for t in decoded) + dropped)
    stats["teacher_rate_hz"] = sum(len(t.ids) for t in decoded) * FRAME_RATE_HZ / float(source.encoded.lengths.sum())
    return [b if use else t for b, t, use in zip(bridge, decoded, use_bridge.tolist(), strict=True)]


def _float(condition: Condition) -> Condition:
    return Condition(condition.states.float(), condition.lengths, condition.onset_logits)


def _controlled(
    run: Run, step: int, progress: float, targets: list[Target], source: Heard, wave: torch.Tensor, lengths: torch.Tensor
) -> tuple[list[Target], int]:  # fmt: skip
    """Length control: keep what the audio says, drop what is noise or already known (method: stage III, 5)."""
    config = run.config
    if config.length_control == "none":
        return targets, 0
    decoder = run.teacher.decoder
    strings = losses.pack_strings([t.ids for t in targets], decoder.eos_id, run.device)
    if config.length_control == "random":
        worth = torch.rand(strings.ids.shape, generator=run.generator(step, 81)).numpy()
    else:
        other = _hear(run, run.teacher, step, 82, wave, lengths, STRONG).condition
        worth_t = _token_log_probs(decoder, strings, other)
        if config.length_control == "gain":
            unrelated = other.rows(torch.arange(len(targets)).roll(1).to(run.device))
            worth_t = worth_t - _token_log_probs(decoder, strings, unrelated)
        worth = worth_t.cpu().numpy()
    fallen = min(1.0, 2 * progress)
    rate_hz = NATURAL_RATE_HZ + (config.wanted_rate_hz - NATURAL_RATE_HZ) * fallen
    durations_s = (source.encoded.lengths / FRAME_RATE_HZ).tolist()
    return shorten(targets, worth, durations_s, rate_hz)


def _token_log_probs(decoder: torch.nn.Module, strings: losses.Strings, condition: Condition) -> torch.Tensor:
    """log p(y_u | y_<u, C): (B, U)."""
    logits, _ = decoder(strings.inputs(decoder.bos_id), condition)
    return logits.log_softmax(-1).gather(2, strings.ids.clamp(min=0)[:, :, None])[:, :, 0]


def _likelihood_contrast(
    run: Run, condition: Condition, strings: losses.Strings, utterances: torch.Tensor, stats: dict[str, float]
) -> torch.Tensor:
    """InfoNCE over sampled strings (rows) and sampled conditions (columns) of ``s_ij = lbar(y_j | C_i) / tau``."""
    config, decoder = run.config, run.model.decoder
    states = distributed.gather_rows(condition.states, pad_dims=True)
    everything = Condition(states, distributed.gather_rows(condition.lengths), condition.onset_logits)
    all_ids = distributed.gather_rows(strings.ids.masked_fill(strings.ids < 0, -1) + 1, pad_dims=True) - 1
    all_strings = losses.Strings(
        all_ids.masked_fill(all_ids < 0, losses.IGNORED), distributed.gather_rows(strings.lengths)
    )
    all_utterances = distributed.gather_rows(utterances.to(run.device)).tolist()
    local, total = len(utterances), len(all_utterances)
    own = torch.arange(local) + run.rank * local
    rolls = range(1, min(config.contrast_strings, total - 1) + 1)
    rows = [(own, (own + k) % total) for k in rolls]
    columns = [((own - k) % total, own) for k in rolls] if config.column_contrast else []
    of_condition = torch.cat([own, *(i for i, _ in rows + columns)]).to(run.device)
    of_string = torch.cat([own, *(j for _, j in rows + columns)]).to(run.device)
    chosen = all_strings.rows(of_string)
    with run.autocast():
        logits, _ = decoder(chosen.inputs(decoder.bos_id), everything.rows(of_condition))
    score = losses.mean_log_probability(logits, chosen).unflatten(0, (-1, local))  # (1 + pairs, local)
    plain = [[i for i in row if 0 <= i < decoder.eos_id] for row in all_ids.tolist()]
    usable = torch.tensor(
        [[_unrelated(int(i), int(j), plain, all_utterances) for i, j in zip(*pair, strict=True)] for pair in rows + columns],
        device=run.device,
    ).T  # fmt: skip
    positive, negatives = score[0], score[1:].T
    stats["condition_gain"] = float((positive[:, None] - negatives).detach()[usable].mean()) if bool(usable.any()) else 0.0
    m = len(rows)
    tau = config.string_temperature
    loss = losses.info_nce(positive / tau, negatives[:, :m] / tau, usable[:, :m])
    if columns:
        loss = (loss + losses.info_nce(positive / tau, negatives[:, m:] / tau, usable[:, m:])) / 2
    stats["string_contrast"] = float(loss.detach())
    return loss


def _unrelated(i: int, j: int, strings: list[list[int]], utterances: list[int]) -> bool:
    """Whether item i's condition and item j's string make a fair negative."""
    return utterances[i] != utterances[j] and normalized_distance(strings[i], strings[j]) >= SAME_STRING
