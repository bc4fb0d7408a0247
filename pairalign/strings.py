"""Token strings and how they differ: glyphs, edit scripts and distances.

>>> edit_distance(ids_from_text("kitten"), ids_from_text("sitting"))
3
"""

from __future__ import annotations

import math
import string
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from rapidfuzz.distance import LCSseq, Levenshtein

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
    if not 0 <= token_id < MAX_VOCAB_SIZE:
        raise PairAlignError(f"token id {token_id} has no glyph; allowed: 0 to {MAX_VOCAB_SIZE - 1}")
    return _glyphs()[token_id]


def text_from_ids(ids: Sequence[int], vocab_size: int = MAX_VOCAB_SIZE) -> str:
    """Ids to text, one character each; within Latin-1 (one byte each) for vocabularies up to 188."""
    if any(not 0 <= i < vocab_size for i in ids):
        raise PairAlignError(f"token ids must lie in 0 to {vocab_size - 1}; found {min(ids)} to {max(ids)}")
    return "".join(map(glyph, ids))


def ids_from_text(text: str) -> tuple[int, ...]:
    """The ids behind a text of glyphs: the inverse of `text_from_ids`."""
    table = _ids()
    try:
        return tuple(table[char] for char in text)
    except KeyError as error:
        raise PairAlignError(
            f"character {error.args[0]!r} stands for no token; paste the text of a token string"
        ) from None


@dataclass(frozen=True)
class TokenString:
    """What a recording became: token ids and their places in time. `log_probs` is empty for methods without any."""

    ids: tuple[int, ...]
    spans_s: tuple[tuple[float, float], ...]
    duration_s: float
    log_probs: tuple[float, ...]
    stopped_by: str
    method: str
    model_sha256: str
    vocab_size: int

    def __post_init__(self) -> None:
        # arrays are welcome as input; what is stored is plain Python, hashable and fit for JSON
        object.__setattr__(self, "ids", tuple(int(i) for i in self.ids))
        object.__setattr__(self, "spans_s", tuple((float(start), float(end)) for start, end in self.spans_s))
        object.__setattr__(self, "log_probs", tuple(float(p) for p in self.log_probs))
        object.__setattr__(self, "duration_s", float(self.duration_s))
        if not 1 <= self.vocab_size <= MAX_VOCAB_SIZE:
            raise PairAlignError(f"vocab_size is {self.vocab_size}; allowed: 1 to {MAX_VOCAB_SIZE}")
        if any(not 0 <= i < self.vocab_size for i in self.ids):
            raise PairAlignError(f"token ids must lie in 0 to {self.vocab_size - 1}")
        if len(self.spans_s) != len(self.ids) or len(self.log_probs) not in (0, len(self.ids)):
            raise PairAlignError(f"{len(self.ids)} ids need as many spans and as many or no log-probabilities")
        if any(not start <= end for start, end in self.spans_s):
            raise PairAlignError("a span must not end before it starts")
        if self.stopped_by not in ("eos", "limit"):
            raise PairAlignError(f"stopped_by is {self.stopped_by!r}; allowed: 'eos' or 'limit'")

    def __len__(self) -> int:
        return len(self.ids)

    def __str__(self) -> str:
        return self.text

    @cached_property
    def text(self) -> str:
        """One printable character per token."""
        return text_from_ids(self.ids, self.vocab_size)

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
    """A shortest edit script from `a` to `b`. Strings of different models mean different things and are refused."""
    if a.model_sha256 != b.model_sha256:
        raise PairAlignError(
            f"strings of different models cannot be compared ({a.model_sha256[:12]} and {b.model_sha256[:12]}). "
            "Tokenize both recordings with the same checkpoint"
        )
    edits: list[Edit] = []
    for run in Levenshtein.opcodes(list(a.ids), list(b.ids)):
        for k in range(max(run.src_end - run.src_start, run.dest_end - run.dest_start)):
            in_a = run.src_start + k if run.tag != "insert" else None
            in_b = run.dest_start + k if run.tag != "delete" else None
            edits.append(Edit(_OPS.get(run.tag, "match"), in_a, in_b))
    distance = sum(edit.op != "match" for edit in edits)
    return Alignment(tuple(edits), distance, _over_longer(distance, a.ids, b.ids), a, b)


def _over_longer(count: int, ids_a: Sequence[int], ids_b: Sequence[int]) -> float:
    longer = max(len(ids_a), len(ids_b))
    return count / longer if longer else 0.0


def edit_distance(ids_a: Sequence[int], ids_b: Sequence[int]) -> int:
    """Unit-cost Levenshtein distance over token ids."""
    return Levenshtein.distance(list(ids_a), list(ids_b))


def normalized_distance(ids_a: Sequence[int], ids_b: Sequence[int]) -> float:
    """Levenshtein distance / longer length: 0 for equal strings (two empty ones too), 1 for nothing in common."""
    return _over_longer(edit_distance(ids_a, ids_b), ids_a, ids_b)


def jaccard(ids_a: Sequence[int], ids_b: Sequence[int], n: int = 1) -> float:
    """Shared share of distinct n-grams; strings too short to have any count as 1 when equal, else 0."""
    if n < 1:
        raise PairAlignError(f"n-grams need n of at least 1, not {n}")
    grams_a, grams_b = ({tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)} for ids in (ids_a, ids_b))
    if not grams_a and not grams_b:
        return float(tuple(ids_a) == tuple(ids_b))
    return len(grams_a & grams_b) / len(grams_a | grams_b)


def lcs_ratio(ids_a: Sequence[int], ids_b: Sequence[int]) -> float:
    """Longest common subsequence / longer length; 1 for two empty strings."""
    if not len(ids_a) and not len(ids_b):
        return 1.0
    return _over_longer(LCSseq.similarity(list(ids_a), list(ids_b)), ids_a, ids_b)
