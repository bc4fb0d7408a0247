"""What several unit tests share: recordings made by formula, as folders with a manifest."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from pairalign.audio import SAMPLE_RATE_HZ
from tests.conftest import babble


def tone(duration_s: float, seed: int = 0) -> np.ndarray:
    """Noise bursts and pauses: enough like speech to be active and to differ from seed to seed."""
    rng = np.random.default_rng(seed)
    wave = rng.normal(0, 0.1, round(duration_s * SAMPLE_RATE_HZ))
    return (wave * (np.sin(np.arange(len(wave)) / 1600) > -0.5)).clip(-1, 1).astype(np.float32)


def write(path: Path, duration_s: float = 1.0, seed: int = 0, **options: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(duration_s, seed), SAMPLE_RATE_HZ, **options)
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Twelve recordings of four speakers, each with the words ONE, TWO and (the first speaker only) SOLO."""
    rows, words = ["path,split,speaker,duration_s,transcript"], ["path,start_s,end_s,word"]
    for k in range(12):
        duration_s = 1.0 + 0.4 * k
        write(tmp_path / f"audio/{k}.wav", duration_s, seed=k)
        rows.append(f"audio/{k}.wav,train,speaker{k % 4},{duration_s},ONE TWO")
        words += [f"audio/{k}.wav,0.1,0.45,ONE", f"audio/{k}.wav,0.5,0.8,two", f"audio/{k}.wav,0.8,0.85,A"]
        words += [f"audio/{k}.wav,0.85,0.99,SOLO"] if k == 0 else []
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    (tmp_path / "words.csv").write_text("\n".join(words))
    return tmp_path


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Four recordings of 5 s by two speakers, one of them unreadable and one full of NaN besides."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    rows = ["path,speaker,transcript"]
    for k in range(4):
        soundfile.write(folder / f"{k}.wav", babble(5.0, seed=k), 16_000)
        rows.append(f"{k}.wav,speaker{k % 2},text {k}")
    (folder / "broken.wav").write_bytes(b"RIFF but no sound" * 20)
    soundfile.write(folder / "nan.wav", np.full(32_000, np.nan, np.float32), 16_000, subtype="FLOAT")
    rows += ["broken.wav,speaker0,", "nan.wav,speaker1,"]
    (folder / "manifest.csv").write_text("\n".join(rows))
    return folder
