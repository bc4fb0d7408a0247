"""What the measures of a report mean, in plain words, in the order in which a person should read them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Meaning:
    """One line of explanation; `better` is "higher", "lower", or "" where neither is.

    missing: why there may be no value.
    """

    text: str
    better: str = ""
    missing: str = ""


_NOTHING_UNRELATED = "all that is measured says the same, so there is nothing unrelated to compare with"
_NO_TOKENS = "no string has a token"
_NO_ROOM = "no recording is long enough to slide the window"
_NO_SEARCH = "no word of 4 letters or more, with its time, is said by three named speakers"
_NO_BOUNDARIES = "no word boundary is known"
# of fine-tuning alone; the others are in GROUPS
_MISSING = {
    "same_words": "no two named speakers say the same words, by the transcripts",
    "other_words": "no two named speakers say different words, by the transcripts",
}


GROUPS: dict[str, dict[str, Meaning]] = {
    "How long the strings are": {
        "tokens_per_s": Meaning("tokens per second of audio; compare strings at like rates, longer ones hold more"),
        "bits_per_s": Meaning("tokens per second times the bits of a token: log2 of the vocabulary"),
        "archive_tokens": Meaning("tokens of all segments together"),
        "archive_token_reduction": Meaning(
            "share of tokens saved against VQ with repeats removed", "higher", missing=_NO_TOKENS
        ),
        "eos_rate": Meaning("share of strings that ended by themselves instead of at the length limit", "higher"),
    },
    "Two views of one recording agree, unrelated speech does not": {
        "separation": Meaning(
            "ned_random - ned_pair: how much further unrelated speech is than a view",
            "higher",
            missing=_NOTHING_UNRELATED,
        ),
        "separation_auc": Meaning(
            "chance that an unrelated pair is further apart than two views of a segment",
            "higher",
            missing=_NOTHING_UNRELATED,
        ),
        "ned_pair": Meaning("edit distance of two views / longer length; means nothing without ned_random", "lower"),
        "ned_random": Meaning(
            "the same for unrelated segments; low when strings collapse", "higher", missing=_NOTHING_UNRELATED
        ),
        "ued": Meaning(
            "edits per 100 tokens of the clean string, repeats removed (unit edit distance)",
            "lower",
            missing=_NO_TOKENS,
        ),
        "jaccard_1": Meaning("tokens that both views have, of those that either has", "higher"),
        "jaccard_2": Meaning("the same for pairs of neighbouring tokens", "higher", missing="no string has two tokens"),
        "lcs": Meaning("longest common subsequence of two views / longer length", "higher"),
        "exact_match": Meaning("share of segments whose two views give the very same string", "higher"),
        "length_deviation": Meaning("difference of the two lengths / longer length", "lower"),
        "shift_50ms": Meaning(
            "edit distance to the string of the window 50 ms later / longer length",
            "lower",
            missing="no recording goes on for 50 ms behind what is measured of it",
        ),
        "condition_gain": Meaning(
            "how much likelier a token is under its own audio than under other audio, nat",
            "higher",
            missing=_NOTHING_UNRELATED,
        ),
    },
    "The vocabulary is used": {
        "vocab_used": Meaning("number of different tokens that occur", "higher"),
        "vocab_perplexity": Meaning("how many equally frequent tokens the vocabulary is worth", "higher"),
        "collapse_rate": Meaning("share of segments whose string says next to nothing", "lower"),
    },
    "Finding a segment again from a distorted, shifted query (R1)": {
        "recall_1": Meaning("share of queries whose own segment comes first", "higher", missing=_NOTHING_UNRELATED),
        "mrr": Meaning("mean of 1 / rank of the own segment", "higher", missing=_NOTHING_UNRELATED),
    },
    "Finding a word in the recordings of other speakers (R2)": {
        "r2_map": Meaning(
            "mean average precision over all recordings that hold the word", "higher", missing=_NO_SEARCH
        ),
        "r2_mrr": Meaning("mean of 1 / rank of the first recording that holds the word", "higher", missing=_NO_SEARCH),
        "r2_recall_1": Meaning("share of queries with a right recording first", "higher", missing=_NO_SEARCH),
        "r2_recall_5": Meaning(
            "share of queries with a right recording among the first 5", "higher", missing=_NO_SEARCH
        ),
        "r2_recall_10": Meaning(
            "share of queries with a right recording among the first 10", "higher", missing=_NO_SEARCH
        ),
    },
    "Sliding the window by 0 to 100 ms": {
        "sweep_d_100": Meaning("distance to the first string after 100 ms", "lower", missing=_NO_ROOM),
        "sweep_excess": Meaning(
            "sweep_d_100 less 2 x 100 ms / 3 s, what the changed audio itself explains", "lower", missing=_NO_ROOM
        ),
        "sweep_d_max": Meaning("largest distance to the first string on the way", "lower", missing=_NO_ROOM),
        "sweep_bounded": Meaning(
            "share of segments whose largest distance stays below 0.3", "higher", missing=_NO_ROOM
        ),
        "sweep_step_mean": Meaning("mean distance of neighbours 10 ms apart", "lower", missing=_NO_ROOM),
        "sweep_step_mean_20": Meaning(
            "the same 20 ms apart: one whole frame, easier for frame-by-frame strings", "lower", missing=_NO_ROOM
        ),
        "sweep_roughness": Meaning(
            "sum of the 10 ms steps / sweep_d_100: 1 is a straight path",
            "lower",
            missing=f"{_NO_ROOM}, or no string changes",
        ),
        "sweep_length_std": Meaning(
            "standard deviation of the length along the way, tokens", "lower", missing=_NO_ROOM
        ),
        "sweep_length_deviation": Meaning(
            "mean difference to the first length / longer length", "lower", missing=_NO_ROOM
        ),
    },
    "Tokens are where they say they are": {
        "delay_error_ms": Meaning(
            "how far tokens shared with a later window are from where the shift puts them",
            "lower",
            missing=f"{_NO_ROOM}, or no token stays",
        ),
        "boundary_hit_40ms": Meaning(
            "share of word boundaries with a token boundary within 40 ms", "higher", missing=_NO_BOUNDARIES
        ),
        "boundary_hit_40ms_even": Meaning(
            "the same for as many evenly spaced boundaries: chance for a dense string", missing=_NO_BOUNDARIES
        ),
        "boundary_hit_40ms_turned": Meaning(
            "the same for its own boundaries turned round in time: chance at like gaps", missing=_NO_BOUNDARIES
        ),
    },
}
OTHER = "More measures"

METHODS = {
    "pairalign": "written by the decoder, token by token",
    "vq": "the nearest code of every 20 ms frame, repeats removed",
    "vq_raw": "the nearest code of every 20 ms frame, one token each",
    "viterbi": "the same codes with a penalty on every change, fitted to the rate of pairalign's strings (or, in a "
    "checkpoint without fitted baselines, to the rate wanted in training)",
    "viterbi_cost": "the same with rare codes dearer than common ones: what thrift alone gives, without a decoder",
    "bpe": "vq's strings with frequent pairs merged (byte-pair encoding), at the rate of pairalign's strings",
    "mfcc": "the nearest of as many clusters of MFCC frames, repeats removed: no training but k-means",
    "mfcc_dtw": "no strings: MFCC frames compared by dynamic time warping",
    "encoder_dtw": "no strings: the encoder's frames warped in time: the ceiling of strings made of them",
    "random": "the floor: as long as pairalign's strings, without meaning",
}


def grouped(names: Iterable[str]) -> dict[str, dict[str, Meaning]]:
    """The measures that are there, by group; those without an explanation come last, under their own names."""
    left = dict.fromkeys(names)
    found: dict[str, dict[str, Meaning]] = {}
    for title, meanings in GROUPS.items():
        here = {name: meaning for name, meaning in meanings.items() if name in left}
        if here:
            found[title] = here
        for name in here:
            del left[name]
    if left:
        found[OTHER] = {name: Meaning("") for name in left}
    return found


def why_missing(name: str) -> str:
    """Why a measure has no value, in words that follow a dash."""
    meanings = {metric: meaning.missing for group in GROUPS.values() for metric, meaning in group.items()}
    return _MISSING.get(name) or meanings.get(name) or "it cannot be measured on these recordings"
