"""One symbol per 20 ms frame: the codes of VQ and its smoothed forms, and the clusters of MFCC.

Shapes: B windows, T frames.
"""

import numpy as np
import torch

from pairalign.batching import unpadded
from pairalign.mfcc import mfcc
from pairalign.model.baselines import Baselines
from pairalign.model.chooser import Chooser
from pairalign.model.network import Encoded
from pairalign.model.quantizer import Codebook


def code_paths(
    book: Codebook, encoded: Encoded, method: str, baselines: Baselines | None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Codes of every window (T,) and their log scores (T,): nearest ones, or those of a smoothed path.

    method: any that writes codes without the decoder; "viterbi_cost" needs `baselines`.
    """
    if method == "viterbi":
        path = book.viterbi(encoded.latents, encoded.lengths, baselines.viterbi_penalty if baselines else None)
    elif method == "viterbi_cost" and baselines is not None:
        chooser = Chooser(book, baselines.code_cost.to(encoded.latents.device), baselines.cost_penalty)
        path = chooser.paths(encoded.latents, encoded.lengths)
    else:
        path = book.nearest(encoded.latents)
    fit = book.log_scores(encoded.latents).gather(2, path[:, :, None])[:, :, 0]
    return list(zip(unpadded(path, encoded.lengths), unpadded(fit, encoded.lengths), strict=True))


def mfcc_paths(
    wave: torch.Tensor, lengths: torch.Tensor, warp: torch.Tensor | None, centres: torch.Tensor
) -> list[np.ndarray]:
    """The nearest cluster of every frame, (T,) for each window; wave, lengths, warp as for `mfcc`, centres (K, D)."""
    features, frames = mfcc(wave, lengths, warp)
    return unpadded((features @ centres.to(wave.device).T).argmax(-1), frames)
