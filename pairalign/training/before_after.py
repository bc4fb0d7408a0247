"""What fine-tuning changed: the same measures, on the same held-out clips and views, before and after.

The measures are those of evaluation/metrics.py for two strong views of each clip; same_words and other_words are
distances between clips of different speakers, where several speakers said the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pairalign.evaluation import metrics
from pairalign.evaluation.glossary import why_missing
from pairalign.evaluation.metrics import Estimate
from pairalign.evaluation.protocols import Trials, condition_gain, make_trials, measure, plain, tokenize_trials
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
    figures["condition_gain"] = condition_gain(tokenizer, trials, strings)
    return figures | _word_distances(bank, trials, [string.ids for string in strings.clean])


def examples(tokenizer: Tokenizer, bank: AudioBank, items: Sequence[int]) -> list[dict]:
    """The strings of a few held-out clips, as JSON: {"item", "string"}; the longest clips, which say most."""
    chosen = sorted(items, key=lambda i: -bank.durations_s[i])[:EXAMPLES]
    strings = tokenizer.tokenize_batch([bank.wave(i) for i in chosen])
    return [{"item": int(i), "string": string.to_dict()} for i, string in zip(chosen, strings, strict=True)]


def to_json(figures: Figures) -> dict[str, dict[str, Any]]:
    """Figures as the sidecar and the run's report hold them; one that could not be measured is null, with a reason."""
    found: dict[str, dict[str, Any]] = {}
    for name, one in figures.items():
        value, low, high = (number if math.isfinite(number) else None for number in (one.value, one.low, one.high))
        found[name] = {"value": value, "low": low, "high": high}
        if value is None:
            found[name]["reason"] = why_missing(name)
    return found


def _word_distances(bank: AudioBank, trials: Trials, ids: Sequence[Sequence[int]]) -> Figures:
    """How far apart clips of different speakers are: of the same words, and of others. NaN without such pairs."""
    speakers = np.array([bank.utterances[i].speaker for i in trials.utterances])
    texts = np.array([bank.utterances[i].transcript.casefold().strip() for i in trials.utterances])
    known = (speakers != "") & (texts != "")
    pairs = np.triu(known[:, None] & known[None] & (speakers[:, None] != speakers[None]), 1)
    same = pairs & (texts[:, None] == texts[None])
    distances = metrics.distance_matrix(ids, ids)
    other = distances[pairs & ~same]
    mean = float(other.mean()) if len(other) else math.nan
    return {"same_words": metrics.bootstrap_mean(distances[same]), "other_words": plain(mean)}
