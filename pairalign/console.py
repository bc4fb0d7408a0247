"""Standard streams that a command can rely on: there when the caller has closed them, and quiet when nobody reads."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO


def prepare() -> None:
    """Open what is closed on the null device, and let no character end the program.

    A closed stream (`>&-`) leaves its number to the next file that is opened, into which libraries would then print.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            with contextlib.suppress(OSError):
                os.fstat(number)  # open after all, but Python could make nothing of it
                continue
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is this one
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # glyphs and file names must not crash a terminal that cannot show them
            stream.reconfigure(errors="backslashreplace")


def write_utf8(text: str) -> None:
    """Print a document for other programs, in UTF-8 whatever the terminal's own encoding is."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.flush()
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    sys.stdout.write(text)


def silence(*streams: TextIO) -> None:
    """Send what is left in the buffers of streams nowhere, so that the end of the program does not complain."""
    for stream in streams:
        with contextlib.suppress(Exception):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
