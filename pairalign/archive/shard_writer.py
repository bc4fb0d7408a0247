"""What an actor of the cluster does: it keeps a tokenizer, and writes one shard after the other."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pairalign.archive.decoder import Decoders
from pairalign.archive.errors import ArchiveError
from pairalign.archive.file_state import CHANGED, FileState, is_unchanged, read_state
from pairalign.archive.ingest import UNANSWERED
from pairalign.archive.record import Model
from pairalign.archive.report import IngestReport, Skipped
from pairalign.archive.shards import Entry, counted, write_shard
from pairalign.archive.transcriber import Transcriber, Transcript

if TYPE_CHECKING:
    from pairalign.tokenizer import Tokenizer


@dataclass(frozen=True)
class Task:
    """One shard to write: the recordings `files` into the file `target`, with the strings of `model`."""

    target: str
    files: list[str]
    checkpoint: str
    model: dict[str, Any]
    device: str
    decoders: int


class ShardWriter:
    """The actor. Its tokenizer is loaded with the first task, so that what goes wrong can be reported."""

    def __init__(self) -> None:
        self._tokenizer: Tokenizer | None = None

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[str]]:
        """A column `task` of JSON in, a column `answer` of JSON out: report, error, files and bytes dealt with."""
        return {"answer": [json.dumps(self._answer(Task(**json.loads(task)))) for task in batch["task"]]}

    def _answer(self, task: Task) -> dict[str, Any]:
        try:
            report, error = write_task(self._loaded(task), task), ""
        except (OSError, ValueError) as failure:  # raised here, Ray would try again and bury the reason
            report, error = IngestReport(), str(failure) or type(failure).__name__
        size = sum(os.path.getsize(file) for file in task.files if os.path.exists(file))
        return {"report": asdict(report), "error": error, "files": len(task.files), "bytes": size}

    def _loaded(self, task: Task) -> Tokenizer:
        if self._tokenizer is None:
            from pairalign.tokenizer import load

            self._tokenizer = load(task.checkpoint, task.device)
        if self._tokenizer.sha256 != task.model["sha256"]:
            raise ArchiveError(
                f"checkpoint {task.checkpoint} is another one on that machine ({self._tokenizer.sha256[:12]}) than "
                f"here ({task.model['sha256'][:12]}). Install the same version, or name a file that all share."
            )
        return self._tokenizer


def write_task(tokenizer: Tokenizer, task: Task) -> IngestReport:
    """Write one shard; bad files are skipped with a reason, and a shard without any recording is not written."""
    found: list[tuple[Path, FileState]] = []
    skipped: list[Skipped] = []
    for path in map(Path, task.files):
        try:
            found.append((path, read_state(path)))
        except ArchiveError as error:
            skipped.append(Skipped(str(path), str(error)))
    entries: list[Entry] = []
    methods = list(task.model["methods"])
    for one in _transcripts(tokenizer, [path for path, _ in found], methods, task.decoders):
        path, state = found[one.file]
        reason = one.error or ("" if is_unchanged(path, state) else CHANGED)
        if reason:
            skipped.append(Skipped(str(path), reason.removeprefix(f"{path.name}: ")))
        else:
            entries.append((replace(state.recording(path), duration_s=one.duration_s), one.windows))
    write_shard(Path(task.target), Model(**task.model), entries)
    return replace(counted(IngestReport(), entries), skipped=tuple(skipped))


def _transcripts(
    tokenizer: Tokenizer, paths: Sequence[Path], methods: Sequence[str], decoders: int
) -> Iterator[Transcript]:
    """Of every file, also of one that the decoders say nothing about."""
    transcriber, waiting = Transcriber(tokenizer, methods), set(range(len(paths)))
    with Decoders(paths, decoders) as parts:
        for part in parts:
            for one in transcriber.take(part):
                waiting.discard(one.file)
                yield one
    for one in transcriber.finish():
        waiting.discard(one.file)
        yield one
    yield from (Transcript(number, error=UNANSWERED) for number in sorted(waiting))
