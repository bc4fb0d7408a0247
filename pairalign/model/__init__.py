"""The network: encoder (audio -> condition), codebook (frames -> codes), decoder (condition -> token string)."""

from pairalign.model.network import ModelConfig, PairAlignModel, base_config, small_config, tiny_config

__all__ = ["ModelConfig", "PairAlignModel", "base_config", "small_config", "tiny_config"]
