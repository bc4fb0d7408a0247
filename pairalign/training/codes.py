"""Between stage I and II: a codebook for the trained frames, and the switch penalty for the wanted rate."""

import numpy as np
import torch

from pairalign.model.encoder import FRAME_RATE_HZ
from pairalign.model.network import Encoded
from pairalign.model.quantizer import fit_switch_penalty, spherical_kmeans
from pairalign.training import distributed
from pairalign.training.data import augmentation_batch
from pairalign.training.run import Run
from pairalign.views import MILD, STRONG, make_view

FIT_BATCHES = 24
PENALTY_BATCHES = 6
FIT_STEP = 1_000_000_000  # batches nobody trains on
MAX_FRAMES = 60_000


@torch.no_grad()
def fit_codebook(run: Run) -> float:
    """Spherical k-means over the teacher's frames of mild and strong views, then the switch penalty.

    Sets codes and penalty in model and teacher; returns the penalty.
    """
    frames: list[torch.Tensor] = []
    encoded: list[Encoded] = []
    shortest_s = min(1.0, run.config.max_s)
    run.teacher.eval()
    for k in range(FIT_BATCHES):
        batch = augmentation_batch(run.bank, run.items, FIT_STEP + k, run.config.seed, 24, shortest_s, run.config.max_s)
        seed = int(np.random.SeedSequence((run.config.seed, 5, k)).generate_state(1)[0])
        ranges = MILD if k % 2 == 0 else STRONG
        wave, lengths = batch.wave.to(run.device), batch.lengths.to(run.device)
        view = make_view(wave, lengths, ranges, torch.Generator().manual_seed(seed))
        heard = run.teacher.encode(view.log_mel())
        frames += [z[: int(n)].cpu() for z, n in zip(heard.latents, heard.lengths, strict=True)]
        if ranges is MILD and len(encoded) < PENALTY_BATCHES:
            encoded.append(heard)
    generator = torch.Generator().manual_seed(run.config.seed)
    everything = torch.cat(frames)
    some = everything[torch.randperm(len(everything), generator=generator)[:MAX_FRAMES]]
    codes = spherical_kmeans(some, run.teacher.config.codes, generator)
    for network in (run.model, run.teacher):
        network.codebook.codes.copy_(codes)
        distributed.from_first(network.codebook.codes)  # GPUs may differ in the last bit, and k-means then diverges
    penalties = [
        fit_switch_penalty(
            run.teacher.codebook.log_scores(h.latents), h.lengths, run.config.wanted_rate_hz, FRAME_RATE_HZ
        )
        for h in encoded
    ]
    penalty = float(np.mean(penalties))
    for network in (run.model, run.teacher):
        network.codebook.switch_penalty.fill_(penalty)
        distributed.from_first(network.codebook.switch_penalty)
    return penalty
