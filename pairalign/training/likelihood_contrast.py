"""Likelihood contrast of stage III: a string must be likelier under its own audio than under unrelated audio.

Shapes: B batch per rank, W ranks, U tokens, T frames, M negatives.
"""

import torch

from pairalign.model.decoder import Condition
from pairalign.strings import normalized_distance
from pairalign.training import distributed, losses
from pairalign.training.run import Run

SAME_STRING = 0.2  # strings closer than this are no negatives of each other


def likelihood_contrast(
    run: Run, condition: Condition, strings: losses.Strings, utterances: torch.Tensor, stats: dict[str, float]
) -> torch.Tensor:
    """InfoNCE over sampled strings (rows) and sampled conditions (columns) of ``s_ij = lbar(y_j | C_i) / tau``."""
    config, decoder = run.config, run.model.decoder
    states = distributed.gather_rows(condition.states, pad_dims=True)
    unread = states[:, :, 0]  # the decoder reads states and lengths only
    everything = Condition(states, distributed.gather_rows(condition.lengths), unread, unread)
    all_ids = distributed.gather_rows(strings.ids.masked_fill(strings.ids < 0, -1) + 1, pad_dims=True) - 1
    all_strings = losses.Strings(
        all_ids.masked_fill(all_ids < 0, losses.IGNORED), distributed.gather_rows(strings.lengths)
    )
    all_utterances = distributed.gather_rows(utterances.to(run.device)).tolist()
    local, total = len(utterances), len(all_utterances)
    own = torch.arange(local) + run.rank * local
    rolls = range(1, min(config.contrast_strings, total - 1) + 1)
    rows = [(own, (own + k) % total) for k in rolls]
    columns = [((own - k) % total, own) for k in rolls] if config.column_contrast else []
    of_condition = torch.cat([own, *(i for i, _ in rows + columns)]).to(run.device)
    of_string = torch.cat([own, *(j for _, j in rows + columns)]).to(run.device)
    chosen = all_strings.rows(of_string)
    with run.autocast():
        logits, _ = decoder(chosen.inputs(decoder.bos_id), everything.rows(of_condition))
    score = losses.mean_log_probability(logits, chosen).unflatten(0, (-1, local))  # (1 + pairs, local)
    plain = [[i for i in row if 0 <= i < decoder.eos_id] for row in all_ids.tolist()]
    unrelated = [
        [_unrelated(int(i), int(j), plain, all_utterances) for i, j in zip(*pair, strict=True)]
        for pair in rows + columns
    ]
    usable = torch.tensor(unrelated, device=run.device).T
    positive, negatives = score[0], score[1:].T
    gains = (positive[:, None] - negatives).detach()[usable]
    stats["condition_gain"] = float(gains.mean()) if len(gains) else 0.0
    m, tau = len(rows), config.string_temperature
    loss = losses.info_nce(positive / tau, negatives[:, :m] / tau, usable[:, :m])
    if columns:
        loss = (loss + losses.info_nce(positive / tau, negatives[:, m:] / tau, usable[:, m:])) / 2
    stats["string_contrast"] = float(loss.detach())
    return loss


def _unrelated(i: int, j: int, strings: list[list[int]], utterances: list[int]) -> bool:
    """Whether item i's condition and item j's string make a fair negative."""
    return utterances[i] != utterances[j] and normalized_distance(strings[i], strings[j]) >= SAME_STRING
