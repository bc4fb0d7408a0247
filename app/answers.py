"""Answers to the lessons: the right guess and every number come from the loaded model and the shipped recordings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PureWindowsPath
from typing import Any

import numpy as np

from app.lessons import lesson
from app.services import Services, to_int16
from pairalign.audio import SAMPLE_RATE_HZ, read_audio
from pairalign.errors import PairAlignError
from pairalign.strings import TokenString, edit_distance, normalized_distance
from pairalign.windows import WINDOW_S

PAUSE_S = 0.35  # between clips of one answer


@dataclass(frozen=True)
class Clip:
    """One stretch of a recording to listen to."""

    label: str
    wave: np.ndarray


@dataclass(frozen=True)
class Answer:
    """What the model says: which guess holds, sentences, a table, and clips to hear."""

    right: int
    sentences: tuple[str, ...]
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    clips: tuple[Clip, ...] = ()

    def samples(self) -> np.ndarray:
        """All clips one after the other with pauses, int16 at 16 kHz."""
        pause = np.zeros(int(PAUSE_S * SAMPLE_RATE_HZ), np.float32)
        parts = [part for clip in self.clips for part in (clip.wave, pause)]
        return to_int16(np.concatenate(parts)) if parts else np.zeros(0, np.int16)

    def spans_s(self) -> list[tuple[float, float]]:
        """Where each clip lies in `samples`."""
        spans, at = [], 0.0
        for clip in self.clips:
            length_s = len(clip.wave) / SAMPLE_RATE_HZ
            spans.append((at, at + length_s))
            at += length_s + PAUSE_S
        return spans


@dataclass(frozen=True)
class Example:
    """A shipped recording: its name, what is said, and its samples (T,)."""

    file: str
    name: str
    text: str
    wave: np.ndarray


class Examples(dict[str, Example]):
    """The shipped recordings by file name; asking for a missing one is an installation's fault, no bug in a lesson."""

    def __missing__(self, file: str) -> Example:
        raise PairAlignError(f"This lesson needs the example {file}, which is missing. Install PairAlign again.")


def answer(services: Services, name: str, entries: Sequence[Mapping[str, str]]) -> Answer:
    """Compute the answer of a lesson from the shipped recordings `entries` (name, file, text).

    Raises: ValueError for an unknown lesson, or when a recording it needs is not there.
    """
    lesson(name)
    files = [(PureWindowsPath(entry["file"]).name, entry) for entry in entries]  # whichever way its slashes lean
    examples = Examples({file: Example(file, e["name"], e["text"], read_audio(e["file"])) for file, e in files})
    return services.compute(ANSWERS[name], examples)


def _repeat(tokenizer: Any, heard: Mapping[str, Example]) -> Answer:
    wave = heard["harbour_a.ogg"].wave
    raw, vq, ours = (tokenizer.tokenize(wave, method) for method in ("vq_raw", "vq", "pairalign"))
    repeats = 1 - len(vq) / max(1, len(raw))
    longest = max((end - start, k) for k, (start, end) in enumerate(vq.spans_s))
    start, end = vq.spans_s[longest[1]]
    sentences = (
        f"{len(raw)} frames, but only {len(vq)} changes of symbol: {100 * repeats:.0f} % repeat the one before.",
        f"The longest run lasts {1000 * longest[0]:.0f} ms: speech sounds last longer than a frame, and VQ has no "
        "way to say “and so on”. Run-length coding (the VQ lane) drops the repeats.",
        f"PairAlign decides by itself how many tokens the sentence needs: {len(ours)}.",
    )
    rows = tuple(
        (label, str(len(string)), f"{string.tokens_per_s:.1f}")
        for label, string in (("A symbol per frame", raw), ("VQ without repeats", vq), ("PairAlign", ours))
    )
    clip = Clip(f"the longest run, {start:.2f}–{end:.2f} s", _cut(wave, start, end))
    return Answer(_level(repeats, 0.2, 0.6), sentences, ("String", "Symbols", "Per second"), rows, (clip,))


def _meaning(tokenizer: Any, heard: Mapping[str, Example]) -> Answer:
    examples = list(heard.values())
    if not examples:
        raise PairAlignError("This lesson needs the shipped recordings, which are missing. Install PairAlign again.")
    strings = tokenizer.tokenize_batch([example.wave for example in examples])
    sounds = tokenizer.frame_features([example.wave for example in examples], "mfcc")
    places: dict[int, list[tuple[int, int]]] = {}
    for r, string in enumerate(strings):
        for u, token in enumerate(string.ids):
            places.setdefault(token, []).append((r, u))
    flat = [(token, _mean_sound(sounds[r], strings[r], u)) for token, spots in places.items() for r, u in spots]
    tokens, vectors = np.array([token for token, _ in flat]), np.stack([vector for _, vector in flat])
    apart = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    upper = np.triu(np.ones_like(apart, dtype=bool), 1)
    same = (tokens[:, None] == tokens[None]) & upper
    if not same.any():
        return Answer(0, ("No token occurs twice in the shipped recordings, so this cannot be told here.",))
    share = _chance_closer(apart[same], apart[upper & ~same])
    token, spots = max(places.items(), key=lambda item: len(item[1]))
    clips = tuple(_token_clip(examples[r], strings[r], u) for r, u in spots[:8])
    sentences = (
        f"Two places with the same token are more alike than two with different tokens in {100 * share:.0f} % of cases "
        "(by their MFCCs, a common description of sound that the tokens are not made from).",
        f"The most frequent token here is number {token}, {len(spots)} times. Listen: a token is a kind of sound in "
        "its surroundings, not a letter, and it was never told which.",
    )
    return Answer(_level(share, 0.6, 0.9), sentences, clips=clips)


