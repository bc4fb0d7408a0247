"""Where a person's own things live: checkpoints they trained, runs, classes they recorded. Not in the program's folder.

`PAIRALIGN_HOME` names the folder; without it it is `pairalign` in the place the system has for such data.
"""

from __future__ import annotations

import logging
import os
import re
from functools import cache
from pathlib import Path

from pairalign.errors import PairAlignError

_log = logging.getLogger("pairalign")
HOME_VARIABLE = "PAIRALIGN_HOME"
# no dash in front: a name is also the value of an option of the command line
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
# Windows takes these for devices, whatever ending follows
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{k}" for port in ("com", "lpt") for k in range(10))}


class BadName(PairAlignError):
    """A name that cannot become a file's."""


def home() -> Path:
    """The folder of a person's own checkpoints, runs and recordings; it need not exist yet."""
    chosen = os.environ.get(HOME_VARIABLE)
    if chosen:
        return Path(os.path.realpath(os.path.expanduser(chosen)))
    shared = os.path.expanduser(os.environ.get("XDG_DATA_HOME") or os.environ.get("LOCALAPPDATA") or "~/.local/share")
    if shared.startswith("~"):  # an account without a home, as in a container: Docker says / there
        shared = os.path.join(os.path.abspath(os.sep), *Path(shared).parts[1:])
    return Path(shared) / "pairalign"


def listed(folder: Path, pattern: str) -> list[Path]:
    """What fits a pattern in a folder that may not exist. One that cannot be read counts as empty, with a warning."""
    try:
        os.listdir(folder)  # `Path.glob` would pass over what it may not read
        return sorted(folder.glob(pattern))
    except FileNotFoundError:
        return []
    except OSError as error:
        own = home()
        _warn(own if folder.is_relative_to(own) else folder, error.strerror or str(error))
        return []


@cache
def _warn(folder: Path, reason: str) -> None:
    """Once for every folder."""
    _log.warning(
        "pairalign: %s cannot be read (%s), and is taken as empty. Set %s to a folder of your own",
        one_line(folder),
        reason,
        HOME_VARIABLE,
    )


def checked_name(name: object, what: str = "name") -> str:
    """The name, if it is one: 1 to 64 letters, digits, - and _, not - in front. Raises ValueError otherwise."""
    if not isinstance(name, str) or not is_name(name):
        shown = repr(name)[:80]
        if isinstance(name, str) and is_device(name):
            raise BadName(f"{shown} is the name of a device on Windows: choose another {what}.")
        raise BadName(
            f"{shown} is no {what}: use 1 to 64 letters (A to Z), digits, - and _, without spaces, and no - in front."
        )
    return name


def is_name(text: str) -> bool:
    """Whether a text can be the name of a file of one's own on every system."""
    return _NAME.fullmatch(text) is not None and not is_device(text)


def is_device(stem: str) -> bool:
    """Whether Windows takes a file name that begins so for a device."""
    return stem.split(".")[0].strip().lower() in _DEVICES


def one_line(text: object, most: int = 300) -> str:
    """A name or path fit for a message: no line breaks, control characters or halves of characters, not endless."""
    shown = str(text)
    cut = "…" if len(shown) > most else ""
    return "".join(char if char.isprintable() else "?" for char in shown[:most]) + cut


def inside(root: Path, name: object, what: str = "name", ending: str = "") -> Path:
    """root/name+ending, which need not exist.

    Raises: BadName for a bad name, a link that leads out of `root`, or a `root` that may not be looked into.
    """
    path = root / f"{checked_name(name, what)}{ending}"
    try:
        os.stat(path)
    except PermissionError as error:
        raise BadName(
            f"{one_line(root)} cannot be read ({error.strerror}). Check its permissions, or set {HOME_VARIABLE} to a "
            "folder of your own."
        ) from None
    except OSError:  # it is not there: the usual case
        pass
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        raise BadName(f"{name!r} leads out of {root}; remove that link or choose another {what}.")
    return path
