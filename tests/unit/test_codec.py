"""Codecs: what they keep (length, place in time, silence) and what they take away."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pairalign.audio import read_audio
from pairalign.codec import CODECS, mu_law, through_codec
from tests.conftest import RATE_HZ, babble

LOSSY = CODECS[1:]
SPEECH = Path(__file__).parents[2] / "app/examples/harbour_a.ogg"


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return read_audio(SPEECH)


def lag(heard: np.ndarray, source: np.ndarray) -> int:
    """Samples by which `heard` comes after `source`: the peak of their cross-correlation."""
    size = 2 * len(source)
    peaks = np.fft.irfft(np.fft.rfft(heard, size) * np.fft.rfft(source, size).conj(), size)
    at = int(peaks.argmax())
    return at if at < len(source) else at - size


def snr_db(source: np.ndarray, heard: np.ndarray) -> float:
    return 10 * np.log10(np.square(source).sum() / np.square(source - heard).sum())


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("samples", [1, 100, 1601, 48_123])
def test_length_and_type_are_kept(speech: np.ndarray, codec: str, samples: int) -> None:
    heard = through_codec(speech[1000 : 1000 + samples], codec)
    assert heard.shape == (samples,) and heard.dtype == np.float32


@pytest.mark.parametrize("codec", LOSSY)
def test_nothing_moves_in_time(speech: np.ndarray, codec: str) -> None:
    assert lag(through_codec(speech, codec), speech) == 0
    for part in (speech[:24_000], babble(2.3)):
        assert abs(lag(through_codec(part, codec), part)) <= 1


@pytest.mark.parametrize("codec", LOSSY)
def test_the_change_is_audible_and_no_destruction(speech: np.ndarray, codec: str) -> None:
    heard = through_codec(speech, codec)
    assert 2 < snr_db(speech, heard) < 20
    assert np.corrcoef(heard, speech)[0, 1] > 0.75


def test_none_changes_nothing(speech: np.ndarray) -> None:
    assert np.array_equal(through_codec(speech, "none"), speech)


def test_the_telephone_keeps_its_band_only() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(4 * RATE_HZ).astype(np.float32)
    before, after = (np.square(np.abs(np.fft.rfft(wave))) for wave in (noise, through_codec(noise, "telephone")))
    hertz = np.fft.rfftfreq(len(noise), 1 / RATE_HZ)

    def kept_db(low: float, high: float) -> float:
        band = (hertz >= low) & (hertz < high)
        return 10 * np.log10(after[band].sum() / before[band].sum())

    assert kept_db(4000, 8000) < -40
    assert kept_db(0, 150) < -15
    assert abs(kept_db(700, 3000)) < 1


def test_mu_law_knows_8_bits_of_values() -> None:
    values = mu_law(torch.linspace(-1, 1, 100_001)).unique()
    assert len(values) == 255 and 0 in values  # +0 and -0 of the standard are one value here
    torch.testing.assert_close(values[[0, -1]], torch.tensor([-1.0, 1.0]))
    torch.testing.assert_close(mu_law(values), values)  # coded again, nothing more is lost
    steps = values.diff()[127:]
    assert (steps[1:] > steps[:-1]).all()  # fine where it is quiet


@pytest.mark.parametrize("codec", CODECS)
def test_silence_stays_silence(codec: str) -> None:
    assert np.abs(through_codec(np.zeros(RATE_HZ, dtype=np.float32), codec)).max() < 10 ** (-70 / 20)


@pytest.mark.parametrize("codec", CODECS)
def test_the_same_again_is_the_same(codec: str) -> None:
    wave = babble(1.0)
    kept = wave.copy()
    assert np.array_equal(through_codec(wave, codec), through_codec(wave, codec))
    assert np.array_equal(wave, kept)


@pytest.mark.parametrize(
    ("wave", "codec", "message"),
    [
        (np.zeros(100), "gsm", "codec is 'gsm'; use one of none, telephone, mp3, opus"),
        (np.zeros((100, 2)), "mp3", r"shape \(time,\), at least one; these are \(100, 2\)"),
        (np.zeros(0), "opus", "at least one"),
        (np.full(100, np.nan), "none", "finite"),
    ],
)
def test_mistakes_are_named(wave: np.ndarray, codec: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        through_codec(wave, codec)
