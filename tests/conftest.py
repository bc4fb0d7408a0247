"""Fixtures every test may use: a real tiny model with random weights, and speech-like audio made by formula."""

import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
if "PYTEST_XDIST_WORKER" in os.environ:  # processes of tests, and the apps that they start, share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest
import torch

from pairalign.babble import babble as babble  # tests take it from here
from pairalign.checkpoint import save_checkpoint
from pairalign.features import FeatureOptions
from pairalign.model import PairAlignModel, tiny_config

RATE_HZ = 16_000

# the same examples every time, and no verdict on a busy machine's speed
hypothesis.settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("repeatable")


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
