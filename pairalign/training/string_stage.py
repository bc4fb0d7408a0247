"""Stages II and III: the decoder learns strings across views, first the bridge's, then its EMA teacher's.

Shapes: B batch, T frames, U tokens.
"""

import math
from dataclasses import dataclass, replace

import torch

from pairalign.decoding import DecodingOptions
from pairalign.features import LogMel
from pairalign.model import PairAlignModel
from pairalign.model.decoder import Condition, Decoder
from pairalign.model.encoder import FRAME_RATE_HZ
from pairalign.model.network import Encoded
from pairalign.training import losses
from pairalign.training.data import Segments, augmentation_batch
from pairalign.training.likelihood_contrast import likelihood_contrast
from pairalign.training.run import Run
from pairalign.training.targets import Target, aim_at_view, shorten, teacher_targets
from pairalign.views import MILD, STRONG, View, ViewRanges, make_view, scaled

NATURAL_RATE_HZ = 22.0  # where the wanted rate starts to fall from


@dataclass(frozen=True)
class Heard:
    """One view as the network gets it."""

    view: View
    features: LogMel
    encoded: Encoded


def _hear(run: Run, model: PairAlignModel, step: int, stream: int, batch: Segments, ranges: ViewRanges) -> Heard:
    """A view of the batch and what the encoder makes of it; gradients reach the encoder only where it is trained."""
    wave, lengths = batch.wave.to(run.device), batch.lengths.to(run.device)
    view = make_view(wave, lengths, ranges, run.generator(step, stream))
    features = view.log_mel()
    frozen = run.config.encoder_rate_scale == 0 or run.config.stage_at(step)[0] == 2
    with run.autocast(), torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
        encoded = model.encode(features)
    return Heard(view, features, encoded)


def _condition(run: Run, model: PairAlignModel, heard: Heard) -> Condition:
    with run.autocast():
        return model.condition(heard.encoded)


