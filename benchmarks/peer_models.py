"""Speech tokenizers side by side: PairAlign, and those a user would pick instead.

The others are built from the classes and default configurations of Hugging Face's transformers, with random weights:
how long they take does not depend on the weights, but their tokens mean nothing here.
Shapes: B clips, T samples, Q codebooks, F frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

HUBERT_LAYER = 9
HUBERT_CLUSTERS = 500
MIMI_CODEBOOKS = 8  # as speech language models use it; it was trained with 32


@dataclass(frozen=True)
class Peer:
    """A tokenizer.

    write: waves (B, T) float32 at rate_hz -> the number of tokens of each clip.
    codes: how many different tokens there are. parameters, weights_mb: of all that its checkpoint holds.
    """

    write: Callable[[np.ndarray], list[int]]
    rate_hz: int
    codes: int
    parameters: int
    weights_mb: float


def pairalign(method: str = "pairalign", beam: int = 4) -> Peer:
    """The shipped checkpoint."""
    from pairalign.checkpoint import resolve_checkpoint
    from pairalign.decoding import DecodingOptions
    from pairalign.tokenizer import load

    tokenizer, options = load("base", device="cpu"), DecodingOptions(beam=beam)

    def write(waves: np.ndarray) -> list[int]:
        return [len(s) for s in tokenizer.tokenize_batch(list(waves), method, len(waves), options)]

    weights_mb = resolve_checkpoint("base").stat().st_size / 1e6
    return Peer(write, 16_000, tokenizer.vocab_size, tokenizer.model.parameter_count(), weights_mb)


def encodec() -> Peer:
    """EnCodec at 24 kHz (Défossez et al. 2022), at its default and lowest rate, 1.5 kbit/s: 2 codebooks at 75 Hz."""
    from transformers import EncodecConfig, EncodecModel

    model = EncodecModel(EncodecConfig()).eval()

    @torch.inference_mode()
    def write(waves: np.ndarray) -> list[int]:
        codes = model.encode(torch.from_numpy(waves)[:, None]).audio_codes  # (1, B, Q, F)
        return [one.numel() for one in codes[0]]

    return Peer(write, 24_000, model.config.codebook_size, *_size(model))


def mimi() -> Peer:
    """Mimi (Défossez et al. 2024): 8 codebooks at 12.5 Hz."""
    from transformers import MimiConfig, MimiModel

    model = MimiModel(MimiConfig()).eval()

    @torch.inference_mode()
    def write(waves: np.ndarray) -> list[int]:
        codes = model.encode(torch.from_numpy(waves)[:, None], num_quantizers=MIMI_CODEBOOKS).audio_codes  # (B, Q, F)
        return [one.numel() for one in codes]

    return Peer(write, 24_000, model.config.codebook_size, *_size(model))


def hubert() -> Peer:
    """HuBERT base (Hsu et al. 2021), no further than layer 9, and the nearest of 500 k-means centres at 50 Hz."""
    from transformers import HubertConfig, HubertModel

    model = HubertModel(HubertConfig()).eval()
    size = _size(model)
    model.encoder.layers = model.encoder.layers[:HUBERT_LAYER]
    centres = torch.randn(HUBERT_CLUSTERS, model.config.hidden_size)

    @torch.inference_mode()
    def write(waves: np.ndarray) -> list[int]:
        frames = model(torch.from_numpy(waves)).last_hidden_state  # (B, F, D)
        codes = torch.cdist(frames, centres).argmin(2)
        return [len(one) for one in codes]  # repeats are not collapsed: those of random weights mean nothing

    return Peer(write, 16_000, HUBERT_CLUSTERS, *size)


PEERS: dict[str, Callable[[], Peer]] = {
    "PairAlign": pairalign,
    "PairAlign, greedy": lambda: pairalign(beam=1),
    "PairAlign's VQ": lambda: pairalign("vq"),
    "EnCodec 24 kHz": encodec,
    "Mimi": mimi,
    "HuBERT base, layer 9, k-means": hubert,
}


def _size(model: torch.nn.Module) -> tuple[int, float]:
    """Parameters, and megabytes of all tensors."""
    tensors = model.state_dict().values()
    return sum(p.numel() for p in model.parameters()), sum(t.numel() * t.element_size() for t in tensors) / 1e6
