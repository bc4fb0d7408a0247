"""Token strings and how they differ: glyphs, edit scripts and distances.

>>> edit_distance(ids_from_text("kitten"), ids_from_text("sitting"))
3
"""

from __future__ import annotations

import math
import string
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from operator import index
from typing import Any

from rapidfuzz.distance import LCSseq, Levenshtein

from pairalign.arguments import is_whole
from pairalign.errors import PairAlignError

MAX_VOCAB_SIZE = 65_536

# Blocks that fonts cover widely: narrow ones (Latin Extended, IPA, Greek, Cyrillic), then Han and Hangul.
_BLOCKS = (
    (0x0100, 0x024F),
    (0x1E00, 0x1EF9),
    (0x0250, 0x02AF),
    (0x0370, 0x03FF),
    (0x0400, 0x04FF),
    (0x4E00, 0x9FA5),
    (0xAC00, 0xD7A3),
    (0x3400, 0x4DB5),
    (0x20000, 0x2A6D6),
)
# Python versions carry different Unicode tables; this one never changes, so a glyph never does either.
_UNICODE = unicodedata.ucd_3_2_0
_OPS = {"replace": "sub", "insert": "ins", "delete": "del"}
# methods that write the codes of the model's codebook; the ids of any other method stand for symbols of its own
_CODE_METHODS = ("pairalign", "vq", "vq_raw", "viterbi", "viterbi_cost")


def _usable(char: str) -> bool:
    """One visible cell of left-to-right text that survives copying through Unicode normalization."""
    return (
        _UNICODE.category(char)[0] in "LNPS"
        and not _UNICODE.combining(char)
        and _UNICODE.bidirectional(char) not in ("R", "AL", "AN")
        and _UNICODE.normalize("NFC", char) == char
    )


@lru_cache(maxsize=1)
def _glyphs() -> tuple[str, ...]:
    latin = [chr(code) for code in (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))]
    # letters and digits first: a small vocabulary then writes words that a double click selects whole
    ascii_alnum = list(string.ascii_lowercase + string.ascii_uppercase + string.digits)
    latin_letters = [c for c in latin if not c.isascii() and _UNICODE.category(c)[0] == "L"]
    rest = [c for c in latin if c not in ascii_alnum and c not in latin_letters]
    wide = [chr(code) for first, last in _BLOCKS for code in range(first, last + 1) if _usable(chr(code))]
    return tuple(ascii_alnum + latin_letters + rest + wide)[:MAX_VOCAB_SIZE]


@lru_cache(maxsize=1)
def _ids() -> dict[str, int]:
    return {char: index for index, char in enumerate(_glyphs())}


def glyph(token_id: int) -> str:
    """The one printable character of a token id; the same for every vocabulary size and Python version."""
    if not (is_whole(token_id) and 0 <= token_id < MAX_VOCAB_SIZE):
        raise PairAlignError(f"token id {token_id!r} has no glyph; allowed: 0 to {MAX_VOCAB_SIZE - 1}")
    return _glyphs()[int(token_id)]


def text_from_ids(ids: Sequence[int], vocab_size: int = MAX_VOCAB_SIZE) -> str:
    """Ids to text, one character each; within Latin-1 (one byte each) for vocabularies up to 188."""
    if not (is_whole(vocab_size) and all(is_whole(i) and 0 <= i < vocab_size for i in ids)):
        raise PairAlignError(f"token ids must be whole numbers in 0 to {vocab_size - 1}; these are {list(ids)[:9]!r}")
    return "".join(_glyphs()[int(i)] for i in ids)


def ids_from_text(text: str) -> tuple[int, ...]:
    """The ids behind a text of glyphs: the inverse of `text_from_ids`."""
    if not isinstance(text, str):
        raise PairAlignError(f"a value of type {type(text).__name__} is no text of glyphs")
    table = _ids()
    try:
        return tuple(table[char] for char in text)
    except KeyError as error:
        raise PairAlignError(
            f"character {error.args[0]!r} stands for no token; paste the text of a token string"
        ) from None


def alphabet_of(method: str) -> str:
    """What the ids of a method stand for: "codes" of the model's codebook, or the method's own name ("bpe", "mfcc")."""
    return "codes" if method in _CODE_METHODS else method


