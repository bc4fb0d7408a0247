import numpy as np
import torch

from pairalign.features import HOP_SAMPLES, MEL_BANDS, log_mel, mel_frames
from tests.conftest import babble


def batch(*waves: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([len(w) for w in waves])
    padded = torch.zeros(len(waves), int(lengths.max()))
    for row, wave in zip(padded, waves, strict=True):
        row[: len(wave)] = torch.from_numpy(wave)
    return padded, lengths


def test_shape_and_normalisation():
    features = log_mel(*batch(babble(1.5)))
    assert features.mel.shape == (1, MEL_BANDS, 150)
    assert features.lengths.tolist() == [150]
    assert features.mel.mean(2).abs().max() < 1e-4
    assert abs(float(features.mel.square().mean()) - 1) < 0.2


def test_features_do_not_depend_on_padding_or_on_what_is_in_it():
    short, long = babble(0.7, seed=1), babble(2.0, seed=2)
    alone = log_mel(*batch(short))
    wave, lengths = batch(short, long)
    wave[0, len(short) :] = 0.5  # rubbish behind the end
    together = log_mel(wave, lengths)
    frames = int(alone.lengths[0])
    assert together.lengths[0] == frames
    torch.testing.assert_close(together.mel[0, :, :frames], alone.mel[0], atol=1e-5, rtol=1e-5)
    assert not together.mel[0, :, frames:].any()
    assert not together.active[0, frames:].any()


def test_loudness_does_not_matter():
    wave = babble(1.0)
    loud, quiet = log_mel(*batch(wave)), log_mel(*batch(wave * 0.05))
    torch.testing.assert_close(loud.mel, quiet.mel, atol=2e-3, rtol=1e-3)


def test_active_frames_are_where_the_sound_is():
    wave = babble(2.0)
    wave[: len(wave) // 2] = 0
    active = log_mel(*batch(wave)).active[0]
    assert not active[:95].any()
    assert active[105:].float().mean() > 0.5


def test_silence_gives_finite_features():
    assert torch.isfinite(log_mel(torch.zeros(1, 16000), torch.tensor([16000])).mel).all()


def test_warp_moves_bands_and_one_leaves_them():
    wave, lengths = batch(babble(1.0))
    plain = log_mel(wave, lengths)
    same = log_mel(wave, lengths, torch.tensor([1.0]))
    moved = log_mel(wave, lengths, torch.tensor([1.1]))
    torch.testing.assert_close(plain.mel, same.mel)
    assert (plain.mel - moved.mel).abs().mean() > 0.05


def test_frame_count():
    assert mel_frames(torch.tensor([0, 100, HOP_SAMPLES, 16000])).tolist() == [1, 1, 1, 100]
