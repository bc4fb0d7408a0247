"""Recordings tokenized on a Ray cluster: actors write shards, which an archive takes in.

The recordings must have the same paths on all machines, as on a network drive, and so must the shards' folder. What is
in complete shards is passed over, so an interrupted run is simply started again. Ray is an optional extra, imported on
first use.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pairalign.archive.errors import ArchiveError
from pairalign.archive.file_state import read_state
from pairalign.archive.ingest import model_of
from pairalign.archive.record import Model, Recording
from pairalign.archive.report import IngestReport, Progress, Skipped
from pairalign.archive.shard_writer import ShardWriter, Task
from pairalign.archive.shards import SUFFIX, attach, remove_changed, shards_in
from pairalign.archive.store import Store
from pairalign.checkpoint import available

if TYPE_CHECKING:
    from pairalign.tokenizer import Tokenizer

INSTALL = 'pip install "ray[data]>=2.40,<3" "pyarrow>=17"'
_SHARD_BYTES = 1 << 30  # of audio files: a shard is closed here even with fewer recordings, as it is held in memory
_MOST_BLOCKS = 4096  # each costs Ray some bookkeeping: with more shards than that, a block has several
_MOST_DECODERS = 8
_KNOCK_S = 10.0
_OBJECT_STORE_BYTES = 128 << 20  # only paths and reports pass through it


@dataclass(frozen=True)
class ClusterOptions:
    """How a cluster is used.

    address: of a running Ray cluster ("auto" finds the one of this machine); by default one is started for the run.
    workers: actors, each with a tokenizer on a GPU or, where the cluster has none, on a core; by default one for each.
    device: "auto", "cpu" to leave GPUs alone, or "cuda" to insist on them.
    shard_recordings: at most so many recordings go into one shard, the unit that is done again after a crash.
    """

    address: str | None = None
    workers: int | None = None
    device: str = "auto"
    shard_recordings: int = 256


def add_on_ray(
    store: Store,
    tokenizer: Tokenizer,
    checkpoint: str | os.PathLike[str],
    paths: Sequence[str | os.PathLike[str]],
    methods: Sequence[str],
    folder: str | os.PathLike[str],
    options: ClusterOptions | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> IngestReport:
    """Do on a cluster what `ingest.add_recordings` does here: the archive ends up the same.

    Args: as for `write_shards`. The shards may be deleted afterwards.
    Raises: ArchiveError, also when Ray is not installed or the cluster cannot be reached.
    """
    started = time.perf_counter()
    require_ray()
    with store.writer():
        store.claim(_model(tokenizer, methods))  # a wrong archive is told before the work, not after it
    named = list(dict.fromkeys(Path(os.path.abspath(path)) for path in paths))
    new = _changed(named, store.recordings())
    written = write_shards(tokenizer, checkpoint, new, methods, folder, options, progress)
    added = attach(store, folder, set(named)) if shards_in(folder) else IngestReport()
    known = len(named) - len(written.skipped) - added.recordings
    unreadable = remove_changed(store, {Path(one.path) for one in written.skipped})
    removed = tuple(sorted((*added.removed, *unreadable)))
    added = replace(added, known=known, skipped=written.skipped, removed=removed)
    return replace(added, elapsed_s=time.perf_counter() - started)


def write_shards(
    tokenizer: Tokenizer,
    checkpoint: str | os.PathLike[str],
    paths: Sequence[str | os.PathLike[str]],
    methods: Sequence[str],
    folder: str | os.PathLike[str],
    options: ClusterOptions | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> IngestReport:
    """Tokenize recordings on a cluster into shards. An exception from `progress` ends the run: whole shards remain.

    Args:
        tokenizer: says whose strings these are; the actors load `checkpoint`, a name or a path, themselves.
        folder: the shards'. Recordings in complete shards there are passed over (`known`), bad files are skipped.
    Raises: ArchiveError when Ray is missing, the cluster cannot be used, or the folder holds another model's shards.
    """
    options = options or ClusterOptions()
    if options.shard_recordings < 1 or (options.workers or 1) < 1:
        raise ArchiveError("the numbers of workers and of recordings in a shard must be 1 or more.")
    require_ray()
    folder, model = Path(os.path.abspath(folder)), _model(tokenizer, methods)
    named = sorted({Path(os.path.abspath(path)) for path in paths})
    new = _changed(named, [recording for shard in shards_in(folder, model) for recording in shard.recordings])
    tally = _Tally(IngestReport(known=len(named) - len(new)), new, progress)
    if new:
        with _cluster(options) as ray:
            pool = _pool(ray, options)
            # a name stands for the checkpoint that each machine has installed, a path for a file that all share
            shared = os.fspath(checkpoint) if checkpoint in available() else os.path.abspath(checkpoint)
            tasks = [
                Task(_target(folder, model, files), files, shared, asdict(model), pool.device, pool.decoders)
                for files in _slices(new, options.shard_recordings)
            ]
            for answer in _answers(ray, tasks, pool.workers):
                tally.take(answer)
    return tally.total()


def _model(tokenizer: Tokenizer, methods: Sequence[str]) -> Model:
    for method in methods:
        tokenizer.check_method(method)
    return model_of(tokenizer, methods)


# --- the plan ---------------------------------------------------------------------------------------------------------


def _changed(paths: Sequence[Path], recordings: Sequence[Recording]) -> list[Path]:
    """The files that are none of the recordings, by path, size and time, or by content where two share these."""
    contents: dict[tuple[int, int], set[str]] = {}
    kept: dict[tuple[Path, int, int], set[str]] = {}
    for recording in recordings:
        version = recording.size_bytes, recording.modified_ns
        contents.setdefault(version, set()).add(recording.sha256)
        kept.setdefault((recording.path, *version), set()).add(recording.sha256)

    def is_kept(path: Path) -> bool:
        version = _version(path)
        known = kept.get((path, *version))
        try:
            return known is not None and (len(contents[version]) == 1 or read_state(path).sha256 in known)
        except ArchiveError:  # the actors tell why
            return False

    return [path for path in paths if not is_kept(path)]


def _version(path: Path) -> tuple[int, int]:
    """Size and time of change; of a file that cannot be read, zeros: the actors tell why."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _slices(paths: Sequence[Path], most: int) -> Iterator[list[str]]:
    files: list[str] = []
    size = 0
    for path in paths:
        files.append(os.fspath(path))
        size += _version(path)[0]
        if len(files) == most or size >= _SHARD_BYTES:
            yield files
            files, size = [], 0
    if files:
        yield files