@dataclass(frozen=True)
class TokenString:
    """What a recording became: token ids and their places in time.

    log_probs: of "pairalign" the decoder's log p of each token; of codes mean log scores, no probabilities; else none.
    stopped_by: "eos" where the decoder ended the string itself, "limit" where the length limit did; None for strings
    that no decoder wrote (they end with the recording), or of which it is not kept.
    """

    ids: tuple[int, ...]
    spans_s: tuple[tuple[float, float], ...]
    duration_s: float
    log_probs: tuple[float, ...]
    stopped_by: str | None
    method: str
    model_sha256: str
    vocab_size: int

    def __post_init__(self) -> None:
        # arrays are welcome as input; what is stored is plain Python, hashable and fit for JSON
        try:
            object.__setattr__(self, "ids", tuple(map(index, self.ids)))
            object.__setattr__(self, "spans_s", tuple((float(start), float(end)) for start, end in self.spans_s))
            object.__setattr__(self, "log_probs", tuple(map(float, self.log_probs)))
            object.__setattr__(self, "duration_s", float(self.duration_s))
        except (TypeError, ValueError):
            usable = False
        else:
            usable = self.duration_s >= 0 and isinstance(self.method, str) and isinstance(self.model_sha256, str)
        if not usable:
            raise PairAlignError("a token string needs ids, spans and a duration that are numbers, and names as text")
        if not (is_whole(self.vocab_size) and 1 <= self.vocab_size <= MAX_VOCAB_SIZE):
            raise PairAlignError(f"vocab_size is {self.vocab_size!r}; allowed: 1 to {MAX_VOCAB_SIZE}")
        if any(not 0 <= i < self.vocab_size for i in self.ids):
            raise PairAlignError(f"token ids must lie in 0 to {self.vocab_size - 1}")
        if len(self.spans_s) != len(self.ids) or len(self.log_probs) not in (0, len(self.ids)):
            raise PairAlignError(f"{len(self.ids)} ids need as many spans and as many or no log-probabilities")
        if any(not start <= end for start, end in self.spans_s):
            raise PairAlignError("a span must not end before it starts")
        if self.stopped_by not in ("eos", "limit", None):
            raise PairAlignError(f"stopped_by is {self.stopped_by!r}; allowed: 'eos', 'limit' or None")

    def __len__(self) -> int:
        return len(self.ids)

    def __str__(self) -> str:
        return self.text

    @cached_property
    def text(self) -> str:
        """One printable character per token."""
        return text_from_ids(self.ids, self.vocab_size)

    @property
    def alphabet(self) -> str:
        """What the ids stand for, see `alphabet_of`; strings of different alphabets cannot be compared."""
        return alphabet_of(self.method)

    @property
    def tokens_per_s(self) -> float:
        """Token rate over the whole recording, pauses included."""
        return len(self.ids) / self.duration_s if self.duration_s > 0 else 0.0

    @property
    def bits_per_s(self) -> float:
        """Upper bound of the information rate: every token counts log2(vocabulary) bits."""
        return self.tokens_per_s * math.log2(self.vocab_size)

    def to_dict(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        return {
            "ids": list(self.ids),
            "text": self.text,
            "spans_s": [[round(start, 4), round(end, 4)] for start, end in self.spans_s],
            "tokens_per_s": self.tokens_per_s,
            "stopped_by": self.stopped_by,
        }


Tokens = Sequence[int] | TokenString  # what distances take: ids, or token strings, which are checked to be comparable


@dataclass(frozen=True)
class Edit:
    """One step of an edit script: `op` is match, sub, ins or del; `a` and `b` are positions, None for no token."""

    op: str
    a: int | None
    b: int | None


@dataclass(frozen=True)
class Run:
    """Consecutive edits of one kind: positions a_start to a_end (exclusive) against b_start to b_end."""

    op: str
    a_start: int
    a_end: int
    b_start: int
    b_end: int


@dataclass(frozen=True)
class Alignment:
    """The edit script that turns string `a` into string `b`; `normalized` is distance / longer length."""

    edits: tuple[Edit, ...]
    distance: int
    normalized: float
    a: TokenString
    b: TokenString

    @property
    def runs(self) -> tuple[Run, ...]:
        """Consecutive edits of one kind merged."""
        runs: list[Run] = []
        at_a = at_b = 0
        for edit in self.edits:
            next_a, next_b = at_a + (edit.a is not None), at_b + (edit.b is not None)
            if runs and runs[-1].op == edit.op:
                runs[-1] = Run(edit.op, runs[-1].a_start, next_a, runs[-1].b_start, next_b)
            else:
                runs.append(Run(edit.op, at_a, next_a, at_b, next_b))
            at_a, at_b = next_a, next_b
        return tuple(runs)


def align(a: TokenString, b: TokenString) -> Alignment:
    """A shortest edit script from `a` to `b`.

    Raises: PairAlignError for strings of different models or alphabets: their ids mean different things.
    """
    ids_a, ids_b = _comparable(a, b, only_strings=True)
    edits: list[Edit] = []
    for run in Levenshtein.opcodes(ids_a, ids_b):
        for k in range(max(run.src_end - run.src_start, run.dest_end - run.dest_start)):
            in_a = run.src_start + k if run.tag != "insert" else None
            in_b = run.dest_start + k if run.tag != "delete" else None
            edits.append(Edit(_OPS.get(run.tag, "match"), in_a, in_b))
    distance = sum(edit.op != "match" for edit in edits)
    return Alignment(tuple(edits), distance, Levenshtein.normalized_distance(ids_a, ids_b), a, b)


def check_comparable(a: TokenString, b: TokenString) -> None:
    """Raises: PairAlignError for strings of different models or alphabets: equal ids do not mean equal sounds there."""
    if a.model_sha256 != b.model_sha256:
        raise PairAlignError(
            f"strings of different models cannot be compared ({a.model_sha256[:12]} and {b.model_sha256[:12]}). "
            "Tokenize both recordings with the same checkpoint"
        )
    if a.alphabet != b.alphabet:
        raise PairAlignError(
            f"strings of the methods {a.method} and {b.method} cannot be compared: their ids stand for different "
            f"symbols. Tokenize both recordings with one method; only {', '.join(_CODE_METHODS)} share their codes"
        )


def _comparable(a: Tokens, b: Tokens, only_strings: bool = False) -> tuple[list[int], list[int]]:
    """The ids of both, refused where they cannot be compared or are no tokens at all."""
    for one in (a, b):
        if not isinstance(one, TokenString) and (only_strings or not isinstance(one, Iterable)):
            raise PairAlignError(f"a {type(one).__name__} is no token string; compare what `tokenize` returns")
    if isinstance(a, TokenString) and isinstance(b, TokenString):
        check_comparable(a, b)
    ids_a, ids_b = (list(one.ids if isinstance(one, TokenString) else one) for one in (a, b))
    return ids_a, ids_b


def edit_distance(a: Tokens, b: Tokens) -> int:
    """Unit-cost Levenshtein distance over token ids. Raises: as `align`, where both are token strings."""
    return Levenshtein.distance(*_comparable(a, b))


def normalized_distance(a: Tokens, b: Tokens) -> float:
    """Levenshtein distance / longer length: 0 for equal strings (two empty ones too), 1 for nothing in common.

    Raises: as `align`, where both are token strings.
    """
    return Levenshtein.normalized_distance(*_comparable(a, b))


def jaccard(a: Tokens, b: Tokens, n: int = 1) -> float:
    """Shared share of distinct n-grams; strings too short to have any count as 1 when equal, else 0.

    Raises: as `align`, where both are token strings; PairAlignError for an n below 1.
    """
    if not (is_whole(n) and n >= 1):
        raise PairAlignError(f"n-grams need n of at least 1, a whole number, not {n!r}")
    n = int(n)
    ids_a, ids_b = _comparable(a, b)
    grams_a, grams_b = ({tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)} for ids in (ids_a, ids_b))
    if not grams_a and not grams_b:
        return float(ids_a == ids_b)
    return len(grams_a & grams_b) / len(grams_a | grams_b)


def lcs_ratio(a: Tokens, b: Tokens) -> float:
    """Longest common subsequence / longer length; 1 for two empty strings. Raises: as `align`, for token strings."""
    ids_a, ids_b = _comparable(a, b)
    longer = max(len(ids_a), len(ids_b))
    return LCSseq.similarity(ids_a, ids_b) / longer if longer else 1.0
