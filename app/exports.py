"""The files of a result: texts made here, sound and zip made in the page (assets/exports.js) from what it already has.

Nothing is written on the server.
"""

from __future__ import annotations

import json
import re
from pathlib import PurePath
from typing import Any

from app.result import TokenizeResult, still_kept
from pairalign.export import to_csv, to_textgrid
from pairalign.home import is_device

KINDS = {"json": "JSON", "csv": "CSV", "textgrid": "Praat TextGrid", "wav": "WAV", "zip": "Everything (zip)"}
MAX_STEM = 80


def bundle(result: TokenizeResult | None, kind: str) -> dict[str, Any]:
    """What the page saves for one of KINDS: texts by file name, whether sound belongs to it, whether to zip it.

    Raises: ValueError when the result is gone.
    """
    result = still_kept(result)
    stem = safe_stem(result.file_name)
    texts = {
        "json": (f"{stem}.pairalign.json", lambda: json.dumps(result.to_document(), indent=1, ensure_ascii=False)),
        "csv": (f"{stem}.csv", lambda: to_csv(result.strings)),
        "textgrid": (f"{stem}.TextGrid", lambda: to_textgrid(result.strings)),
    }
    wanted = texts if kind == "zip" else {kind: texts[kind]} if kind in texts else {}
    return {
        "stem": stem,
        "sound": kind in ("wav", "zip"),
        "zipped": kind == "zip",
        "texts": {name: write() for name, write in wanted.values()},
    }


def safe_stem(file_name: str) -> str:
    """A name that every file system takes: letters, digits, '-', '_' and inner dots of the name without its ending."""
    stem = re.sub(r"[^\w.-]+", "_", PurePath(file_name.replace("\\", "/")).stem)[:MAX_STEM].strip("._-")
    return f"{stem}_" if is_device(stem) else stem or "recording"
