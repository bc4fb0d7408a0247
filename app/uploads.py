"""Uploaded files: the server keeps each of them for a while after it was last used."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from pairalign.errors import PairAlignError

KEPT_S = 3_600  # ui.py has Gradio remove what is older


def keep(path: str | Path) -> None:
    """To be called before an upload is used: it counts as new from now on, and other files stay as they are.

    Raises: ValueError when it is no longer there.
    """
    if not os.path.exists(path):
        raise PairAlignError(
            f"{Path(path).name} is no longer on the server, which keeps an upload for an hour after its last use: "
            "upload it again."
        )
    folder = os.environ.get("GRADIO_TEMP_DIR") or os.path.join(tempfile.gettempdir(), "gradio")
    if Path(path).is_relative_to(os.path.abspath(folder)):
        with contextlib.suppress(OSError):
            os.utime(path)
