import math

import pytest
import torch

from pairalign.training.losses import (
    IGNORED,
    Keys,
    Shared,
    corrupt_prefix,
    frame_contrast,
    guide_loss,
    info_nce,
    mean_log_probability,
    name_loss,
    onset_loss,
    pack_strings,
    string_cross_entropy,
)


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_frame_contrast_is_small_for_aligned_frames_and_large_for_misaligned_ones():
    frames = unit(2, 40, 32)
    lengths = torch.tensor([40, 40])
    right = torch.arange(40).expand(2, -1)
    wrong = (right + 20) % 40
    shared = Shared(unit(16, 32, seed=1), torch.full((16,), 7), torch.arange(2))
    good = frame_contrast(frames, Keys(frames, lengths, right), [], shared, 0.1)
    bad = frame_contrast(frames, Keys(frames, lengths, wrong), [], shared, 0.1)
    assert good < 0.1 < 3 < bad


def test_frames_near_the_positive_and_padding_are_no_negatives():
    frames = torch.zeros(1, 30, 8)
    frames[..., 0] = 1.0  # all alike: every allowed negative costs the same
    centre = torch.full((1, 30), -1)
    centre[0, 15] = 15
    shared = Shared(frames[0, :9], torch.zeros(9, dtype=torch.long), torch.tensor([0]))  # its own: no negatives either
    loss = frame_contrast(frames, Keys(frames, torch.tensor([25]), centre), [], shared, 0.1)
    allowed = 1 + (25 - 11)  # the positive, and frames at least 6 away among the 25 valid ones
    assert float(loss) == pytest.approx(math.log(allowed), abs=1e-4)


def test_pack_strings_and_inputs():
    strings = pack_strings([[4, 2], [7]], eos_id=9, device="cpu")
    assert strings.ids.tolist() == [[4, 2, 9], [7, 9, IGNORED]]
    assert strings.lengths.tolist() == [3, 2]
    assert strings.inputs(bos_id=10).tolist() == [[10, 4, 2], [10, 7, 9]]


def test_cross_entropy_by_hand():
    strings = pack_strings([[0], [1, 0]], eos_id=2, device="cpu")
    logits = torch.zeros(2, 3, 3)
    uniform = math.log(3)
    assert float(string_cross_entropy(logits, strings, 2, eos_weight=2.0)) == pytest.approx(uniform)
    logits[0, 1, 2] = 100.0  # the first string's EOS is certain; it weighs 2 of 3
    assert float(string_cross_entropy(logits, strings, 2, 2.0)) == pytest.approx((uniform / 3 + uniform) / 2, abs=1e-4)
    assert mean_log_probability(logits, strings).tolist() == pytest.approx([-uniform / 2, -uniform], abs=1e-4)


def test_prefix_corruption_spares_bos_and_hits_at_the_rate():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(32, (200, 50), generator=generator)
    inputs[:, 0] = 33
    spoiled = corrupt_prefix(inputs, 0.25, codes=32, mask_id=34, generator=generator)
    assert (spoiled[:, 0] == 33).all()
    changed = (spoiled != inputs)[:, 1:].float().mean()
    assert 0.2 < float(changed) < 0.3
    assert (spoiled == 34).any() and not (spoiled == 32).any()
    assert torch.equal(corrupt_prefix(inputs, 0.0, 32, 34, generator), inputs)


def test_guide_and_onset_losses_reward_the_right_place():
    starts, ends = torch.tensor([[0, 5]]), torch.tensor([[5, 10]])
    known = torch.tensor([[True, True]])
    right = torch.zeros(1, 2, 10)
    right[0, 0, 2] = right[0, 1, 7] = 1.0
    assert guide_loss(right, starts, ends, known) < 1e-3 < 1 < guide_loss(right.flip(1), starts, ends, known)
    logits = torch.full((1, 10), -8.0)
    logits[0, [0, 5]] = 8.0
    assert (
        onset_loss(logits, starts, known, torch.tensor([10]))
        < 0.02
        < onset_loss(-logits, starts, known, torch.tensor([10]))
    )


def test_info_nce_with_and_without_negatives():
    positive, negatives = torch.zeros(2), torch.zeros(2, 3)
    assert float(info_nce(positive, negatives, torch.ones(2, 3, dtype=torch.bool))) == pytest.approx(math.log(4))
    assert float(info_nce(positive, negatives, torch.zeros(2, 3, dtype=torch.bool))) == 0.0


def test_alarms_in_words():
    from pairalign.training.monitor import alarms

    fine = {"ned_random": 0.9, "condition_gain": 2.0, "tokens_per_s": 12.0, "vocab_used": 0.9}
    assert alarms(fine, 12.7) == []
    for name, value in {"ned_random": 0.3, "condition_gain": 0.2, "tokens_per_s": 3.6, "vocab_used": 0.2}.items():
        assert len(alarms({**fine, name: value}, 12.7)) == 1


def test_a_frame_is_asked_for_the_token_it_belongs_to():
    strings = pack_strings([[2, 0], [1]], 3, "cpu")
    starts, ends = torch.tensor([[1, 3, 0], [0, 0, 0]]), torch.tensor([[3, 5, 0], [2, 0, 0]])
    known = torch.tensor([[True, True, False], [True, False, False]])
    right = torch.tensor([[-1, 2, 2, 0, 0, -1], [1, 1, -1, -1, -1, -1]])
    logits = 50.0 * torch.nn.functional.one_hot(right.clamp(min=0), 3).float()
    assert name_loss(logits, strings, starts, ends, known) < 1e-6
    for row, frame in (right >= 0).nonzero().tolist():
        wrong = logits.clone()
        wrong[row, frame] = wrong[row, frame].roll(1)
        assert name_loss(wrong, strings, starts, ends, known) > 5
    unasked = logits.clone()
    unasked[right < 0] = torch.randn(int((right < 0).sum()), 3)
    assert name_loss(unasked, strings, starts, ends, known) < 1e-6
