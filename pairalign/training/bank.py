"""All recordings of a corpus decoded once into one flat array, with a cache on disk so that a restart is instant.

Speech at 16 kHz in int16 is 115 MB per hour. With a cache folder the array is a memory map: it is written as it is
decoded (no corpus has to fit into memory) and shared by all processes that train on it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pairalign.audio import SAMPLE_RATE_HZ, read_audio
from pairalign.training.corpora import DataError, Utterance

FRAME = SAMPLE_RATE_HZ // 50  # activity is kept per 20 ms
_BLOCK = 64  # recordings decoded ahead of the writer
_VERSION = 1

Progress = Callable[[int, int], None]  # (recordings done, recordings in all)


@dataclass(frozen=True)
class Skipped:
    """A recording that could not be read, and why."""

    path: Path
    reason: str


class AudioBank:
    """Decoded recordings, addressed by their index in `utterances`; a recording that was skipped has duration 0."""

    def __init__(
        self, utterances: Sequence[Utterance], samples: np.ndarray, offsets: np.ndarray, skipped: Sequence[Skipped] = ()
    ) -> None:
        self.utterances = tuple(utterances)
        self.samples = samples  # int16, recordings one after another
        self.offsets = offsets  # int64 (utterances + 1,): samples[offsets[i]:offsets[i + 1]] is recording i
        self.skipped = tuple(skipped)
        self.durations_s = np.diff(offsets) / SAMPLE_RATE_HZ
        self._active: list[np.ndarray | None] = [None] * len(self.utterances)

    def wave(self, i: int, start_s: float = 0.0, end_s: float | None = None) -> np.ndarray:
        """Samples (T,) of recording i between two times, float32 in [-1, 1]; times outside it are cut to it."""
        low, high = int(self.offsets[i]), int(self.offsets[i + 1])
        start = min(high, low + max(0, round(start_s * SAMPLE_RATE_HZ)))
        end = high if end_s is None else min(high, low + round(end_s * SAMPLE_RATE_HZ))
        return self.samples[start : max(start, end)].astype(np.float32) / 32768.0

    def content(self, i: int) -> str:
        """A digest of the samples of recording i: two recordings with the same one are copies."""
        return hashlib.sha256(self.samples[self.offsets[i] : self.offsets[i + 1]].tobytes()).hexdigest()

    def related(self, items: Sequence[int]) -> np.ndarray:
        """(N, N): True where two recordings hold the same sound or, by their transcripts, the same words."""
        texts = np.array([self.utterances[i].transcript.casefold().strip() or f"\0{i}" for i in items])
        contents = np.array([self.content(i) for i in items])
        return (texts[:, None] == texts) | (contents[:, None] == contents)

    def active(self, i: int) -> np.ndarray:
        """Which 20 ms frames of recording i hold sound, (T,) bool: within 35 dB of its loud ones and above -65 dBFS."""
        counts = self._counts(i)
        return np.diff(counts) > 0

    def active_share(self, i: int, start_s: float, end_s: float) -> float:
        """Share of active frames between two times."""
        counts = self._counts(i)
        first = min(int(start_s * 50), len(counts) - 1)
        last = min(max(round(end_s * 50), first + 1), len(counts) - 1)
        return float(counts[last] - counts[first]) / max(1, last - first)

    def _counts(self, i: int) -> np.ndarray:
        """Active frames before each frame; worked out at first use, so opening a cached bank touches no audio."""
        known = self._active[i]
        if known is None:
            samples = self.samples[self.offsets[i] : self.offsets[i + 1]]
            frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float32) / 32768.0
            level_db = 10 * np.log10(np.einsum("tf,tf->t", frames, frames) / FRAME + 1e-10)
            loud_db = np.percentile(level_db, 95) if len(level_db) else 0.0
            known = np.concatenate(([0], np.cumsum(level_db > max(loud_db - 35.0, -65.0)))).astype(np.int32)
            self._active[i] = known
        return known


def without_copies(bank: AudioBank, held_out: Sequence[int], learned: Sequence[int]) -> list[int]:
    """Those of `held_out` whose very sound is not among `learned`."""
    lengths = np.diff(bank.offsets)
    alike = set(lengths[list(held_out)].tolist()) & set(lengths[list(learned)].tolist())
    known = {bank.content(i) for i in learned if int(lengths[i]) in alike}  # only what has a chance is hashed
    return [i for i in held_out if int(lengths[i]) not in alike or bank.content(i) not in known]


def load_bank(
    utterances: Sequence[Utterance], cache: Path | None = None, progress: Progress | None = None
) -> AudioBank:
    """Decode every utterance, or open the cache of an earlier run over the very same files.

    Recordings that cannot be read are listed in `bank.skipped`; when none can be read, that is a DataError.
    """
    if not utterances:
        raise DataError("no recordings to load.")
    if cache is None:
        parts: list[np.ndarray] = []
        lengths, skipped = _decode_all(utterances, parts.append, progress)
        return AudioBank(utterances, np.concatenate(parts), _offsets(lengths), skipped)
    cache.mkdir(parents=True, exist_ok=True)
    name = _fingerprint(utterances)
    samples_path, index_path = cache / f"{name}.i16", cache / f"{name}.json"
    if not index_path.is_file():
        _write_cache(utterances, samples_path, index_path, progress)
    index = json.loads(index_path.read_text(encoding="utf-8"))
    offsets = _offsets(index["lengths"])
    samples = np.memmap(samples_path, dtype="<i2", mode="r", shape=(int(offsets[-1]),))
    # A plain array view: slices of a memmap object are several times slower to make.
    return AudioBank(utterances, np.asarray(samples), offsets, [Skipped(Path(p), why) for p, why in index["skipped"]])


def _write_cache(
    utterances: Sequence[Utterance], samples_path: Path, index_path: Path, progress: Progress | None
) -> None:
    """Samples first, index last, each renamed into place: an index on disk means that its samples are complete."""
    part = samples_path.with_name(f"{samples_path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            lengths, skipped = _decode_all(utterances, lambda samples: samples.tofile(file), progress)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, samples_path)
        index = {"lengths": lengths, "skipped": [[str(item.path), item.reason] for item in skipped]}
        part.write_text(json.dumps(index), encoding="utf-8")
        os.replace(part, index_path)
    finally:
        part.unlink(missing_ok=True)


def _decode_all(
    utterances: Sequence[Utterance], write: Callable[[np.ndarray], object], progress: Progress | None
) -> tuple[list[int], list[Skipped]]:
    lengths: list[int] = []
    skipped: list[Skipped] = []
    for samples in _decoded(utterances):
        if isinstance(samples, Skipped):
            skipped.append(samples)
            samples = np.zeros(0, dtype="<i2")
        lengths.append(len(samples))
        write(samples)
        if progress is not None and (len(lengths) % _BLOCK == 0 or len(lengths) == len(utterances)):
            progress(len(lengths), len(utterances))
    if len(skipped) == len(utterances):
        raise DataError(f"none of the {len(utterances)} recordings can be read. {skipped[0].path}: {skipped[0].reason}")
    return lengths, skipped


def _decoded(utterances: Sequence[Utterance]) -> Iterator[np.ndarray | Skipped]:
    # Threads are enough: libsndfile decodes outside the interpreter lock.
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(utterances), _BLOCK):
            yield from pool.map(_decode, utterances[start : start + _BLOCK])


def _decode(utterance: Utterance) -> np.ndarray | Skipped:
    if not os.path.isfile(utterance.path):  # a pipe would be waited for, a device never ends
        return Skipped(utterance.path, "it is no file but a pipe, a device or a broken link.")
    try:
        wave = read_audio(utterance.path)
    except Exception as error:  # one unreadable file must not end a run over thousands
        return Skipped(utterance.path, str(error) or type(error).__name__)
    return np.clip(np.round(wave * 32768.0), -32768, 32767).astype("<i2")


def _offsets(lengths: Sequence[int]) -> np.ndarray:
    return np.concatenate(([0], np.cumsum(np.asarray(lengths, dtype=np.int64))))


def _fingerprint(utterances: Sequence[Utterance]) -> str:
    """Changes when a file is added, removed, reordered, resized or rewritten."""
    digest = hashlib.sha256(f"v{_VERSION}".encode())
    for utterance in utterances:
        try:
            stat = utterance.path.stat()
            size, time_ns = stat.st_size, stat.st_mtime_ns
        except OSError:
            size, time_ns = -1, -1
        digest.update(f"{utterance.path.resolve()}\0{size}\0{time_ns}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:24]
