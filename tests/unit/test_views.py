from dataclasses import replace

import pytest
import torch

from pairalign.errors import PairAlignError
from pairalign.views import MILD, STRONG, ViewParameters, _resample, make_view
from tests.conftest import babble

RATE_HZ = 16_000


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def speech(count: int = 3, duration_s: float = 1.5) -> tuple[torch.Tensor, torch.Tensor]:
    wave = torch.stack([torch.from_numpy(babble(duration_s, seed=k)) for k in range(count)])
    return wave, torch.full((count,), wave.shape[1])


def test_the_neutral_view_changes_nothing():
    wave, lengths = speech()
    view = make_view(wave, lengths, ViewParameters.neutral(3), generator())
    torch.testing.assert_close(view.wave, wave, atol=1e-5, rtol=1e-4)
    assert view.lengths.tolist() == lengths.tolist()
    times = torch.tensor([[0.2, 0.7]]).expand(3, -1)
    torch.testing.assert_close(view.time_map.to_view(times), times)


def test_same_seed_same_view():
    wave, lengths = speech()
    one, two, other = (make_view(wave, lengths, STRONG, generator(seed)) for seed in (5, 5, 6))
    assert torch.equal(one.wave, two.wave)
    assert one.wave.shape != other.wave.shape or not torch.equal(one.wave, other.wave)


@pytest.mark.parametrize(
    ("shift_ms", "speed"),
    [(0.0, 1.0), (60.0, 1.0), (0.0, 0.9), (85.0, 1.1), (7.0, 0.5), (0.0, 0.77), (0.0, 1.5), (9.0, 2.0)],
)
def test_a_click_lands_where_the_time_map_says(shift_ms: float, speed: float):
    click_s = 0.5
    wave = torch.zeros(1, RATE_HZ)
    wave[0, round(click_s * RATE_HZ)] = 1.0
    p = replace(ViewParameters.neutral(1), shift_ms=torch.tensor([shift_ms]), speed=torch.tensor([speed]))
    view = make_view(wave, torch.tensor([RATE_HZ]), p, generator())
    heard_s = float(view.wave[0].abs().argmax()) / RATE_HZ
    expected_s = float(view.time_map.to_view(torch.tensor([[click_s]])))
    assert abs(heard_s - expected_s) < 2 / RATE_HZ
    assert abs(float(view.time_map.to_source(torch.tensor([[expected_s]]))) - click_s) < 1e-5
    assert abs(int(view.lengths) - (RATE_HZ - shift_ms * 16) / speed) < 2


def played(wave: torch.Tensor, *speeds: float, shift_ms: float = 0.0) -> list[torch.Tensor]:
    """The wave (T,) at every speed, in one batch, without their ends."""
    p = replace(
        ViewParameters.neutral(len(speeds)),
        speed=torch.tensor(speeds),
        shift_ms=torch.full((len(speeds),), shift_ms),
    )
    view = make_view(wave.expand(len(speeds), -1), torch.full((len(speeds),), len(wave)), p, generator())
    return [row[:length] for row, length in zip(view.wave, view.lengths.tolist(), strict=True)]


