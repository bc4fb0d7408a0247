"""The recordings of a run: uploads are copied into it, because the page's own copies do not last; others are listed."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from app.exports import safe_stem
from pairalign.home import one_line
from pairalign.training.corpora import AUDIO_SUFFIXES, write_manifest
from pairalign.training.run_folder import LIST_FILE, UPLOADS

LONGEST_PATH = 10_000


def keep(folder: Path, uploads: Sequence[str], recordings: Sequence[Path]) -> None:
    """Copy `uploads`, and write the list of `recordings`, which stay where they are.

    A name that is no text (not UTF-8, or of several lines) fits into no list: such a recording is copied, too.
    Raises: OSError.
    """
    for number, upload in enumerate(uploads):
        _copy(Path(upload), folder, number)
    if recordings:
        paths = [one.resolve() for one in recordings]
        odd = [one_line(path, LONGEST_PATH) != str(path) for path in paths]
        rows = [_copy(path, folder, k) if odd[k] else path for k, path in enumerate(paths)]
        write_manifest(folder / LIST_FILE, ("path",), [(path,) for path in rows])


def _copy(source: Path, folder: Path, number: int) -> Path:
    suffix = source.suffix.lower()
    suffix = suffix if suffix in AUDIO_SUFFIXES else ".wav"  # one of a folder's; what it really is tells its content
    target = folder / UPLOADS / f"{number:03d}_{safe_stem(source.name)}{suffix}"
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(source, target)
    return target