def _slide(tokenizer: Any, heard: Mapping[str, Example]) -> Answer:
    from pairalign.sweeps.sweep import sweep_batch

    # the very window and path that "Try it" shows in the Sweep tab
    stop_ms, rows, excess = float(lesson("slide").settings["stop"]), [], {}
    needed_s = WINDOW_S + stop_ms / 1000
    waves = [example.wave for example in heard.values() if len(example.wave) >= needed_s * SAMPLE_RATE_HZ]
    if not waves:
        raise PairAlignError(
            f"This lesson needs an example of {needed_s:g} s, which is missing. Install PairAlign again."
        )
    for method, label in (("pairalign", "PairAlign"), ("vq", "VQ")):
        paths = sweep_batch(tokenizer, waves, "shift", stop_ms, stop_ms, method, window_s=WINDOW_S)
        floor, moved = paths[0].content_floor[-1], float(np.mean([path.d_last for path in paths]))
        excess[method] = moved - floor
        rows.append((label, f"{100 * moved:.0f} %", f"{100 * floor:.0f} %", f"{100 * (moved - floor):+.0f} points"))
    sentences = (
        f"The audio itself explains {100 * floor:.1f} %: {50 * floor:.1f} leave in front, {50 * floor:.1f} enter "
        f"behind. Over {len(waves)} recordings, PairAlign changes {100 * excess['pairalign']:.0f} points more than "
        f"that, VQ {100 * excess['vq']:.0f}.",
        "What comes on top is the tokenizer's own: its frames fall on other places of the sound, and what is at "
        "the edge of the window is heard with less around it. These voices are synthetic; the model card has the "
        "figures for people.",
    )
    return Answer(
        _level(excess["pairalign"], 0.005, 0.1), sentences, ("Method", "Changed", "Explained", "More"), tuple(rows)
    )


def _noise(tokenizer: Any, heard: Mapping[str, Example]) -> Answer:
    from pairalign.views import ViewParameters  # torch is loaded by the tokenizer anyway

    wave = heard["harbour_a.ogg"].wave
    hissing = _view(wave, replace(ViewParameters.neutral(1), snr_db=_one(10.0)))
    other = heard["harbour_b.ogg"].wave
    clean, noisy, warped, person = tokenizer.tokenize_batch([wave, hissing, wave, other], warps=[1.0, 1.0, 1.1, 1.0])
    changes = [normalized_distance(clean.ids, string.ids) for string in (noisy, warped, person)]
    labels = ("Hiss at 10 dB", "Vocal tract a tenth shorter", "Another person")
    sentences = (
        f"About {100 * changes[0]:.0f} % of the tokens change with the hiss, {100 * changes[1]:.0f} % with the smaller "
        f"head and {100 * changes[2]:.0f} % with the other person.",
        "Training showed the model each recording under noise, rooms and changed voices and asked for one string. "
        "Another person also speaks at another speed and melody, with other sounds here and there: content that no "
        "change of one recording can teach.",
    )
    rows = tuple((label, f"{change:.2f}") for label, change in zip(labels, changes, strict=True))
    clips = (Clip("clean", wave), Clip("hiss at 10 dB", hissing), Clip("another person", other))
    return Answer(int(np.argmax(changes)), sentences, ("Change", "Distance of the strings"), rows, clips)


def _word(tokenizer: Any, heard: Mapping[str, Example]) -> Answer:
    first, last = heard["garden_first.ogg"], heard["garden_last.ogg"]
    a, b = tokenizer.tokenize_batch([first.wave, last.wave])
    size_a, size_b, i, j, distance = best_stretch(a, b)
    from_a, to_a = a.spans_s[i][0], a.spans_s[i + size_a - 1][1]
    from_b, to_b = b.spans_s[j][0], b.spans_s[j + size_b - 1][1]
    # garden is the second word of ten in one sentence and the last of eight in the other
    hits = [(from_a + to_a) / 2 < 0.3 * a.duration_s, (from_b + to_b) / 2 > 0.7 * b.duration_s]
    where = ("in both", "in one of the two only", "in neither")[2 - sum(hits)]
    sentences = (
        f"The best agreement is {size_a} tokens against {size_b} with {distance} edits: {from_a:.2f}–{to_a:.2f} s of "
        f"one recording and {from_b:.2f}–{to_b:.2f} s of the other. That is where garden is said {where}.",
        "Five tokens are little to go by: words that share sounds agree by chance, and another mouth makes other "
        "tokens. Finding a word said by somebody else is the hardest test there is; the model card tells how often "
        "it works.",
    )
    clips = (Clip(first.name, _cut(first.wave, from_a, to_a)), Clip(last.name, _cut(last.wave, from_b, to_b)))
    return Answer(2 - sum(hits), sentences, clips=clips)


