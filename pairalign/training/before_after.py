"""What fine-tuning changed: the same measures, on the same held-out clips and views, before and after.

The measures are those of evaluation/metrics.py for two strong views of each clip; same_words and other_words are
distances between clips of different speakers, where several speakers said the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pairalign.evaluation import metrics
from pairalign.evaluation.metrics import Estimate
from pairalign.evaluation.protocols import Trials, make_trials, measure, plain, tokenize_trials
from pairalign.tokenizer import Tokenizer
from pairalign.training.bank import AudioBank

MOST_CLIPS = 48
EXAMPLES = 3
SEED = 7  # other views than those that validation chooses the best weights with
MEASURES = (
    "ned_pair", "ned_random", "separation", "tokens_per_s", "length_deviation", "shift_50ms", "collapse_rate",
    "vocab_used", "recall_1",
)  # fmt: skip

Figures = dict[str, Estimate]


def measure_held_out(
    tokenizer: Tokenizer, bank: AudioBank, items: Sequence[int], report: Callable[[str], None] = lambda text: None
) -> Figures:
    """The measures of one checkpoint on held-out clips. `report` is called between parts, and may raise to stop."""
    trials = make_trials(bank, items, MOST_CLIPS, SEED)
    strings = tokenize_trials(tokenizer, trials, "pairalign", report)
    everything = measure(strings, trials)
    figures = {name: everything[name] for name in MEASURES}
    report("condition gain")
    gain = tokenizer.condition_gain(trials.clean, strings.clean, _unrelated(trials))
    figures["condition_gain"] = metrics.bootstrap_mean(gain)
    return figures | _word_distances(bank, trials, [string.ids for string in strings.clean])


def examples(tokenizer: Tokenizer, bank: AudioBank, items: Sequence[int]) -> list[dict]:
    """The strings of a few held-out clips, as JSON: {"item", "string"}; the longest clips, which say most."""
    chosen = sorted(items, key=lambda i: -bank.durations_s[i])[:EXAMPLES]
    strings = tokenizer.tokenize_batch([bank.wave(i) for i in chosen])
    return [{"item": int(i), "string": string.to_dict()} for i, string in zip(chosen, strings, strict=True)]


def to_json(figures: Figures) -> dict[str, dict[str, float]]:
    """Figures as the sidecar and the run's report hold them."""
    return {name: {"value": one.value, "low": one.low, "high": one.high} for name, one in figures.items()}


def _unrelated(trials: Trials) -> list[int]:
    """For each clip the next one that says something else; itself where there is none, which makes its gain zero."""
    count = len(trials.clean)
    order = [[(i + k) % count for k in range(1, count)] for i in range(count)]
    return [next((j for j in others if not trials.related[i, j]), i) for i, others in enumerate(order)]


def _word_distances(bank: AudioBank, trials: Trials, ids: Sequence[Sequence[int]]) -> Figures:
    """How far apart clips of different speakers are: of the same words, and of others. Nothing without such pairs."""
    speakers = np.array([bank.utterances[i].speaker for i in trials.utterances])
    texts = np.array([bank.utterances[i].transcript.casefold().strip() for i in trials.utterances])
    known = (speakers != "") & (texts != "")
    pairs = np.triu(known[:, None] & known[None] & (speakers[:, None] != speakers[None]), 1)
    same = pairs & (texts[:, None] == texts[None])
    if not same.any():
        return {}
    distances = metrics.distance_matrix(ids, ids)
    other = distances[pairs & ~same]
    found = {"same_words": metrics.bootstrap_mean(distances[same])}
    return found | ({"other_words": plain(float(other.mean()))} if len(other) else {})
