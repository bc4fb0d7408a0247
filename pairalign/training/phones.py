"""Phones of spoken words through a pronouncing lexicon: weak supervision for stages I and II.

The transcript says which words were spoken and when, the lexicon which phones a word has; where in the word each phone
lies is found by the teacher itself: the best monotone path of its own phone scores inside the word (embedded Viterbi
training). Recordings without word times, and words the lexicon does not have, teach nothing here.

Shapes: B batch, T frames (20 ms), P phones (0 is silence), N words, U phones of a word.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pairalign.model.encoder import FRAME_RATE_HZ
from pairalign.timing import monotone_starts
from pairalign.training.corpora import DataError, Word
from pairalign.training.data import Segments

SILENCE = "SIL"
UNKNOWN = -1  # a frame nobody has labelled
EDGE_FRAMES = 2  # silence is only labelled this far from the words beside it: word times are not exact
MIN_GAP_S = 0.12


@dataclass(frozen=True)
class SpokenWord:
    """Seconds inside its recording, and the phones said (their ids)."""

    start_s: float
    end_s: float
    phones: tuple[int, ...]


@dataclass(frozen=True)
class PhoneIndex:
    """`names[p]` is phone p; `spoken[utterance]` its words in order, those that the lexicon lacks with no phones."""

    names: tuple[str, ...]
    spoken: dict[int, tuple[SpokenWord, ...]]


def read_lexicon(path: str | Path) -> dict[str, tuple[str, ...]]:
    """Spelling (case folded) -> phones, from a file in the format of CMUdict: ``WORD  W ER1 D`` on a line.

    Stress digits are dropped, and of several pronunciations (``WORD(2)``) the first counts.
    Raises: DataError when the file is missing, not text, or holds no entry.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"lexicon {path} cannot be read ({error}); give a text file of lines 'WORD  PH ONE S'."
        ) from None
    entries: dict[str, tuple[str, ...]] = {}
    for line in lines:
        word, *phones = line.split("#")[0].split() or [""]
        if phones and not word.startswith(";;;") and not word.endswith(")"):
            entries.setdefault(word.casefold(), tuple(phone.rstrip("0123456789") for phone in phones))
    if not entries:
        raise DataError(f"lexicon {path} holds no entry. Lines look like 'WORD  W ER D', as in CMUdict.")
    return entries


def build_phone_index(words: list[Word], lexicon: dict[str, tuple[str, ...]]) -> PhoneIndex:
    """What is spoken in each recording. Raises: DataError when the lexicon has none of the words."""
    said = [lexicon.get(word.text.casefold(), ()) for word in words]
    names = (SILENCE, *sorted({phone for phones in said for phone in phones}))
    if len(names) == 1:
        raise DataError("the lexicon has none of the words in the word times: is it for another language?")
    number = {name: p for p, name in enumerate(names)}
    spoken: dict[int, list[SpokenWord]] = {}
    for word, phones in zip(words, said, strict=True):
        entry = SpokenWord(word.start_s, word.end_s, tuple(number[p] for p in phones))
        spoken.setdefault(word.utterance, []).append(entry)
    return PhoneIndex(names, {u: tuple(sorted(s, key=lambda w: w.start_s)) for u, s in spoken.items()})


def phone_labels(
    index: PhoneIndex, segments: Segments, log_probs: torch.Tensor, lengths: torch.Tensor, aligned: bool
) -> torch.Tensor:
    """The phone of every frame of a batch, UNKNOWN where nobody knows: (B, T).

    Args: log_probs (B, T, P) of the teacher; lengths (B,) valid frames; aligned: place phones where the teacher hears
    them, otherwise spread them evenly over the word (the teacher knows nothing at first).
    """
    labels = np.full(log_probs.shape[:2], UNKNOWN)
    places: list[tuple[int, int, int, tuple[int, ...]]] = []  # row, first frame, frames, phones
    for row, (u, start_s, total) in enumerate(
        zip(segments.utterance_ids.tolist(), segments.start_s.tolist(), lengths.tolist(), strict=True)
    ):
        words = index.spoken.get(u, ())
        _label_gaps(labels[row], words, start_s, total)
        for word in words:
            first, last = (round((t - start_s) * FRAME_RATE_HZ) for t in (word.start_s, word.end_s))
            if 0 <= first and last <= total and 0 < len(word.phones) <= last - first:
                places.append((row, first, last - first, word.phones))
    if places:
        _label_words(labels, places, log_probs.float().cpu().numpy(), aligned)
    return torch.from_numpy(labels).to(log_probs.device)


def _label_gaps(labels: np.ndarray, words: tuple[SpokenWord, ...], start_s: float, total: int) -> None:
    """Silence between words that stand apart; before the first and after the last word too."""
    if not words:
        return
    edges = [
        start_s - 1.0,
        *(t for word in words for t in (word.start_s, word.end_s)),
        start_s + total / FRAME_RATE_HZ + 1.0,
    ]
    for gap_start_s, gap_end_s in zip(edges[::2], edges[1::2], strict=True):
        if gap_end_s - gap_start_s >= MIN_GAP_S:
            first = round((gap_start_s - start_s) * FRAME_RATE_HZ) + EDGE_FRAMES
            last = round((gap_end_s - start_s) * FRAME_RATE_HZ) - EDGE_FRAMES
            labels[max(0, first) : max(0, min(last, total))] = 0


def _label_words(
    labels: np.ndarray, places: list[tuple[int, int, int, tuple[int, ...]]], log_probs: np.ndarray, aligned: bool
) -> None:
    """Write the phones of every word into `labels` (B, T)."""
    sizes = np.array([size for _, _, size, _ in places])
    counts = np.array([len(phones) for *_, phones in places])
    if aligned:
        fit = np.zeros((len(places), counts.max(), sizes.max()))
        for k, (row, first, size, phones) in enumerate(places):
            fit[k, : len(phones), :size] = log_probs[row, first : first + size][:, list(phones)].T
        starts = monotone_starts(fit, counts, sizes)
    else:
        starts = np.arange(counts.max())[None] * sizes[:, None] // counts[:, None]
    for (row, first, size, phones), begin in zip(places, starts, strict=True):
        edges = [*begin[: len(phones)].tolist(), size]
        labels[row, first : first + size] = np.repeat(phones, np.diff(edges))