def level_db(wave: torch.Tensor, hz: float) -> float:
    """Level of a tone, dB below full scale."""
    part = wave[len(wave) // 4 : -len(wave) // 4].double()
    window = torch.hann_window(len(part), dtype=torch.float64)
    turns = torch.arange(len(part)) * (hz / RATE_HZ)
    rotating = torch.polar(window, -2 * torch.pi * turns.double())
    return float(20 * torch.log10((2 * (part * rotating).sum().abs() / window.sum()).clamp(min=1e-9)))


def sine(hz: float) -> torch.Tensor:
    return torch.sin(2 * torch.pi * hz / RATE_HZ * torch.arange(RATE_HZ, dtype=torch.float64)).float()


@pytest.mark.parametrize(
    ("hz", "speed", "back_hz"), [(7000, 2.0, 2000), (7500, 1.1, 7750), (6000, 1.5, 7000), (7900, 1.9, 990)]
)
def test_a_tone_above_what_the_speed_leaves_does_not_come_back_as_another(hz: float, speed: float, back_hz: float):
    (heard,) = played(sine(hz), speed)
    assert level_db(heard, back_hz) < -60 and heard[400:-400].abs().max() < 1e-3


@pytest.mark.parametrize("speed", [0.5, 0.9, 0.99, 1.01, 1.1, 1.5, 2.0])
def test_a_tone_that_stays_below_keeps_its_level_and_gets_no_company(speed: float):
    for hz in (1000.0, 3000.0, min(7500.0, 7500.0 / speed)):
        (heard,) = played(sine(hz), speed)
        assert abs(level_db(heard, hz * speed)) < 0.1
        middle = heard[len(heard) // 4 : -len(heard) // 4].double()
        turns = 2 * torch.pi * hz * float(torch.tensor(speed)) / RATE_HZ * torch.arange(len(middle))
        tone = torch.stack([turns.double().cos(), turns.double().sin()], 1)
        rest = middle - tone @ torch.linalg.lstsq(tone, middle[:, None]).solution[:, 0]
        assert rest.square().mean().sqrt() < 10 ** (-60 / 20)


def test_rows_of_a_batch_have_their_own_speeds_and_one_changes_nothing():
    wave = speech(1)[0][0]
    speeds = (0.9, 1.0, 1.1, 1.0)
    together = played(wave, *speeds, shift_ms=3.0)
    for one, speed in zip(together, speeds, strict=True):
        (alone,) = played(wave, speed, shift_ms=3.0)
        torch.testing.assert_close(one, alone, atol=1e-6, rtol=1e-5)
    exact = _resample(
        wave.expand(2, -1), torch.tensor([48.0, 48.0]), torch.tensor([1.0, 1.1]), torch.tensor([9000, 9000])
    )
    assert torch.equal(exact[0], wave[48:9048])


def test_a_change_of_speed_can_be_differentiated():
    wave = speech(2)[0].requires_grad_()
    p = replace(ViewParameters.neutral(2), speed=torch.tensor([0.95, 1.05]))
    make_view(wave, torch.full((2,), wave.shape[1]), p, generator()).wave.square().sum().backward()
    assert wave.grad is not None and torch.isfinite(wave.grad).all() and wave.grad.abs().sum() > 0


@pytest.mark.parametrize("speed", [0.0, -1.0, 0.2, 5.0, float("nan"), float("inf")])
def test_a_speed_that_cannot_be_is_refused(speed: float):
    with pytest.raises(PairAlignError, match="speed must be from 0.25 to 4"):
        played(sine(440), speed)


def test_noise_is_as_loud_as_asked():
    wave, lengths = speech(2)
    p = replace(ViewParameters.neutral(2), snr_db=torch.tensor([10.0, torch.inf]))
    view = make_view(wave, lengths, p, generator())
    noise = view.wave - wave
    snr_db = 10 * torch.log10(wave.square().mean(1) / noise.square().mean(1).clamp(min=1e-20))
    assert abs(float(snr_db[0]) - 10) < 0.2
    assert snr_db[1] > 60


def test_babble_noise_is_made_of_the_other_segments():
    wave, lengths = speech(4)
    p = replace(ViewParameters.neutral(4), snr_db=torch.full((4,), 0.0), babble=torch.ones(4))
    noise = make_view(wave, lengths, p, generator()).wave - wave
    others = wave.roll(1, 0) + wave.roll(2, 0) + wave.roll(3, 0)
    similarity = torch.nn.functional.cosine_similarity(noise, others)
    assert (similarity > 0.99).all()


def test_reverberation_rings_on():
    wave = torch.zeros(1, RATE_HZ)
    wave[0, :160] = torch.sin(torch.arange(160) * 0.3)
    lengths = torch.tensor([RATE_HZ])
    wet = replace(ViewParameters.neutral(1), t60_s=torch.tensor([0.3]))
    rung = make_view(wave, lengths, wet, generator()).wave
    assert rung[0, 800:2400].abs().max() > 1e-3
    assert rung[0, 800:1600].square().mean() > 4 * rung[0, 4800:5600].square().mean()


def test_padding_stays_silent_and_rows_keep_their_lengths():
    wave, lengths = speech()
    lengths = torch.tensor([24000, 12000, 8000])
    view = make_view(wave, lengths, STRONG, generator())
    for row, length in zip(view.wave, view.lengths.tolist(), strict=True):
        assert not row[length:].any()
        assert row[: length - 400].any()


def test_training_ranges_keep_the_content():
    wave, lengths = speech(8, 1.0)
    mild, strong = make_view(wave, lengths, MILD, generator()), make_view(wave, lengths, STRONG, generator())
    assert torch.isfinite(strong.wave).all()
    assert mild.lengths.tolist() == lengths.tolist()
    assert ((strong.lengths / lengths > 0.78) & (strong.lengths / lengths < 1.12)).all()


def test_a_shift_longer_than_the_segment_is_refused():
    p = replace(ViewParameters.neutral(1), shift_ms=torch.tensor([100.0]))
    with pytest.raises(ValueError, match="shift"):
        make_view(torch.zeros(1, 1700), torch.tensor([1700]), p, generator())
