"""The whole network and its presets.

Shapes: B batch, F mel bands, M mel frames, T encoder frames, D hidden size, Z latent size, K codes.
"""

from dataclasses import asdict, dataclass, fields

import torch
from torch import nn

from pairalign.errors import PairAlignError
from pairalign.features import MEL_BANDS, LogMel
from pairalign.model.decoder import Condition, ConditionAdapter, Decoder
from pairalign.model.encoder import Encoder
from pairalign.model.quantizer import Codebook


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the network; `to_dict` / `from_dict` are the checkpoint's "architecture"."""

    codes: int = 128
    latent: int = 64
    encoder_size: int = 192
    encoder_heads: int = 4
    encoder_blocks: int = 5
    decoder_size: int = 192
    decoder_heads: int = 4
    decoder_blocks: int = 3
    adapter_blocks: int = 3
    mel_bands: int = MEL_BANDS
    dropout: float = 0.1  # adapter and decoder; the encoder is regularised by views and span masking
    phones: tuple[str, ...] = ()  # names of the phones that supervised stage I; none when it was self-supervised

    def to_dict(self) -> dict:
        """As the sidecar holds it."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict) -> "ModelConfig":
        """Raises ValueError on a key that is missing or unknown, and on a size that no model has."""
        known = {f.name for f in fields(ModelConfig)}
        if set(values) != known:
            wrong = ", ".join(sorted(set(values) ^ known))
            raise PairAlignError(f"The checkpoint's architecture does not fit this version of PairAlign: {wrong}.")
        for name, (low, high) in SIZES.items():
            if type(values[name]) is not int or not low <= values[name] <= high:
                raise PairAlignError(f"The checkpoint's {name} is {str(values[name])[:40]}; allowed: {low} to {high}.")
        phones = values["phones"]
        if not isinstance(phones, list | tuple) or len(phones) > 1000 or not all(isinstance(p, str) for p in phones):
            raise PairAlignError("The checkpoint's phones must be a list of up to 1000 names.")
        if type(values["dropout"]) not in (int, float) or not 0 <= values["dropout"] < 1:
            raise PairAlignError(f"The checkpoint's dropout is {str(values['dropout'])[:40]}; allowed: 0 to below 1.")
        for part in ("encoder", "decoder"):
            size, heads = values[f"{part}_size"], values[f"{part}_heads"]
            if size % (2 * heads):  # rotary positions turn pairs of numbers in every head
                raise PairAlignError(
                    f"The checkpoint's {part}_size {size} cannot be divided among {heads} heads in pairs."
                )
        return ModelConfig(**{**values, "phones": tuple(phones)})


# far beyond every preset; a description from a stranger must not make the program build a network without end
SIZES = {
    "codes": (1, 65_536), "latent": (1, 4_096), "encoder_size": (1, 8_192), "encoder_heads": (1, 64),
    "encoder_blocks": (1, 64), "decoder_size": (1, 8_192), "decoder_heads": (1, 64), "decoder_blocks": (1, 64),
    "adapter_blocks": (0, 64), "mel_bands": (MEL_BANDS, MEL_BANDS),
}  # fmt: skip


def tiny_config() -> ModelConfig:
    """For tests: under 0.3 M parameters."""
    return ModelConfig(
        codes=32,
        latent=16,
        encoder_size=48,
        encoder_heads=2,
        encoder_blocks=2,
        decoder_size=48,
        decoder_heads=2,
        decoder_blocks=2,
        dropout=0.0,
    )


def small_config() -> ModelConfig:
    """For training on a CPU: 5.8 M parameters."""
    return ModelConfig()


def base_config() -> ModelConfig:
    """For training on a GPU: about 22 M parameters."""
    return ModelConfig(
        codes=128,
        latent=64,
        encoder_size=384,
        encoder_heads=6,
        encoder_blocks=6,
        decoder_size=320,
        decoder_heads=5,
        decoder_blocks=4,
    )


PRESETS = {"tiny": tiny_config, "small": small_config, "base": base_config}


@dataclass(frozen=True)
class Encoded:
    """hidden (B, T, D), latents (B, T, Z) of unit norm, lengths (B,) valid frames."""

    hidden: torch.Tensor
    latents: torch.Tensor
    lengths: torch.Tensor


class PairAlignModel(nn.Module):
    """Encoder E, codebook e_k, and the decoder p(y | C) with its condition adapter."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.encoder = Encoder(
            config.mel_bands, config.encoder_size, config.encoder_heads, config.encoder_blocks, config.latent
        )
        self.codebook = Codebook(config.codes, config.latent)
        # what stage I learned the phones with, from the encoder's hidden frames; writing strings does without it
        self.phone_head = nn.Linear(config.encoder_size, len(config.phones)) if config.phones else None
        self.adapter = ConditionAdapter(
            config.encoder_size,
            config.codes,
            config.decoder_size,
            config.decoder_heads,
            config.adapter_blocks,
            config.dropout,
        )
        self.decoder = Decoder(
            config.codes, config.decoder_size, config.decoder_heads, config.decoder_blocks, config.dropout
        )

    def encode(self, features: LogMel, masked: torch.Tensor | None = None) -> Encoded:
        """Log-mel (B, F, M) -> encoder frames; masked (B, T) hides frames from the student."""
        return Encoded(*self.encoder(features.mel, features.lengths, masked))

    def condition(self, encoded: Encoded) -> Condition:
        """Encoder frames -> the condition the decoder reads."""
        return self.adapter(encoded.hidden, self.codebook.log_scores(encoded.latents), encoded.lengths)

    def parameter_count(self) -> int:
        """Trainable numbers in all."""
        return sum(p.numel() for p in self.parameters())
