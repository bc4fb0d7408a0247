"""What a folder holds that looks like recordings and is not read: told, so that nothing is left out silently."""

from __future__ import annotations

import mimetypes
import os
from pathlib import Path

from pairalign.training.corpora import AUDIO_SUFFIXES


def left_out(path: str | Path) -> list[tuple[Path, str]]:
    """What a folder holds that looks like recordings and is not among those of `read_manifest`, with the reason."""
    root = Path(path)
    if not root.is_dir() or (root / "manifest.csv").is_file():
        return []
    found: list[tuple[Path, str]] = []

    def refused(error: OSError) -> None:
        found.append((Path(error.filename), f"this folder cannot be opened ({error.strerror})."))

    for folder, folders, files in os.walk(root, onerror=refused):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            suffix, kind = os.path.splitext(name)[1].lower(), mimetypes.guess_type(name)[0] or ""
            if kind.startswith(("audio/", "video/")) and suffix not in AUDIO_SUFFIXES and not name.startswith("."):
                found.append(
                    (Path(folder) / name, f"{suffix} is no format that is read ({', '.join(sorted(AUDIO_SUFFIXES))}).")
                )
    return found
