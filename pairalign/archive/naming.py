"""Which recordings of an archive somebody means: by path or name first, and by a pattern only where there is a *.

File names may hold any sign, so [ and ? alone never make a pattern: *take [1].wav* names one recording, not several.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from pairalign.archive.record import Recording


def named(recordings: Sequence[Recording], text: str, base: Path) -> list[Recording]:
    """The recordings that `text` stands for, in their order; the first of these that any recording fits:

    a path (relative to the working folder, or to the archive's folder `base`), a folder above recordings, the end of a
    path (a file's name, or folder/name), and where it has a *, a pattern for whole paths: * is any text, also across
    folders, ? one sign.
    """
    full = [one.path.as_posix() for one in recordings]
    here, there = (Path(os.path.abspath(root / text)) for root in (Path.cwd(), base))
    tests = [
        lambda path: path == here.as_posix(),
        lambda path: path == there.as_posix(),
        _below(here),
        _below(there) if base in there.parents else lambda path: False,  # "." is the working folder alone
        lambda path: path.endswith("/" + text.replace(os.sep, "/")),
    ]
    if not text or "\0" in text:
        return []
    if "*" in text:
        pattern, folder = _compiled(text), base.as_posix().rstrip("/") + "/"
        tests.append(lambda path: bool(pattern.fullmatch(path) or pattern.fullmatch(path.removeprefix(folder))))
    for fits in tests:
        if chosen := [one for one, path in zip(recordings, full, strict=True) if fits(path)]:
            return chosen
    return []


def containing(recordings: Sequence[Recording], text: str, base: Path) -> list[Recording]:
    """The recordings with `text` in their path, as the archive keeps it; with a * in it as `named` has it."""
    if "*" in text:
        return named(recordings, text, base)
    folder = base.as_posix().rstrip("/") + "/"
    return [one for one in recordings if text in one.path.as_posix().removeprefix(folder)]


def _below(folder: Path) -> Callable[[str], bool]:
    start = folder.as_posix().rstrip("/") + "/"
    return lambda path: path.startswith(start)


def _compiled(pattern: str) -> re.Pattern[str]:
    signs = {"*": ".*", "?": "."}
    return re.compile("".join(signs.get(sign) or re.escape(sign) for sign in pattern), re.DOTALL)
