"""Word search by example across speakers (protocol R2): does a token string say *what* was said?

A word cut out of one recording is looked for in the recordings of all other speakers. Agreement of two views of the
same recording can be had from the voice or the room; finding the word in another mouth cannot. The word is cut from the
string of its whole recording by the recovered token times, so it is heard in context and timing counts too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pairalign.evaluation import metrics
from pairalign.evaluation.metrics import Estimate, Ids
from pairalign.evaluation.protocols import EvaluationError, plain
from pairalign.strings import TokenString
from pairalign.training.bank import AudioBank
from pairalign.training.corpora import Word

MIN_LETTERS = 4
MIN_WORD_S = 0.25
MIN_SPEAKERS = 3
MAX_SHARE = 0.1  # a word in more than a tenth of the recordings is grammar, not a search term
MAX_WORDS = 100
QUERIES_PER_WORD = 4
# of a method where there is no word to search for
UNSEARCHED = {name: plain(math.nan) for name in ("r2_map", "r2_mrr", "r2_recall_1", "r2_recall_5", "r2_recall_10")}


@dataclass(frozen=True)
class WordSearch:
    """The task: `queries` among the recordings `items`. `relevant` and `candidates` are (queries, items)."""

    items: list[int]
    queries: list[Word]
    relevant: np.ndarray
    candidates: np.ndarray


def make_word_search(
    bank: AudioBank, items: Sequence[int], words: Sequence[Word], limit: int = 1200, seed: int = 0
) -> WordSearch:
    """Draw up to 100 words with 4 queries each; the recordings searched are those with word times, at most `limit`."""
    rng = np.random.default_rng(seed)
    timed = {word.utterance for word in words}
    pool = sorted(i for i in items if i in timed and bank.utterances[i].speaker and bank.durations_s[i] > 0)
    pool = sorted(int(i) for i in rng.permutation(pool)[:limit])
    place = {i: k for k, i in enumerate(pool)}
    speakers = np.array([bank.utterances[i].speaker for i in pool])
    spoken: dict[str, list[Word]] = {}
    for word in words:
        if word.utterance in place and len(word.text) >= MIN_LETTERS:
            spoken.setdefault(word.text.casefold(), []).append(word)
    queries, relevant = [], []
    for text in _search_terms(spoken, speakers, place, rng):
        holders = np.zeros(len(pool), dtype=bool)
        holders[[place[word.utterance] for word in spoken[text]]] = True
        long_enough = [word for word in spoken[text] if word.end_s - word.start_s >= MIN_WORD_S]
        for k in rng.permutation(len(long_enough))[:QUERIES_PER_WORD]:
            queries.append(long_enough[k])
            relevant.append(holders)
    if not queries:
        raise EvaluationError(
            f"word search needs a word of {MIN_LETTERS} letters or more said by {MIN_SPEAKERS} speakers: "
            "there is none in this split. Give word times of more recordings, or leave out --words."
        )
    others = np.stack([speakers != bank.utterances[word.utterance].speaker for word in queries])
    return WordSearch(pool, queries, np.stack(relevant) & others, others)


def _search_terms(
    spoken: dict[str, list[Word]], speakers: np.ndarray, place: dict[int, int], rng: np.random.Generator
) -> list[str]:
    terms = []
    for text in sorted(spoken):
        holders = {place[word.utterance] for word in spoken[text]}
        enough = len({speakers[k] for k in holders}) >= MIN_SPEAKERS
        if enough and len(holders) <= max(MAX_SHARE * len(speakers), MIN_SPEAKERS):
            terms.append(text)
    return [terms[k] for k in rng.permutation(len(terms))[:MAX_WORDS]]


def measure_word_search(task: WordSearch, strings: Sequence[TokenString], seed: int = 0) -> dict[str, Estimate]:
    """Ranking measures of one method; `strings` are those of the recordings `task.items`."""
    place = {i: k for k, i in enumerate(task.items)}
    cut = [between(strings[place[word.utterance]], word.start_s, word.end_s) for word in task.queries]
    return rank_words(task, infix_distances(cut, [string.ids for string in strings]), seed)


def rank_words(task: WordSearch, distances: np.ndarray, seed: int = 0) -> dict[str, Estimate]:
    """Ranking measures of distances (queries, items), by whatever method."""
    values = {
        "r2_map": metrics.mean_average_precision(distances, task.relevant, task.candidates),
        "r2_mrr": metrics.mrr(distances, task.relevant, task.candidates),
    }
    for k in (1, 5, 10):
        values[f"r2_recall_{k}"] = metrics.recall_at(k, distances, task.relevant, task.candidates)
    return {name: metrics.bootstrap_mean(value, seed) for name, value in values.items()}


def between(string: TokenString, start_s: float, end_s: float) -> tuple[int, ...]:
    """The tokens whose middle lies between two times."""
    middles = ((start + end) / 2 for start, end in string.spans_s)
    return tuple(token for token, middle in zip(string.ids, middles, strict=True) if start_s <= middle < end_s)


def infix_distances(queries: Sequence[Ids], documents: Sequence[Ids]) -> np.ndarray:
    """min over substrings S of each document of Lev(query, S) / |query|, (Q, D); 1 for an empty query.

    >>> infix_distances([(1, 2, 3, 4)], [(9, 1, 3, 4, 9), (8, 1, 2, 3, 4), ()]).tolist()
    [[0.25, 0.0, 1.0]]
    """
    result = np.ones((len(queries), len(documents)), dtype=np.float32)
    gap = max(map(len, queries), default=0)
    if not len(documents) or not gap:
        return result
    # All documents in one row, so that the work follows their tokens, not the longest one. Between two of them stand as
    # many matchless places as the longest query has tokens: crossing costs as much as finding nothing.
    text = np.concatenate([np.append(np.asarray(document, np.int32), np.full(gap, -1)) for document in documents])
    starts = np.cumsum([0, *(len(document) + gap for document in documents[:-1])])
    for q, query in enumerate(queries):
        if len(query):
            result[q] = np.minimum.reduceat(_alignment_ends(query, text), starts) / len(query)
    return result


def _alignment_ends(query: Ids, text: np.ndarray) -> np.ndarray:
    """Lowest edit distance of the query to a substring of the text that ends at each position, (L,)."""
    column = np.arange(len(text), dtype=np.int32)
    best = np.zeros(len(text), dtype=np.int32)  # a substring may start anywhere
    before = 0  # the distance at the place in front of the text, where only the empty substring ends
    for token in query:
        step = best + 1
        np.minimum(step[1:], best[:-1] + (text[1:] != token), out=step[1:])
        step[0] = min(step[0], before + (text[0] != token), before + 2)
        before += 1
        # Skipping text costs 1 per token: a running minimum does the whole row at once.
        best = np.minimum.accumulate(step - column) + column
    return best
