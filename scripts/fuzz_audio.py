"""Damaged files against the readers: python -m scripts.fuzz_audio [--inputs 20000] [--seed 0] [--json docs/fuzz.json]

Valid recordings of every kind are mutated, with knowledge of their structure (checksums are made right again, so that
the damage reaches the decoder) and without, and read in a process with limits of memory and time. The same is done, in
smaller number, with archives, checkpoints, runs, recorded classes and lists of recordings. Each input must be read to a
finite wave within the limits, or refused by the documented error with one line of text; everything else is a finding.
The inputs follow from the seed alone. Exit status 1 when there are findings; their files are kept.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from scripts.fuzz import byte_mutations, chunk_mutations, documents, frame_mutations, media_mutations
from scripts.fuzz.seeds import Seed, audio_seeds
from scripts.fuzz.worker import CPU_LIMIT_S, MEMORY_LIMIT_MB, Outcome, Worker

STRUCTURE = {
    "wav": chunk_mutations.wav,
    "aiff": chunk_mutations.aiff,
    "nist": chunk_mutations.nist,
    "mp3": chunk_mutations.mp3,
    "flac": frame_mutations.flac,
    "opus": frame_mutations.ogg,
    "vorbis": frame_mutations.ogg,
    "au": chunk_mutations.au,
    "mp4": media_mutations.boxes,
    "caf": media_mutations.boxes,
    "webm": media_mutations.elements,
    "adts": media_mutations.adts,
    "amr": media_mutations.amr,
}
AUDIO_READERS = ("read_audio", "read_excerpt")
PARTS_EVERY = 4  # read_parts is read_audio but for its last lines: every fourth input is enough
LIKELY_STRUCTURE = 0.7


@dataclass(frozen=True)
class Case:
    """An input: the kind of file, how it was damaged, its files, and who shall read them."""

    kind: str
    mutation: str
    files: dict[str, bytes]
    readers: tuple[str, ...]


@dataclass
class Tally:
    """What came out so far. Counts are by kind, mutation and outcome; findings by the place in the code."""

    counts: Counter = field(default_factory=Counter)
    readers: Counter = field(default_factory=Counter)
    findings: dict[str, dict[str, Any]] = field(default_factory=dict)
    peak_mb: float = 0.0
    slowest_s: float = 0.0


def audio_cases(inputs: int, seed: int, kinds: Sequence[str] = ()) -> Iterator[Case]:
    """Damaged recordings, of some kinds only if they are named; case k follows from seed and k."""
    seeds = [one for one in audio_seeds() if not kinds or one.container in kinds]
    for k in range(inputs):
        rng = Random(f"audio {seed} {k}")
        start = rng.choice(seeds)
        data, name = _damaged(rng, start, seeds)
        readers = AUDIO_READERS + (("read_parts",) if k % PARTS_EVERY == 0 else ())
        yield Case(start.container, name, {"input": data}, readers)


def _damaged(rng: Random, start: Seed, seeds: list[Seed]) -> tuple[bytes, str]:
    if rng.random() < LIKELY_STRUCTURE:
        data, name = start.data, "structure"
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            try:
                data = STRUCTURE[start.container](rng, data)
            except (ValueError, IndexError, ArithmeticError):
                break  # too damaged already to be parsed once more
            except Exception as error:
                if type(error).__name__ != "error":  # struct.error
                    raise
                break
        return data[: byte_mutations.LONGEST], name
    if rng.random() < 0.1:
        return byte_mutations.splice(rng, start.data, rng.choice(seeds).data), "splice"
    name = rng.choice(sorted(byte_mutations.PLAIN))
    return byte_mutations.PLAIN[name](rng, start.data), name


def document_cases(inputs: int, seed: int) -> Iterator[Case]:
    """Damaged files of the other kinds, equally many of each."""
    valid = documents.make_seeds()
    for k in range(inputs):
        rng = Random(f"documents {seed} {k}")
        kind = sorted(valid)[k % len(valid)]
        files, name = documents.mutate(rng, kind, valid[kind])
        yield Case(kind, name, files, (kind,))


def run(cases: Iterator[Case], keep: Path | None = None, shown: int = 0, workers: int = 1) -> Tally:
    """Read all cases in so many processes; files of findings go to `keep`, one of each place."""
    tally, lock, started = Tally(), threading.Lock(), time.monotonic()
    numbered = enumerate(cases, start=1)

    def work(folder: Path) -> None:
        worker = Worker()
        while True:
            with lock:
                number, case = next(numbered, (0, None))
            if case is None:
                return worker.close()
            _read_case(worker, case, folder, tally, lock, keep)
            if shown and number % shown == 0:
                seconds = time.monotonic() - started
                print(f"{number} inputs, {seconds:.0f} s, {len(tally.findings)} findings", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_fast_folder()) as scratch:
        folders = [Path(scratch) / str(k) / "case" for k in range(workers)]
        with ThreadPoolExecutor(workers) as threads:
            for done in [threads.submit(work, folder) for folder in folders]:
                done.result()
    return tally


def _read_case(worker: Worker, case: Case, folder: Path, tally: Tally, lock: threading.Lock, keep: Path | None) -> None:
    folder.mkdir(parents=True)
    for name, data in case.files.items():
        (folder / name).write_bytes(data)
    for reader in case.readers:
        told = worker.read(reader, folder)
        with lock:
            _count(tally, case, reader, told, folder, keep)
    shutil.rmtree(folder)


def _count(tally: Tally, case: Case, reader: str, told: Outcome, folder: Path, keep: Path | None) -> None:
    if reader == case.readers[0]:
        tally.counts[case.kind, case.mutation, told.outcome] += 1
    tally.readers[reader, told.outcome] += 1
    tally.peak_mb, tally.slowest_s = max(tally.peak_mb, told.peak_mb), max(tally.slowest_s, told.cpu_s)
    if told.outcome != "finding":
        return
    known = tally.findings.get(told.place)
    if known is not None:
        known["times"] += 1
        return
    tally.findings[told.place] = {"kind": case.kind, "mutation": case.mutation, "detail": told.detail, "times": 1}
    if keep is not None:
        print(f"finding: {told.place}: {told.detail}", file=sys.stderr, flush=True)
        shutil.copytree(folder, keep / f"finding-{len(tally.findings):02d}-{case.kind}", dirs_exist_ok=True)


def _fast_folder() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def report(audio: Tally, others: Tally, seed: int, seconds: float) -> dict[str, Any]:
    """The JSON document."""
    import av
    import numpy
    import soundfile
    import torch

    findings = [{"place": place, **about} for place, about in (audio.findings | others.findings).items()]
    return {
        "inputs": {"audio": sum(audio.counts.values()), "other_files": sum(others.counts.values())},
        "readings": _nested(audio.readers + others.readers),
        "audio": _nested(audio.counts),
        "other_files": _nested(others.counts),
        "findings": findings,
        "peak_resident_mb": max(audio.peak_mb, others.peak_mb),
        "peak_resident_mb_audio": audio.peak_mb,
        "slowest_input_cpu_s": max(audio.slowest_s, others.slowest_s),
        "limits": {"memory_mb": MEMORY_LIMIT_MB, "cpu_s": CPU_LIMIT_S},
        "seed": seed,
        "seconds": round(seconds, 1),
        "versions": {
            "python": platform.python_version(),
            "soundfile": soundfile.__version__,
            "libsndfile": soundfile.__libsndfile_version__,
            "av": av.__version__,
            "numpy": numpy.__version__,
            "torch": torch.__version__,
        },
    }


def _nested(counts: Counter) -> dict[str, Any]:
    """Counts by their keys, one level for each: {"wav": {"flip": {"read": 3}}}."""
    told: dict[str, Any] = {}
    for key, count in sorted(counts.items()):
        level = told
        for part in key[:-1]:
            level = level.setdefault(part, {})
        level[key[-1]] = count
    return told


def main() -> int:
    """Fuzz, print what was found, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=20_000, help="damaged recordings (default 20000)")
    parser.add_argument("--others", type=int, default=3_000, help="damaged files of other kinds (default 3000)")
    parser.add_argument("--kinds", default="", help=f"damage these recordings only: any of {','.join(STRUCTURE)}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes that read (default 1)")
    parser.add_argument("--json", type=Path, help="write the counts there")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"), help="where files of findings go")
    args = parser.parse_args()
    started = time.monotonic()
    kinds = [kind for kind in args.kinds.split(",") if kind]
    audio = run(audio_cases(args.inputs, args.seed, kinds), args.keep, 500, args.workers)
    others = run(document_cases(args.others, args.seed), args.keep, 500, args.workers)
    told = report(audio, others, args.seed, time.monotonic() - started)
    for finding in told["findings"]:
        print(f"{finding['place']} ({finding['times']} times, first in {finding['kind']}): {finding['detail']}")
    print(
        f"{told['inputs']}, {len(told['findings'])} findings, {told['seconds']} s, peak {told['peak_resident_mb']} MB"
    )
    if args.json:
        args.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return 1 if told["findings"] else 0


if __name__ == "__main__":
    sys.exit(main())
