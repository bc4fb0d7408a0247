"""Fixtures every test may use: a real tiny model with random weights, and speech-like audio made by formula."""

import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import numpy as np
import pytest
import torch

from pairalign.checkpoint import save_checkpoint
from pairalign.features import FeatureOptions
from pairalign.model import PairAlignModel, tiny_config

RATE_HZ = 16_000


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test sees or touches the checkpoints and recordings of the person who runs it."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAIRALIGN_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the `tiny` preset with random weights: real code, meaningless tokens."""
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    torch.manual_seed(0)
    model = PairAlignModel(tiny_config())
    sidecar = {
        "name": "tiny",
        "architecture": model.config.to_dict(),
        "features": FeatureOptions().to_dict(),
        "vocab_size": model.config.codes,
        "data": {"recordings": 0, "licences": "none: random weights"},
        "recipe": {"steps": 0},
        "metrics": {},
    }
    save_checkpoint(path, model.state_dict(), sidecar)
    return path


@pytest.fixture(scope="session")
def tiny_tokenizer(tiny_checkpoint: Path):
    from pairalign import load

    return load(tiny_checkpoint, device="cpu")


@pytest.fixture(scope="session")
def fitted_tokenizer(tiny_checkpoint: Path):
    """The tiny model with baselines: a merge or two, and clusters of noise; every method works, nothing means much."""
    from pairalign.mfcc import MFCC_SIZE
    from pairalign.model.baselines import Baselines
    from pairalign.model.loading import load_model
    from pairalign.tokenizer import Tokenizer

    model, sidecar = load_model(tiny_checkpoint)
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(model.config.codes, MFCC_SIZE, generator=generator)
    # every pair of neighbouring codes, and some of those pairs: both levels of merging occur in real strings
    pairs = torch.cartesian_prod(torch.arange(32), torch.arange(32))
    merges = torch.cat([pairs, torch.tensor([[32 + k, 32 + k + 5] for k in range(200)])])
    costs = torch.rand(model.config.codes, generator=generator)
    clusters = torch.nn.functional.normalize(centres, dim=1)
    return Tokenizer(model, sidecar, Baselines(2.0, costs, 1.5, merges, clusters, 12.0))


def babble(duration_s: float, seed: int = 0, rate_hz: int = RATE_HZ) -> np.ndarray:
    """Vowel-like sounds of changing pitch and formants, with pauses: (T,) float32. Not speech, but speech-shaped."""
    rng = np.random.default_rng(seed)
    pieces = []
    while sum(map(len, pieces)) < duration_s * rate_hz:
        time_s = np.arange(int(rng.uniform(0.06, 0.25) * rate_hz)) / rate_hz
        pitch_hz, formants_hz = rng.uniform(90, 240), rng.uniform([250, 900, 2200], [800, 2000, 3200])
        harmonics = np.arange(1, 30) * pitch_hz
        gain = np.exp(-((harmonics[:, None] - formants_hz) ** 2) / (2 * 150**2)).sum(1) + 0.01
        tone = (gain[:, None] * np.sin(2 * np.pi * harmonics[:, None] * time_s)).sum(0)
        pieces.append(tone * np.hanning(len(time_s)) * (rng.random() > 0.15) + rng.normal(0, 0.01, len(time_s)))
    wave = np.concatenate(pieces)[: int(duration_s * rate_hz)]
    return (0.3 * wave / np.abs(wave).max()).astype(np.float32)
