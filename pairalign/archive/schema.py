"""The tables of an archive, as the steps that lead to them: a new archive takes all steps, an older one the rest.

SQLite's user_version counts the steps taken. Steps are only ever added at the end.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

from pairalign.archive.errors import ArchiveError

APPLICATION_ID = 0x50414C4E  # "PALN": tells an archive from any other SQLite file

MIGRATIONS = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE methods (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        model_sha256 TEXT NOT NULL,
        vocab_size INTEGER NOT NULL
    );
    CREATE TABLE recordings (
        id INTEGER PRIMARY KEY,
        sha256 TEXT NOT NULL UNIQUE,
        path TEXT NOT NULL UNIQUE,
        duration_s REAL NOT NULL
    );
    CREATE TABLE windows (
        method INTEGER NOT NULL REFERENCES methods (id) ON DELETE CASCADE,
        recording INTEGER NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        start_s REAL NOT NULL,
        end_s REAL NOT NULL,
        ids BLOB NOT NULL,       -- uint16, little-endian
        edges_cs BLOB NOT NULL,  -- int16, little-endian
        PRIMARY KEY (method, recording, number)
    ) WITHOUT ROWID;
    CREATE INDEX windows_of_recording ON windows (recording);
    """,
    # files that have not changed since they were added are then known without reading them
    """
    ALTER TABLE recordings ADD COLUMN size_bytes INTEGER NOT NULL DEFAULT -1;
    ALTER TABLE recordings ADD COLUMN modified_ns INTEGER NOT NULL DEFAULT -1;
    """,
)
VERSION = len(MIGRATIONS)
# columns to read: SQLite lets any cell hold any type, and a damaged or foreign file makes use of that
_EMPTY = {"TEXT": "''", "INTEGER": "-1", "REAL": "-1", "BLOB": "x''"}


def _as(kind: str, *columns: str) -> str:
    return ", ".join(f"CAST(coalesce({column}, {_EMPTY[kind]}) AS {kind})" for column in columns)


METHOD = f"{_as('TEXT', 'name', 'model_sha256')}, {_as('INTEGER', 'vocab_size')}"
RECORDING = (
    f"id, {_as('TEXT', 'path', 'sha256')}, {_as('REAL', 'duration_s')}, {_as('INTEGER', 'size_bytes', 'modified_ns')}"
)
WINDOW = f"{_as('REAL', 'start_s', 'end_s')}, {_as('BLOB', 'ids', 'edges_cs')}"
PACKED = f"r.id, {_as('REAL', 'r.duration_s')}, {_as('BLOB', 'w.ids')}"


def check(db: sqlite3.Connection, name: str) -> int:
    """The schema version of an archive; 0 for an empty file. ArchiveError for any other file, or a newer version."""
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables == 0 and version == 0:
        return 0
    if application != APPLICATION_ID:
        raise ArchiveError(f"{name} is a database, but not an archive of recordings. Choose another file name.")
    if version > VERSION:
        raise ArchiveError(
            f"{name} was made by a newer version of this software (schema {version}, known here: up to {VERSION}). "
            "Update the software."
        )
    if _shape(db) != _shape_of(version):
        raise ArchiveError(f"{name} is damaged or was changed: its tables are not those of an archive. Index anew.")
    return version


def _shape(db: sqlite3.Connection) -> list[tuple]:
    """Tables with their columns, indices, and whatever else there is: views and triggers run code of their own."""
    things = db.execute(
        "SELECT type, name, tbl_name FROM sqlite_master WHERE name NOT LIKE 'sqlite_stat%' ORDER BY name"
    ).fetchall()
    columns = db.execute(
        "SELECT m.name, c.name, c.type, c.hidden FROM sqlite_master m, pragma_table_xinfo(m.name) c"
        " WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_stat%' ORDER BY m.name, c.cid"
    ).fetchall()
    return things + columns


def _shape_of(version: int) -> list[tuple]:
    """The shape of an archive that has just taken the first `version` steps."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for step in MIGRATIONS[:version]:
            db.executescript(step)
        return _shape(db)


def migrate(db: sqlite3.Connection, version: int) -> None:
    """Take the steps after `version`, each whole or not at all. The connection must be in autocommit mode."""
    for number in range(version, VERSION):
        stamp = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number + 1};"
        db.executescript(f"BEGIN IMMEDIATE; {MIGRATIONS[number]} {stamp} COMMIT;")
