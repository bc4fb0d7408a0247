"""The demo archive: shipped recordings, indexed on first use with whatever checkpoint is loaded.

The archive itself is not shipped, so it always fits the model. It lies among the user's own things under a name made of
the model's and the recordings' hashes; where nothing can be written there, in a temporary folder.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from functools import lru_cache
from pathlib import Path

from app import scratch
from pairalign.errors import PairAlignError
from pairalign.home import home

NAME = "demo"
FOLDER = Path(__file__).resolve().parent / "examples" / "archive"
LISTING = FOLDER / "archive.json"


@lru_cache(maxsize=1)
def entries() -> dict[str, dict[str, str]]:
    """By file name: what is said in a recording, and by which voice. Empty when the listing cannot be read."""
    try:
        listed = json.loads(LISTING.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return {}
    return {entry["file"]: entry for entry in listed}


def files() -> list[Path]:
    """The recordings. Raises: ValueError when this installation has none."""
    found = [FOLDER / name for name in entries() if (FOLDER / name).is_file()]
    if not found:
        raise PairAlignError(
            "The recordings of the demo archive are missing (app/examples/archive). Reinstall PairAlign."
        )
    return found


def path_for(model_sha256: str) -> Path:
    """Where the demo archive of a model is, or will be."""
    listing = LISTING.read_bytes() if LISTING.is_file() else b""
    key = hashlib.sha256(model_sha256.encode() + listing).hexdigest()[:16]
    return _cache_folder() / f"{NAME}-{key}.db"


def _cache_folder() -> Path:
    folder = home() / "cache"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:  # a read-only home
        return scratch.folder()
