"""Which checkpoint each open page uses, and the loaded ones: pages that chose the same share its weights."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from typing import Any

import pairalign
from pairalign.checkpoint import resolve_checkpoint

KEPT_LOADED = 3  # beside the one that the app was started with
LEFT_S = 3_600.0  # as long as Gradio keeps the other state of a page that was left: its connection may come back
_Key = tuple[str, int, int]


class Models:
    """The tokenizer that the app was started with, and the latest others. May be used by several threads."""

    def __init__(self, start: str, device: str, loaded: Any = None) -> None:
        """loaded: the tokenizer of `start`, where it is there already."""
        self._start, self._device, self._loaded = start, device, loaded
        self._others: dict[_Key, Any] = {}  # the latest comes last
        self._loading = threading.Lock()  # two pages that choose the same checkpoint load it once

    def start(self) -> Any:
        """The one that the app was started with, loaded on first use and then kept. Raises CheckpointError."""
        with self._loading:
            if self._loaded is None:
                self._loaded = pairalign.load(self._start, device=self._device)
            return self._loaded

    def get(self, checkpoint: str) -> Any:
        """The tokenizer of a checkpoint as its file is now. Raises CheckpointError when it cannot be loaded."""
        if checkpoint == self._start:
            return self.start()
        path = resolve_checkpoint(checkpoint)
        about = path.stat()
        key = (str(path), about.st_mtime_ns, about.st_size)
        with self._loading:
            found = self._others.pop(key, None)
            self._others[key] = pairalign.load(checkpoint, device=self._device) if found is None else found
            while len(self._others) > KEPT_LOADED:
                del self._others[next(iter(self._others))]
            return self._others[key]


@dataclass
class _Page:
    """What one page chose. parent: what that was fine-tuned from; lost: a sentence that the page has yet to show."""

    checkpoint: str
    parent: str = ""
    lost: str = ""
    left: float | None = None


class Choices:
    """The checkpoints that pages chose, by page; one that is not in here uses that of the start."""

    def __init__(self, start: str) -> None:
        self._start = start
        self._pages: dict[str, _Page] = {}
        self._lock = threading.Lock()

    def current(self, page: str) -> str:
        """The checkpoint of a page. Where its file was deleted: what it was fine-tuned from, or that of the start."""
        with self._lock:
            chosen = self._pages.get(page)
            if chosen is None:
                return self._start
            chosen.left = None
            if chosen.checkpoint != self._start and not is_there(chosen.checkpoint):
                instead = chosen.parent if is_there(chosen.parent) else self._start
                chosen.lost = (
                    f"The checkpoint {_shown(chosen.checkpoint)} was deleted; this page now uses {_shown(instead)}."
                )
                chosen.checkpoint, chosen.parent = instead, ""
            return chosen.checkpoint

    def set(self, page: str, checkpoint: str, parent: str = "") -> None:
        """Remember the choice of a page."""
        with self._lock:
            self._pages[page] = _Page(checkpoint, parent)

    def news(self, page: str) -> str:
        """The sentence about a deleted checkpoint that the page has yet to show, once; "" without one."""
        with self._lock:
            chosen = self._pages.get(page)
            if chosen is None:
                return ""
            news, chosen.lost = chosen.lost, ""
            return news

    def leave(self, page: str) -> None:
        """The page was closed. What pages chose that were left long ago is forgotten."""
        now = time.monotonic()
        with self._lock:
            if page in self._pages:
                self._pages[page].left = now
            for name, one in list(self._pages.items()):
                if one.left is not None and now - one.left > LEFT_S:
                    del self._pages[name]


def is_there(checkpoint: str) -> bool:
    """Whether a name or path leads to the weights of a checkpoint."""
    try:
        return bool(checkpoint) and resolve_checkpoint(checkpoint).is_file()
    except ValueError:
        return False


def parent_of(tokenizer: Any) -> str:
    """The name of the checkpoint that a fine-tuned one was started from; "" for others."""
    recipe = (tokenizer.sidecar or {}).get("recipe")
    started_from = recipe.get("started_from") if isinstance(recipe, dict) else None
    name = started_from.get("name") if isinstance(started_from, dict) else None
    return name if isinstance(name, str) else ""


def _shown(checkpoint: str) -> str:
    return os.path.basename(checkpoint).removesuffix(".safetensors")
