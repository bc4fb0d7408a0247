"""Token strings in Parquet files, one row per window: what the machines of a cluster write, and an archive takes in.

A shard holds some recordings whole and appears whole or not at all, so those that are there are done. Any Parquet
reader opens them; only an archive can be searched. pyarrow is an optional extra and imported on first use.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from pairalign.archive.errors import ArchiveError
from pairalign.archive.file_state import NoRecording, read_state
from pairalign.archive.reconcile import Plan, plan
from pairalign.archive.record import Model, Recording
from pairalign.archive.report import IngestReport
from pairalign.archive.store import Store
from pairalign.archive.window import ArchiveWindow
from pairalign.checkpoint import atomic_write_bytes
from pairalign.errors import PairAlignError

VERSION = 1
SUFFIX = ".parquet"
_KEY = b"pairalign"
_OF_RECORDING = ("path", "sha256", "duration_s", "size_bytes", "modified_ns")

Entry = tuple[Recording, Mapping[str, Sequence[ArchiveWindow]]]


@dataclass(frozen=True)
class Shard:
    """What a shard says of itself: whose strings it holds, of which recordings."""

    path: Path
    model: Model
    recordings: tuple[Recording, ...]


def write_shard(path: Path, model: Model, entries: Iterable[Entry]) -> int:
    """Write recordings with their windows by method; returns how many. With none, there will be no file."""
    pa, pq = _pyarrow()
    tables = [_table(pa, recording, windows) for recording, windows in entries]
    if tables:
        about = json.dumps({"version": VERSION, **asdict(model)}).encode()
        sink = pa.BufferOutputStream()
        table = pa.concat_tables(tables).replace_schema_metadata({_KEY: about})
        pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
        atomic_write_bytes(path, memoryview(sink.getvalue()))
    return len(tables)


def describe_shard(path: Path) -> Shard:
    """What a shard holds, without its strings. Raises: ArchiveError when it is damaged or none."""
    _, pq = _pyarrow()
    import pyarrow.compute as pc

    with _told(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        model = _model(path, file.schema_arrow)
        table = file.read([*_OF_RECORDING, "method", "number"])
        first = (pc.field("number") == 0) & (pc.field("method") == next(iter(model.methods)))
        rows = table.filter(first).to_pydict()
        return Shard(path, model, tuple(_recording(rows, k) for k in range(len(rows["path"]))))


def read_shard(path: Path) -> Iterator[Entry]:
    """The recordings of a shard with their windows by method. Raises: ArchiveError when it is damaged or none."""
    _, pq = _pyarrow()
    with _told(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        _model(path, file.schema_arrow)
        table = file.read().combine_chunks()
        rows = table.drop_columns(["ids", "edges_cs"]).to_pydict()
        ids, edges = _lists(table["ids"], np.uint16), _lists(table["edges_cs"], np.int16)
    for _, group in groupby(range(table.num_rows), key=rows["path"].__getitem__):
        mine = list(group)
        windows: dict[str, list[ArchiveWindow]] = {}
        for k in mine:
            window = ArchiveWindow(rows["start_s"][k], rows["end_s"][k], ids[k], edges[k])
            windows.setdefault(rows["method"][k], []).append(window)
        yield _recording(rows, mine[0]), windows


def shards_in(folder: str | os.PathLike[str], model: Model | None = None) -> list[Shard]:
    """The complete shards of a folder, which must all be of one model: of this one, where it is given.

    Raises: ArchiveError for shards that are damaged, or of another model or other methods.
    """
    shards = [describe_shard(path) for path in sorted(Path(folder).glob(f"*{SUFFIX}"))]
    for shard in shards:
        model = model or shard.model
        if (shard.model.sha256, shard.model.methods) != (model.sha256, model.methods):
            raise ArchiveError(
                f"{shard.path.name} holds {', '.join(shard.model.methods)} strings of checkpoint {shard.model.name} "
                f"({shard.model.sha256[:12]}), not {', '.join(model.methods)} strings of {model.name} "
                f"({model.sha256[:12]}). Use another folder for these shards."
            )
    return shards


def attach(store: Store, folder: str | os.PathLike[str], paths: Collection[Path] | None = None) -> IngestReport:
    """Add the recordings of all shards of a folder, or those at `paths`, to an archive. Each shard is a transaction.

    Recordings of the archive follow their content to other paths as when files are added (see `reconcile`). Of two
    versions of a file the one that the file is counts; where it is out of reach, the one changed later.
    Raises: ArchiveError when there are no shards, one is damaged, or they are another model's than the archive's.
    """
    started = time.perf_counter()
    shards = shards_in(folder)
    if not shards:
        raise ArchiveError(f"{folder}: no shards there (*{SUFFIX}). Name the folder that they were written to.")
    report = IngestReport()
    with store.writer():
        store.claim(shards[0].model)
        kept = store.recordings()
        files, sources = _latest(kept, shards, paths)
        changes = plan(kept, files, _holds)
        store.apply(changes)
        vacated = {recording.path for recording in changes.removals}
        for number, wanted in sorted(_wanted(changes, sources).items()):
            entries = [entry for entry in read_shard(shards[number].path) if (entry[0].path, entry[0].sha256) in wanted]
            store.add_all(entries)
            report = counted(report, entries)
    added = {path for (path, _), _ in _fresh(changes, sources)}
    offered = {r.path for shard in shards for r in shard.recordings if paths is None or r.path in paths}
    return replace(
        report,
        known=len(offered) - report.recordings,
        replaced=len(vacated & added),
        moved=changes.moved,
        removed=tuple(sorted(map(str, vacated - added))),
        elapsed_s=time.perf_counter() - started,
    )


def remove_changed(store: Store, paths: Collection[Path]) -> tuple[str, ...]:
    """Take out the recordings at these paths whose files hold something else now; returns their paths."""
    with store.writer():
        changed = [one for one in store.recordings() if one.path in paths and _is_other(one)]
        store.remove([one.id for one in changed])
    return tuple(str(one.path) for one in changed)


def _is_other(recording: Recording) -> bool:
    """Whether the file of a recording surely holds something else."""
    try:
        return read_state(recording.path).sha256 != recording.sha256
    except NoRecording:
        return True
    except ArchiveError:
        return False


def _fresh(changes: Plan, sources: Mapping[Path, int]) -> list[tuple[tuple[Path, str], int]]:
    """Path and content of each new recording, and the number of its shard."""
    return [((first.path, first.sha256), sources[first.path]) for first, *_ in changes.fresh]


def _wanted(changes: Plan, sources: Mapping[Path, int]) -> dict[int, set[tuple[Path, str]]]:
    """For each shard with anything new: path and content of what the archive lacks."""
    wanted: dict[int, set[tuple[Path, str]]] = {}
    for what, number in _fresh(changes, sources):
        wanted.setdefault(number, set()).add(what)
    return wanted


def _latest(
    kept: Sequence[Recording], shards: Sequence[Shard], paths: Collection[Path] | None
) -> tuple[list[Recording], dict[Path, int]]:
    """What the files of the shards hold, by path; and for each path the number of its shard, -1 for the archive."""
    versions: dict[Path, list[tuple[Recording, int]]] = {}
    for number, shard in enumerate(shards):
        for recording in shard.recordings:
            if paths is None or recording.path in paths:
                versions.setdefault(recording.path, []).append((recording, number))
    for recording in kept:
        if recording.path in versions:
            versions[recording.path].append((recording, -1))
    chosen = [_version(versions[path]) for path in sorted(versions)]
    return [recording for recording, _ in chosen], {recording.path: number for recording, number in chosen}


def _version(versions: Sequence[tuple[Recording, int]]) -> tuple[Recording, int]:
    """The version that the file is; where there is no such file, the one changed later, of two such the first."""
    if len({recording.sha256 for recording, _ in versions}) > 1:
        try:
            state = read_state(versions[0][0].path)
        except ArchiveError:
            state = None
        for recording, number in versions:
            if state is not None and recording.sha256 == state.sha256:
                return replace(recording, size_bytes=state.size_bytes, modified_ns=state.modified_ns), number
    return max(versions, key=lambda version: version[0].modified_ns)


def _holds(recording: Recording, rival: Recording) -> bool:
    """Whether a recording's file still has its content; out of reach, it is believed as long as the rival's is, too."""
    try:
        return read_state(recording.path).sha256 == recording.sha256
    except ArchiveError:
        return not os.path.exists(rival.path)


def counted(report: IngestReport, entries: Sequence[Entry]) -> IngestReport:
    """The report with these recordings added; windows and tokens are those of their first method."""
    windows = [window for _, strings in entries for window in next(iter(strings.values()))]
    return replace(
        report,
        recordings=report.recordings + len(entries),
        windows=report.windows + len(windows),
        tokens=report.tokens + sum(len(window.ids) for window in windows),
        seconds=report.seconds + sum(recording.duration_s for recording, _ in entries),
    )


# --- rows -------------------------------------------------------------------------------------------------------------


def _schema(pa: ModuleType):
    """Columns of a shard: those of the recording in every row, then those of the window."""
    text, number = pa.string(), pa.int64()
    recording = zip(_OF_RECORDING, (text, text, pa.float64(), number, number), strict=True)
    window = [("method", text), ("number", pa.int32()), ("start_s", pa.float64()), ("end_s", pa.float64())]
    return pa.schema([*recording, *window, ("ids", pa.list_(pa.uint16())), ("edges_cs", pa.list_(pa.int16()))])


def _table(pa: ModuleType, recording: Recording, strings: Mapping[str, Sequence[ArchiveWindow]]):
    rows = [(method, number, window) for method, windows in strings.items() for number, window in enumerate(windows)]
    shared = (str(recording.path), *(getattr(recording, name) for name in _OF_RECORDING[1:]))
    columns = [[value] * len(rows) for value in shared]
    columns += [[method for method, _, _ in rows], [number for _, number, _ in rows]]
    columns += [[getattr(window, name) for _, _, window in rows] for name in ("start_s", "end_s", "ids", "edges_cs")]
    schema = _schema(pa)
    return pa.table([pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)], schema)


def _recording(rows: Mapping[str, Sequence], k: int) -> Recording:
    return Recording(0, Path(rows["path"][k]), *(rows[name][k] for name in _OF_RECORDING[1:]))


def _lists(column, kind: type) -> list[np.ndarray]:
    chunk = column.combine_chunks()
    return np.split(chunk.flatten().to_numpy().astype(kind), np.cumsum(chunk.value_lengths().to_numpy())[:-1])


def _model(path: Path, schema: Any) -> Model:
    """Whose strings these are, after a look at version and columns."""
    about = json.loads((schema.metadata or {}).get(_KEY, b"{}"))
    version = about.pop("version", None)
    if version is None:
        raise ArchiveError(f"{path.name} is a Parquet file, but no shard of token strings. Take it out of the folder.")
    if version > VERSION:
        raise ArchiveError(f"{path.name} was made by a newer version of this software. Update the software.")
    if not schema.equals(_schema(_pyarrow()[0])):
        raise PairAlignError("its columns are others")
    return Model(**about)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What Parquet has to complain about becomes an ArchiveError."""
    pa, _ = _pyarrow()
    try:
        yield
    except ArchiveError:
        raise
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ArchiveError(
            f"shard {path.name} is damaged or cannot be read ({reason}). Delete it and index again: only its "
            "recordings are tokenized anew."
        ) from error


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ArchiveError('shards need pyarrow, which is not installed: pip install "pyarrow>=17"') from None
    return pyarrow, pyarrow.parquet
