"""A connection to the SQLite file of an archive; what SQLite has to complain about becomes an ArchiveError."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pairalign.archive.errors import ArchiveError

BUSY_TIMEOUT_S = 60.0


@contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    """In autocommit mode. Raises: ArchiveError when the file is in use, cannot be opened, is damaged or no database."""
    name = path.name
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as db:
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("PRAGMA trusted_schema = OFF")  # the file may come from a stranger
            yield db
    except sqlite3.OperationalError as error:
        reason = str(error)
        advice = "Check its folder, the permissions and the free space."
        if "locked" in reason:
            reason, advice = "another process is using it", "Try again when that has finished."
        raise ArchiveError(f"{name}: {reason}. {advice}") from error
    except sqlite3.DatabaseError as error:
        raise ArchiveError(
            f"{name} is damaged or no archive ({error}). Restore a copy, or index the recordings into a new file."
        ) from error
