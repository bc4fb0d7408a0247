"""A model from a checkpoint, verified to fit this version of the code."""

from pathlib import Path

from pairalign.checkpoint import CheckpointError, read_checkpoint
from pairalign.features import FeatureOptions
from pairalign.model.network import ModelConfig, PairAlignModel


def load_model(name_or_path: str | Path) -> tuple[PairAlignModel, dict]:
    """The network with its weights (on the CPU), and the sidecar.

    Raises: CheckpointError when it is missing, damaged, or made for other features or another architecture.
    """
    weights, sidecar = read_checkpoint(name_or_path)
    if sidecar["features"] != FeatureOptions().to_dict():
        raise CheckpointError(
            f"{name_or_path} was trained on other features than this version computes; train it again."
        )
    try:
        model = PairAlignModel(ModelConfig.from_dict(sidecar["architecture"]))
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, ValueError) as error:
        message = str(error).splitlines()[0]
        raise CheckpointError(
            f"{name_or_path}: the weights do not fit the architecture described beside them. {message}"
        ) from None
    return model, sidecar
