"""A model from a checkpoint, verified to fit this version of the code."""

from collections.abc import Mapping
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
        _check_sizes(config, weights)
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


def _check_sizes(config: ModelConfig, weights: Mapping[str, torch.Tensor]) -> None:
    """Refuses a description of a network much larger than the weights, before that network takes memory.

    Most numbers of a network are in its feed-forward layers and in what has a row per code, so these are looked at.
    Building it on torch's meta device would say more, but import torch's compiler: a second or more.
    """
    shapes = {
        "codebook.codes": (config.codes, config.latent),
        "decoder.embed.weight": (config.codes + 3, config.decoder_size),
    }
    for part, blocks, size in (
        ("encoder", config.encoder_blocks, config.encoder_size),
        ("adapter", config.adapter_blocks, config.decoder_size),
        ("decoder", config.decoder_blocks, config.decoder_size),
    ):
        shapes |= {f"{part}.blocks.{k}.feed.0.weight": (4 * size, size) for k in range(blocks)}
    for name, shape in shapes.items():
        found = tuple(weights[name].shape) if name in weights else "missing"
        if found != shape:
            raise PairAlignError(f"{name} is {found}, and {shape} was described.")
