"""A model from a checkpoint, verified to fit this version of the code."""

from pathlib import Path

import torch

from pairalign.checkpoint import CheckpointError, read_checkpoint
from pairalign.errors import PairAlignError
from pairalign.features import FeatureOptions
from pairalign.model.baselines import Baselines, split_baselines
from pairalign.model.network import ModelConfig, PairAlignModel


def load_model(name_or_path: str | Path) -> tuple[PairAlignModel, dict]:
    """The network with its weights (on the CPU), and the sidecar; errors as in `load_with_baselines`."""
    model, sidecar, _ = load_with_baselines(name_or_path)
    return model, sidecar


def load_with_baselines(name_or_path: str | Path) -> tuple[PairAlignModel, dict, Baselines | None]:
    """The network with its weights (on the CPU), the sidecar, and the baselines fitted to it when it holds any.

    Raises: CheckpointError when it is missing, damaged, or made for other features or another architecture.
    """
    weights, sidecar = read_checkpoint(name_or_path)
    if sidecar["features"] != FeatureOptions().to_dict():
        raise CheckpointError(
            f"{name_or_path} was trained on other features than this version computes; train it again."
        )
    try:
        config = ModelConfig.from_dict(sidecar["architecture"])
        weights, baselines = split_baselines(weights, config.codes)
        with torch.device("meta"):  # no memory is taken before the described network is known to be that of the weights
            PairAlignModel(config).load_state_dict(weights, assign=True)
        if not all(weight.isfinite().all() for weight in weights.values()):
            raise PairAlignError("Some of them are NaN or infinite.")
        model = PairAlignModel(config)
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, ValueError) as error:
        message = " ".join(
            line.strip() for line in str(error).splitlines()[:2]
        )  # torch names the tensors in the second
        raise CheckpointError(
            f"{name_or_path}: the weights do not fit the architecture described beside them. {message}"
        ) from None
    return model, sidecar, baselines
