"""An archive on disk: one SQLite file with the token strings of many recordings, made by one model.

Every recording is added in a transaction of its own, so a killed process leaves whole recordings behind and nothing
else. One process writes at a time, any number read. Rollback journal instead of WAL: it also works on network drives.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from pairalign.archive import schema
from pairalign.archive.connection import connected
from pairalign.archive.errors import ArchiveError
from pairalign.archive.reconcile import Plan
from pairalign.archive.record import Model, Packed, Recording
from pairalign.archive.window import ArchiveWindow, fits
from pairalign.home import one_line
from pairalign.strings import MAX_VOCAB_SIZE

_ROWS_AT_ONCE = 20_000
_MOST_WINDOWS = 2**31
_IDS, _EDGES = np.dtype("<u2"), np.dtype("<i2")


class Store:
    """Reads and writes the file; every call opens it anew, so one `Store` may be used from several threads."""

    def __init__(self, path: str | os.PathLike[str], create: bool = True) -> None:
        """Open an archive, or begin one when there is none and `create` is set.

        Raises: ArchiveError when it cannot be, is damaged, not an archive, or of a newer version.
        """
        self.path = Path(os.path.abspath(path))  # without .., or recordings below its folder would not be seen as such
        if "\0" in str(self.path):
            raise ArchiveError("a file name cannot hold a NUL character. Choose another name.")
        if os.path.isdir(self.path):  # unlike Path.is_dir, False for a name that is too long
            raise ArchiveError(f"{self.path.name} is a folder; name a file, for example {self.path.name}/archive.db.")
        if not os.path.exists(self.path) and not create:
            raise ArchiveError(f"{one_line(self.path)}: no such archive. Make it: python -m pairalign index FOLDER.")
        if not os.path.isdir(self.path.parent):
            raise ArchiveError(f"{one_line(self.path.parent)}: no such folder. Make it first, or choose another place.")
        self.is_new = not os.path.exists(self.path)
        try:
            with self._connection() as db:
                version = schema.check(db, self.path.name)
                if version < schema.VERSION:
                    with self.writer():
                        schema.migrate(db, schema.check(db, self.path.name))
        except BaseException:
            self.discard_if_empty()
            raise

    def discard_if_empty(self) -> None:
        """Leave no file behind where there was none before and nothing was added."""
        with suppress(ArchiveError, OSError):
            if self.is_new and (not os.path.getsize(self.path) or not self.recordings()):
                for ending in ("", ".lock"):
                    Path(f"{self.path}{ending}").unlink(missing_ok=True)

    def _connection(self) -> AbstractContextManager[sqlite3.Connection]:
        return connected(self.path)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._connection() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("INSERT INTO meta VALUES ('revision', 1) ON CONFLICT DO UPDATE SET value = value + 1")
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def writer(self) -> Iterator[None]:
        """Be the one process that changes the archive. Raises: ArchiveError when another one is at it."""
        lock = FileLock(f"{self.path}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise ArchiveError(
                f"{self.path.name}: recordings are being added by somebody else. Try again when that has finished."
            ) from None
        except OSError as error:
            raise ArchiveError(f"{self.path.name} cannot be changed ({error.strerror}). Copy it elsewhere.") from error
        try:
            yield
        finally:
            lock.release()

    # --- what it holds ------------------------------------------------------------------------------------------------

    def revision(self) -> int:
        """A number that grows with every change."""
        with self._connection() as db:
            row = db.execute("SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'revision'").fetchone()
        return row[0] if row else 0

    def model(self) -> Model | None:
        """Whose strings these are; None in an archive that nothing was ever added to."""
        with self._connection() as db:
            rows = db.execute(f"SELECT {schema.METHOD} FROM methods ORDER BY id").fetchall()
            name = db.execute("SELECT CAST(value AS TEXT) FROM meta WHERE name = 'model'").fetchone()
        if not rows or name is None:
            return None
        methods = {method: size for method, _, size in rows}
        if not all(1 <= size <= MAX_VOCAB_SIZE for size in methods.values()):
            raise self._damaged("a vocabulary size that no model has")
        return Model(name[0], rows[0][1], methods)

    def recordings(self, ids: Sequence[int] | None = None) -> list[Recording]:
        """Recordings by path: all, or those with these ids."""
        chosen, values = "1", []
        if ids is not None:
            chosen, values = "id IN (SELECT value FROM json_each(?))", [json.dumps([int(i) for i in ids])]
        query = f"SELECT {schema.RECORDING} FROM recordings WHERE {chosen} ORDER BY path"
        with self._connection() as db:
            rows = db.execute(query, values).fetchall()
        if not all(0 <= row[3] < math.inf for row in rows):
            raise self._damaged("a recording without a length")
        return [Recording(row[0], self._full(row[1]), *row[2:]) for row in rows]

    def find(self, path: Path) -> Recording | None:
        """The recording that was added from this file."""
        with self._connection() as db:
            row = db.execute("SELECT id FROM recordings WHERE path = ?", [self._stored(path)]).fetchone()
        return self.recordings([row[0]])[0] if row else None

    def windows(self, recording_id: int, method: str) -> list[ArchiveWindow]:
        """All windows of one recording."""
        return self.windows_of([(recording_id, 0, _MOST_WINDOWS)], method)[0]

    def windows_of(self, cells: Sequence[tuple[int, int, int]], method: str) -> list[list[ArchiveWindow]]:
        """Some windows of some recordings: for each (recording id, first, end) those from `first` up to `end`."""
        query = (
            f"SELECT {schema.WINDOW} FROM windows WHERE recording = ? AND number >= ? AND number < ?"
            " AND method = (SELECT id FROM methods WHERE name = ?) ORDER BY number"
        )
        with self._connection() as db:
            rows = [db.execute(query, [*cell, method]).fetchall() for cell in cells]
        return [[self._window(*row) for row in some] for some in rows]

    def packed(self, method: str) -> Packed:
        """All strings of one method, for a search in memory. Raises: ArchiveError for a method that is not kept."""
        query = (
            f"SELECT {schema.PACKED} FROM windows w"
            " JOIN recordings r ON r.id = w.recording"
            " WHERE w.method = (SELECT id FROM methods WHERE name = ?) ORDER BY r.path, w.number"
        )
        recordings, durations, owner, lengths = [], [], [], []
        with self._connection() as db:
            rows = db.execute(query, [method])
            while part := rows.fetchmany(_ROWS_AT_ONCE):
                owner.append(np.array([row[0] for row in part], np.int64))
                durations.append(np.array([row[1] for row in part], np.float32))
                lengths.append(np.array([len(row[2]) for row in part], np.int64))
                recordings.append(b"".join(row[2] for row in part))
        owners = np.concatenate([np.zeros(0, np.int64), *owner])
        sizes = np.concatenate([np.zeros(0, np.int64), *lengths])
        if (sizes % _IDS.itemsize).any():
            raise self._damaged("a token string that is cut")
        durations_s = np.concatenate([np.zeros(0, np.float32), *durations])
        if not (np.isfinite(durations_s) & (durations_s >= 0)).all():
            raise self._damaged("a recording without a length")
        # writable, as the search wants it: otherwise it would copy
        tokens = np.frombuffer(bytearray().join(recordings), _IDS)
        first = np.flatnonzero(np.diff(owners, prepend=-1))
        return Packed(
            recording_ids=owners[first],
            durations_s=durations_s[first],
            first_window=np.append(first, len(owners)),
            window_edges=np.concatenate([[0], np.cumsum(sizes // _IDS.itemsize)]),
            tokens=tokens,
        )

    def totals(self) -> dict[str, tuple[int, int]]:
        """For each method how many windows and tokens there are."""
        query = (
            "SELECT m.name, count(w.number), coalesce(sum(length(w.ids)), 0) FROM methods m"
            " LEFT JOIN windows w ON w.method = m.id GROUP BY m.id ORDER BY m.id"
        )
        with self._connection() as db:
            return {name: (windows, size // _IDS.itemsize) for name, windows, size in db.execute(query)}

    def check(self) -> None:
        """Read everything once. Raises: ArchiveError when the file is damaged."""
        with self._connection() as db:
            (answer,) = db.execute("PRAGMA integrity_check(1)").fetchone()
        if answer != "ok":
            raise self._damaged(" ".join(answer.split())[:200])

    # --- changes ------------------------------------------------------------------------------------------------------

    def claim(self, model: Model) -> None:
        """Say whose strings are going to be added. Raises: ArchiveError when the archive holds those of another."""
        kept = self.model()
        if kept is None:
            with self._transaction() as db:
                db.execute("INSERT OR REPLACE INTO meta VALUES ('model', ?)", [model.name])
                rows = [(name, model.sha256, size) for name, size in model.methods.items()]
                db.executemany("INSERT INTO methods (name, model_sha256, vocab_size) VALUES (?, ?, ?)", rows)
        else:
            self.require(model.sha256)
            if set(kept.methods) != set(model.methods):
                raise ArchiveError(
                    f"{self.path.name} keeps the strings of {', '.join(kept.methods)} for every recording; adding only "
                    f"{', '.join(model.methods)} would leave gaps. Use the same methods, or a new archive."
                )

    def require(self, model_sha256: str) -> None:
        """Raises: ArchiveError when the archive's strings are of another model: they must never be mixed."""
        kept = self.model()
        if kept is not None and kept.sha256 != model_sha256:
            raise ArchiveError(
                f"{self.path.name} holds strings of checkpoint {kept.name} ({kept.sha256[:12]}), not of the one in use "
                f"({model_sha256[:12]}). Use that checkpoint, or make a new archive."
            )

    def add(self, recording: Recording, strings: Mapping[str, Sequence[ArchiveWindow]]) -> None:
        """Add a recording (its id is ignored) with its windows by method; one of the same path gives way to it."""
        self.add_all([(recording, strings)])

    def add_all(self, entries: Iterable[tuple[Recording, Mapping[str, Sequence[ArchiveWindow]]]]) -> None:
        """Add recordings as `add` does, in one transaction."""
        with self._transaction() as db:
            for recording, strings in entries:
                self._insert(db, recording, strings)

    def _insert(
        self, db: sqlite3.Connection, recording: Recording, strings: Mapping[str, Sequence[ArchiveWindow]]
    ) -> None:
        stored = self._stored(recording.path)
        db.execute("DELETE FROM recordings WHERE path = ?", [stored])
        number = db.execute(
            "INSERT INTO recordings (sha256, path, duration_s, size_bytes, modified_ns) VALUES (?, ?, ?, ?, ?)",
            [recording.sha256, stored, recording.duration_s, recording.size_bytes, recording.modified_ns],
        ).lastrowid
        for method, windows in strings.items():
            (kind,) = db.execute("SELECT id FROM methods WHERE name = ?", [method]).fetchone()
            blobs = [(w.ids.astype(_IDS).tobytes(), w.edges_cs.astype(_EDGES).tobytes()) for w in windows]
            rows = [(kind, number, k, w.start_s, w.end_s, *blobs[k]) for k, w in enumerate(windows)]
            db.executemany("INSERT INTO windows VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def apply(self, changes: Plan) -> None:
        """Take recordings out and give others new paths, sizes and times, all at once: two may change places."""
        if not changes.updates and not changes.removals:
            return
        with self._transaction() as db:
            db.executemany("DELETE FROM recordings WHERE id = ?", [[one.id] for one in changes.removals])
            # no two may have one path, not even in between
            between = [[f"//{one.id}", one.id] for one in changes.updates]
            db.executemany("UPDATE recordings SET path = ? WHERE id = ?", between)
            db.executemany(
                "UPDATE recordings SET path = ?, size_bytes = ?, modified_ns = ? WHERE id = ?",
                [[self._stored(one.path), one.size_bytes, one.modified_ns, one.id] for one in changes.updates],
            )

    def remove(self, ids: Sequence[int]) -> None:
        """Take recordings out."""
        with self._transaction() as db:
            db.executemany("DELETE FROM recordings WHERE id = ?", [[int(i)] for i in ids])

    def vacuum(self) -> None:
        """Give the space of removed recordings back to the disk."""
        with self._connection() as db:
            db.execute("VACUUM")

    # --- paths and blobs ----------------------------------------------------------------------------------------------

    def _stored(self, path: Path) -> str:
        """Relative to the archive's folder where the recording lies below it, so that both can move together."""
        path = Path(os.path.abspath(path))
        below = path.is_relative_to(self.path.parent)
        return (path.relative_to(self.path.parent) if below else path).as_posix()

    def _full(self, stored: str) -> Path:
        return self.path.parent / stored

    def _window(self, start_s: float, end_s: float, ids: bytes, edges_cs: bytes) -> ArchiveWindow:
        cut = len(ids) % _IDS.itemsize or len(edges_cs) % _EDGES.itemsize
        if cut or not fits(len(ids) // _IDS.itemsize, len(edges_cs) // _EDGES.itemsize):
            raise self._damaged("a window that does not fit its times")
        return ArchiveWindow(start_s, end_s, np.frombuffer(ids, _IDS), np.frombuffer(edges_cs, _EDGES))

    def _damaged(self, what: str) -> ArchiveError:
        return ArchiveError(f"{self.path.name} is damaged: it holds {what}. Restore a copy, or index anew.")
