"""The other files that may come from strangers or from a broken disk: archives, checkpoints, runs, lists of recordings.

A case is a set of files by name; the reader of its kind (`readers.py`) looks into the folder that holds them.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from scripts.fuzz.byte_mutations import PLAIN, number

Files = dict[str, bytes]
_VALUES = (None, True, False, -1, 0, 1, 1e308, float("nan"), float("inf"), 10**30, "", "x", "../x", "\0", "é" * 300,
           [], {}, [1], [[[]]], {"a": 1}, "[" * 200, -(2**63), 0.5, "A" * 70_000)  # fmt: skip
_CELLS = ("", "a.wav", "../a.wav", "/etc/hostname", "nan", "inf", "-1", "1e999", "a\nb", '"', "x" * 140_000, "\0",
          "train", "１", ",", "é", "\ufeff", "0.5")  # fmt: skip
_SQL = (
    "UPDATE windows SET ids = {v}", "UPDATE windows SET edges_cs = {v}", "UPDATE windows SET start_s = {v}",
    "UPDATE windows SET end_s = {v}", "UPDATE windows SET number = number + {v}", "UPDATE recordings SET path = {v}",
    "UPDATE recordings SET duration_s = {v}", "UPDATE recordings SET size_bytes = {v}", "UPDATE meta SET value = {v}",
    "UPDATE methods SET vocab_size = {v}", "UPDATE methods SET model_sha256 = {v}", "UPDATE methods SET name = {v}",
    "DELETE FROM methods", "DELETE FROM meta", "DELETE FROM recordings", "DROP TABLE windows", "DROP TABLE meta",
    "ALTER TABLE windows RENAME TO w; CREATE VIEW windows AS SELECT * FROM w",
    "ALTER TABLE recordings RENAME TO r; CREATE VIEW recordings AS WITH RECURSIVE n(i) AS "
    "(SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id, i AS sha256, i AS path, 1.0 AS duration_s, "
    "1 AS size_bytes, 1 AS modified_ns FROM n",
    "CREATE TRIGGER t AFTER UPDATE ON meta BEGIN DELETE FROM recordings; END",
    "PRAGMA user_version = {v}", "PRAGMA user_version = 1", "PRAGMA application_id = {v}",
)  # fmt: skip
_SQL_VALUES = ("x''", "x'00'", "x'0000ffff'", "zeroblob(70000)", "'text'", "-1", "0", "1", "9e999", "-9e999", "65536",
               "9223372036854775807", "CAST(x'ff00fe' AS TEXT)", "randomblob(6)", "'../../etc/passwd'")  # fmt: skip


def make_seeds() -> dict[str, Files]:
    """A valid case of every kind."""
    with tempfile.TemporaryDirectory() as folder:
        return {
            "archive": {"talks.db": _archive(Path(folder))},
            "checkpoint": _checkpoint(Path(folder)),
            "run": _run(),
            "class": {"class.json": _json(_CLASS), "anna_1.wav": b"RIFF"},
            "lists": {"manifest.csv": _MANIFEST, "words.csv": _WORDS, "a.wav": b"", "b.wav": b""},
        }


_CLASS = {
    "prompts": ["harbour", "garden"],
    "takes": [{"file": "anna_1.wav", "speaker": "anna", "transcript": "harbour", "duration_s": 1.2}],
}
_MANIFEST = (
    b"path,split,speaker,duration_s,transcript\na.wav,train,anna,1.5,the harbour\nb.wav,dev,ben,2.5,the garden\n"
)
_WORDS = b"path,start_s,end_s,word\na.wav,0.1,0.5,the\na.wav,0.5,1.2,harbour\nb.wav,0.0,0.4,the\n"


def mutate(rng: Random, kind: str, files: Files) -> tuple[Files, str]:
    """The case with one file damaged, and how."""
    name = rng.choice(sorted(name for name in files if not name.endswith(".wav")))
    data = files[name]
    if kind == "archive" and rng.random() < 0.6:
        return {**files, name: _changed_database(rng, data)}, "structure"
    if name.endswith(".json") and rng.random() < 0.6:
        files = {**files, name: _json(_changed(rng, json.loads(data)))}
        return files, "structure"
    if name.endswith(".csv") and rng.random() < 0.6:
        return {**files, name: _changed_table(rng, data)}, "structure"
    if name.endswith(".safetensors"):
        damaged = _changed_tensors(rng, data) if rng.random() < 0.6 else rng.choice(list(PLAIN.values()))(rng, data)
        return _with_right_hash({**files, name: damaged}, name), "structure"
    act = rng.choice(sorted(PLAIN))
    return {**files, name: PLAIN[act](rng, data)}, act


# --- seeds ------------------------------------------------------------------------------------------------------------


def _archive(folder: Path) -> bytes:
    from pairalign.archive.record import Model, Recording
    from pairalign.archive.store import Store
    from pairalign.archive.window import cut
    from pairalign.strings import TokenString

    model = Model("test", "ab" * 32, {"pairalign": 32})
    store = Store(folder / "talks.db")
    store.claim(model)
    rng = np.random.default_rng(0)
    for k in range(4):
        edges = np.arange(0, 7.5, 0.25).tolist()
        ids = tuple(rng.integers(0, 32, len(edges) - 1).tolist())
        spans = tuple(zip(edges[:-1], edges[1:], strict=True))
        string = TokenString(ids, spans, edges[-1], (), "eos", "pairalign", model.sha256, 32)
        recording = Recording(0, folder / f"{k}.wav", f"{k:064d}", edges[-1], 100, 1)
        store.add(recording, {"pairalign": cut(string)})
    return (folder / "talks.db").read_bytes()


def _checkpoint(folder: Path) -> Files:
    from pairalign.checkpoint import save_checkpoint
    from pairalign.features import FeatureOptions
    from pairalign.model import PairAlignModel, tiny_config

    model = PairAlignModel(tiny_config())
    sidecar = {
        "architecture": model.config.to_dict(),
        "features": FeatureOptions().to_dict(),
        "vocab_size": model.config.codes,
    }
    save_checkpoint(folder / "mine.safetensors", model.state_dict(), sidecar)
    return {name: (folder / name).read_bytes() for name in ("mine.safetensors", "mine.json")}


def _run() -> Files:
    from dataclasses import asdict

    from pairalign.training.finetune_settings import FinetuneSettings
    from pairalign.training.status import Status

    log = "\n".join(json.dumps({"event": "step", "step": k, "loss": 2.0 / (k + 1)}) for k in range(3))
    return {
        "settings.json": _json(asdict(FinetuneSettings("mine", "recordings", "base"))),
        "status.json": _json(asdict(Status("stopped", "Stopped", step=3, total_steps=9, notes=("a note",)))),
        "log.jsonl": log.encode(),
    }


def _json(content: Any) -> bytes:
    return json.dumps(content).encode()


# --- mutations --------------------------------------------------------------------------------------------------------


def _changed(rng: Random, content: Any) -> Any:
    """The document with a value replaced, a key lost, or a key too many, at any depth."""
    if isinstance(content, dict) and content and rng.random() < 0.85:
        key = rng.choice(sorted(content))
        if rng.random() < 0.15:
            return {k: v for k, v in content.items() if k != key}
        if rng.random() < 0.1:
            return {**content, rng.choice(("", "\0", "x" * 999, key.upper())): rng.choice(_VALUES)}
        return {**content, key: _changed(rng, content[key])}
    if isinstance(content, list) and content and rng.random() < 0.6:
        at = rng.randrange(len(content))
        return [*content[:at], _changed(rng, content[at]), *content[at + 1 :]]
    if isinstance(content, int) and not isinstance(content, bool) and rng.random() < 0.6:
        return rng.choice((number(rng, 64), -content, content + 1, content * 1000))
    return rng.choice(_VALUES)


def _changed_table(rng: Random, data: bytes) -> bytes:
    """A cell, a column or a row of a CSV replaced, lost or doubled."""
    rows = [line.split(",") for line in data.decode().splitlines()]
    row = rng.choice(rows)
    act: Callable[[], object] = rng.choice(
        (
            lambda: row.__setitem__(rng.randrange(len(row)), rng.choice(_CELLS)),
            lambda: row.__setitem__(rng.randrange(len(row)), rng.choice(_CELLS)),
            lambda: rows.append(list(row)),
            lambda: row.pop(),
            lambda: row.extend(rng.choices(_CELLS, k=3)),
        )
    )
    act()
    ending = rng.choice(("\n", "\n", "\r\n", "\r", "\n\n"))
    return ending.join(",".join(cells) for cells in rows).encode(rng.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16")))


def _changed_database(rng: Random, data: bytes) -> bytes:
    """What a hostile or broken program could have written: other types, lost rows, views and triggers."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "changed.db"
        path.write_bytes(data)
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA foreign_keys = OFF")
            for _ in range(rng.choice((1, 1, 2))):
                statement = rng.choice(_SQL).format(v=rng.choice(_SQL_VALUES))
                try:
                    db.executescript(statement)
                except sqlite3.Error:
                    continue  # two changes may exclude each other
            db.commit()
        return path.read_bytes()


def _changed_tensors(rng: Random, data: bytes) -> bytes:
    """The header of a safetensors file: other shapes, types, places; a length that lies."""
    length = int.from_bytes(data[:8], "little")
    header = _json(_changed(rng, json.loads(data[8 : 8 + length])))
    claimed = len(header) if rng.random() < 0.8 else number(rng, 64)
    return claimed.to_bytes(8, "little") + header + data[8 + length :]


def _with_right_hash(files: Files, name: str) -> Files:
    """A stranger who changes weights can write their hash as well."""
    import hashlib

    sidecar = name.replace(".safetensors", ".json")
    described = {**json.loads(files[sidecar]), "sha256": hashlib.sha256(files[name]).hexdigest()}
    return {**files, sidecar: _json(described)}