def _find(tokenizer: Any, heard: Mapping[str, Example]) -> Answer:
    from pairalign.evaluation.word_search import infix_distances
    from pairalign.views import ViewParameters

    own = heard["garden_last.ogg"]
    piece = _cut(own.wave, 0.8, 2.3)
    changed = _view(piece, replace(ViewParameters.neutral(1), snr_db=_one(10.0), noise_slope=_one(1.0)))
    examples = list(heard.values())
    (query,) = tokenizer.tokenize_batch([changed], warps=[1.06])
    strings = tokenizer.tokenize_batch([example.wave for example in examples])
    distances = infix_distances([query.ids], [string.ids for string in strings])[0]
    order = np.argsort(distances, kind="stable")
    # ties count against the answer: rank 1 shared with another recording would be luck
    mine = distances[examples.index(own)]
    rank = int((distances <= mine).sum())
    sentences = (
        f"Its own recording is on rank {rank} of {len(examples)}: {100 * mine:.0f} % of the {len(query)} tokens of the "
        "piece have to be edited to find it there.",
        "This is search by edit distance: like finding a misspelt word in a text. No audio is compared, only strings.",
    )
    rows = tuple((str(k + 1), examples[i].name, f"{distances[i]:.2f}") for k, i in enumerate(order))
    clips = (Clip("the changed piece", changed), Clip("where it was cut from", piece))
    return Answer(0 if rank == 1 else 1 if rank <= 3 else 2, sentences, ("Rank", "Recording", "Distance"), rows, clips)


ANSWERS: dict[str, Callable[[Any, Mapping[str, Example]], Answer]] = {
    "repeat": _repeat,
    "meaning": _meaning,
    "slide": _slide,
    "noise": _noise,
    "word": _word,
    "find": _find,
}


def best_stretch(a: TokenString, b: TokenString, shortest: int = 5) -> tuple[int, int, int, int, int]:
    """(tokens of a, tokens of b, first of a, first of b, edits) of the stretches of two strings that agree best.

    Stretches have `shortest` to `shortest` + 2 tokens; fewest edits per token wins, then the longer, then the earlier.
    """
    sizes = range(shortest, shortest + 3)
    best = min(
        (edit_distance(a.ids[i : i + n], b.ids[j : j + m]) / max(n, m), -n - m, i, j, n, m)
        for n in sizes
        for m in sizes
        for i in range(max(1, len(a) - n + 1))
        for j in range(max(1, len(b) - m + 1))
    )
    _, _, i, j, n, m = best
    n, m = min(n, len(a) - i), min(m, len(b) - j)
    return n, m, i, j, edit_distance(a.ids[i : i + n], b.ids[j : j + m])


def _mean_sound(features: np.ndarray, string: TokenString, u: int) -> np.ndarray:
    """Mean of the frames (T, D) under a token."""
    start, end = (round(50 * t) for t in string.spans_s[u])
    first = min(start, len(features) - 1)
    return features[first : max(end, first + 1)].mean(0)


def _chance_closer(same: np.ndarray, different: np.ndarray) -> float:
    """Chance that a distance of `same` is below one of `different`, ties by half."""
    ordered = np.sort(different)
    above = len(ordered) - np.searchsorted(ordered, same, side="right")
    ties = np.searchsorted(ordered, same, side="right") - np.searchsorted(ordered, same, side="left")
    return float((above + ties / 2).mean() / len(ordered))


def _token_clip(example: Example, string: TokenString, u: int) -> Clip:
    """A token with 60 ms around it: alone it would be too short to recognise."""
    start, end = string.spans_s[u]
    return Clip(f"{example.name}, {start:.2f} s", _cut(example.wave, start - 0.06, end + 0.06))


def _cut(wave: np.ndarray, start_s: float, end_s: float) -> np.ndarray:
    return wave[max(0, round(start_s * SAMPLE_RATE_HZ)) : round(end_s * SAMPLE_RATE_HZ)]


def _one(value: float) -> Any:
    import torch

    return torch.tensor([value])


def _view(wave: np.ndarray, parameters: Any) -> np.ndarray:
    import torch

    from pairalign.views import make_view

    samples, generator = torch.from_numpy(wave.copy())[None], torch.Generator().manual_seed(0)
    return make_view(samples, torch.tensor([len(wave)]), parameters, generator).wave[0].numpy()


def _level(value: float, low: float, high: float) -> int:
    """0 below `low`, 1 up to `high`, 2 above."""
    return int(value >= low) + int(value > high)