def _target(folder: Path, model: Model, files: Sequence[str]) -> str:
    """A shard's name tells model and files, so that one that is made twice is still one."""
    about = json.dumps([asdict(model), [(file, _version(Path(file))) for file in files]])
    return str(folder / f"{hashlib.sha256(about.encode()).hexdigest()[:24]}{SUFFIX}")


# --- the cluster ------------------------------------------------------------------------------------------------------


def require_ray() -> ModuleType:
    """Ray, with its module for data. Raises: ArchiveError saying what to install when it is not there."""
    try:
        import ray.data
    except ImportError:
        raise ArchiveError(f"the Ray engine is not installed. Get it with: {INSTALL}") from None
    return ray


@contextmanager
def _cluster(options: ClusterOptions) -> Iterator[ModuleType]:
    """A connection to the cluster; one that was made for the run ends with it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # 15 unless told: next to other work actors would hardly start
    ray = require_ray()
    ours = not ray.is_initialized()
    if ours:
        _connect(ray, options)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        yield ray
    finally:
        if ours:
            ray.shutdown()


def _connect(ray: ModuleType, options: ClusterOptions) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    address = options.address or "local"
    try:
        if options.address is None:
            cores = max(options.workers or 1, os.cpu_count() or 1)
            store = {"object_store_memory": _OBJECT_STORE_BYTES}
            ray.init(address, num_cpus=cores, include_dashboard=False, **store, **quiet)
            return
        host, _, port = address.rpartition(":")
        if port.isdecimal() and "/" not in host:  # Ray itself would knock for minutes where nobody is
            socket.create_connection((host, int(port)), _KNOCK_S).close()
        ray.init(address, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        raise ArchiveError(
            f"no Ray cluster at {address!r} ({error}). Name one as HOST:PORT, or leave the address out: one is started."
        ) from error


@dataclass(frozen=True)
class _Pool:
    """How many actors there are to be, on which device, with how many decoding processes each."""

    workers: int
    device: str
    decoders: int


def _pool(ray: ModuleType, options: ClusterOptions) -> _Pool:
    there = ray.cluster_resources()
    gpus, cpus = int(there.get("GPU", 0)), int(there.get("CPU", 0))
    device = ("cuda" if gpus else "cpu") if options.device == "auto" else options.device
    units, unit = (gpus, "GPU") if device == "cuda" else (cpus, "core")
    workers = options.workers or units
    if not 0 < workers <= units:
        raise ArchiveError(
            f"each worker needs a {unit} of its own, and the cluster has {units}. Use fewer workers than "
            f"{workers}, another device, or a larger cluster."
        )
    return _Pool(workers, device, max(1, min(_MOST_DECODERS, cpus // units - 1)))


def _answers(ray: ModuleType, tasks: Sequence[Task], workers: int) -> Iterator[dict[str, Any]]:
    """Have actors do the tasks; what they answer, as it comes."""
    rows = [{"task": json.dumps(asdict(task))} for task in tasks]
    needs = {"num_gpus": 1} if tasks[0].device == "cuda" else {"num_cpus": 1}
    dataset = ray.data.from_items(rows, override_num_blocks=min(len(rows), _MOST_BLOCKS)).map_batches(
        ShardWriter,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=min(workers, len(tasks))),
        **needs,
    )
    for row in dataset.iter_rows():
        yield json.loads(row["answer"])


class _Tally:
    """What the actors have reported so far."""

    def __init__(
        self, report: IngestReport, paths: Sequence[Path], progress: Callable[[Progress], None] | None
    ) -> None:
        self._report, self._progress = report, progress
        self._files, self._files_done = len(paths), 0
        self._bytes, self._bytes_done = sum(_version(path)[0] for path in paths), 0
        self._started = time.perf_counter()

    def take(self, answer: Mapping[str, Any]) -> None:
        """Add the report of one shard. Raises: ArchiveError when it could not be written."""
        if answer["error"]:
            raise ArchiveError(f"a worker of the cluster failed: {answer['error']}")
        new = answer["report"]
        sums = {
            name: getattr(self._report, name) + new[name] for name in ("recordings", "windows", "tokens", "seconds")
        }
        skipped = (*self._report.skipped, *(Skipped(**one) for one in new["skipped"]))
        self._report = replace(self._report, **sums, skipped=skipped)
        self._files_done += answer["files"]
        self._bytes_done += answer["bytes"]
        if self._progress:
            at = self._files_done, self._files, self._bytes_done, self._bytes
            self._progress(Progress(*at, self._report.seconds, time.perf_counter() - self._started))

    def total(self) -> IngestReport:
        """The report of the run."""
        return replace(self._report, elapsed_s=time.perf_counter() - self._started)