def string_step(run: Run, step: int, stage: int, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
    """One step: cross-paired teacher forcing of two strong views on the strings of the recording, and the contrast."""
    config = run.config
    batch = augmentation_batch(
        run.bank, run.items, step, config.seed, config.string_batch, config.min_s, config.max_s, run.rank, run.world
    )
    stats: dict[str, float] = {}
    assert run.bridge is not None  # the trainer makes it before these stages
    targets = run.bridge.targets(batch)
    if stage == 3 and config.teacher_targets:
        with torch.no_grad():
            source = _hear(run, run.teacher, step, 40, batch, MILD)
            targets = _adaptive_targets(run, step, progress, targets, source, batch, stats)
    ranges = scaled(STRONG, config.view_strength) if config.cross_paired else MILD
    views = [_hear(run, run.model, step, stream, batch, ranges) for stream in (50, 60)]
    conditions = [_condition(run, run.model, heard) for heard in views]
    ramp = 1.0 if stage == 3 else min(1.0, 2 * progress)
    total = torch.zeros((), device=run.device)
    aimed = [aim_at_view(targets, h.view, h.encoded.lengths, run.model.decoder.eos_id) for h in views]
    for stream, (condition, aim) in enumerate(zip(conditions, aimed, strict=True)):
        loss, parts = _forced_loss(run, step, 70 + stream, condition, aim, ramp)
        total = total + loss / 2
        for name, value in parts.items():
            stats[name] = stats.get(name, 0.0) + value / 2
    stats["target_rate_hz"] = sum(len(t.ids) for t in targets) * 16000 / float(batch.lengths.sum())
    if stage == 3 and config.contrast_weight > 0:
        contrast = likelihood_contrast(run, conditions[0], aimed[1][0], batch.utterance_ids, stats)
        total = total + config.contrast_weight * contrast
    return total, stats


def _forced_loss(run: Run, step: int, stream: int, condition: Condition, aim: tuple, ramp: float) -> tuple:
    """Cross-paired teacher forcing on a corrupted prefix, with the attention guide, the onset clock and the names."""
    config, decoder = run.config, run.model.decoder
    strings, starts, ends, known = aim
    inputs = losses.corrupt_prefix(
        strings.inputs(decoder.bos_id),
        config.prefix_corruption * ramp,
        decoder.eos_id,
        decoder.mask_id,
        run.generator(step, stream),
    )
    with run.autocast():
        logits, attention = decoder(inputs, condition)
    entropy = losses.string_cross_entropy(logits, strings, decoder.eos_id, config.eos_weight)
    guide = losses.guide_loss(attention, starts, ends, known)
    onset = losses.onset_loss(condition.onset_logits, starts, known, condition.lengths)
    name = losses.name_loss(condition.name_logits, strings, starts, ends, known)
    loss = entropy + config.guide_weight * guide + config.onset_weight * onset + config.name_weight * name
    right = (logits.argmax(-1) == strings.ids)[strings.ids >= 0].float().mean()
    return loss, {
        "cross_entropy": float(entropy.detach()),
        "guide": float(guide.detach()),
        "onset": float(onset.detach()),
        "name": float(name.detach()),
        "accuracy": float(right),
    }


def _adaptive_targets(
    run: Run,
    step: int,
    progress: float,
    bridge: list[Target],
    source: Heard,
    batch: Segments,
    stats: dict[str, float],
) -> list[Target]:
    """Teacher strings under length control; the bridge's with probability rho (quarter cosine, then a floor)."""
    # one step at a time is faster in float32 than in bf16 on a CPU, and is how the tokenizer decodes
    condition = _float(_condition(run, run.teacher, source))
    decoded = teacher_targets(run.teacher, source.features, source.encoded, condition, DecodingOptions())
    with run.autocast():
        decoded, dropped = _controlled(run, step, progress, decoded, source, batch)
    rho = max(run.config.bridge_floor, math.cos(min(1.0, progress / 0.3) * math.pi / 2))
    use_bridge = torch.rand(len(bridge), generator=run.generator(step, 80)) < rho
    drifted = torch.tensor([_drifted(t, b, run.config.length_guard) for t, b in zip(decoded, bridge, strict=True)])
    stats["drifted_share"] = float(drifted.float().mean())
    stats["rho"] = rho
    stats["dropped_share"] = dropped / max(1, sum(len(t.ids) for t in decoded) + dropped)
    stats["teacher_rate_hz"] = sum(len(t.ids) for t in decoded) * FRAME_RATE_HZ / float(source.encoded.lengths.sum())
    return [b if use else t for b, t, use in zip(bridge, decoded, (use_bridge | drifted).tolist(), strict=True)]


def _drifted(told: Target, bridge: Target, guard: float) -> bool:
    """Whether a teacher string has left the length the audio's own codes have: EOS drift feeds on itself."""
    ratio = len(told.ids) / len(bridge.ids)
    return guard > 0 and not 1 / guard <= ratio <= guard


def _float(condition: Condition) -> Condition:
    return replace(condition, states=condition.states.float())


def _controlled(
    run: Run,
    step: int,
    progress: float,
    targets: list[Target],
    source: Heard,
    batch: Segments,
) -> tuple[list[Target], int]:
    """Length control: keep what the audio says, drop what is noise or already known (method: stage III, 5)."""
    config = run.config
    if config.length_control == "none":
        return targets, 0
    decoder = run.teacher.decoder
    strings = losses.pack_strings([t.ids for t in targets], decoder.eos_id, run.device)
    if config.length_control == "random":
        worth = torch.rand(strings.ids.shape, generator=run.generator(step, 81)).numpy()
    else:
        other = _condition(run, run.teacher, _hear(run, run.teacher, step, 82, batch, STRONG))
        worth_t = _token_log_probs(decoder, strings, other)
        if config.length_control == "gain":
            unrelated = other.rows(torch.arange(len(targets)).roll(1).to(run.device))
            worth_t = worth_t - _token_log_probs(decoder, strings, unrelated)
        worth = worth_t.cpu().numpy()
    fallen = min(1.0, 2 * progress)
    rate_hz = NATURAL_RATE_HZ + (config.wanted_rate_hz - NATURAL_RATE_HZ) * fallen
    durations_s = (source.encoded.lengths / FRAME_RATE_HZ).tolist()
    return shorten(targets, worth, durations_s, rate_hz)


def _token_log_probs(decoder: Decoder, strings: losses.Strings, condition: Condition) -> torch.Tensor:
    """log p(y_u | y_<u, C): (B, U)."""
    logits, _ = decoder(strings.inputs(decoder.bos_id), condition)
    return logits.log_softmax(-1).gather(2, strings.ids.clamp(min=0)[:, :, None])[:, :, 0]
