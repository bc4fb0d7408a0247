"""Stands in for the package `spaces` as it behaves with ZeroGPU: a slot is a forked process that talks in pickles.

Unlike the real one it has no GPU to lend, so a model that is loaded meanwhile stays on the CPU. Every slot adds a line
to the file SLOTS_LOG.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import threading
from collections.abc import Callable
from typing import Any

import gradio as gr
import torch

LONGEST_S = 10
_auto_wrap = True


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            raise pickle.PicklingError("a tensor leaves or enters a slot; on a GPU that would not do")
        return NotImplemented


def pickled(value: Any) -> bytes:
    """What goes through the pipe; refuses tensors."""
    memory = io.BytesIO()
    _Pickler(memory).dump(value)
    return memory.getvalue()


def GPU(task: Callable[..., Any], duration: float) -> Callable[..., Any]:  # noqa: N802, the package's name
    """The function, run in a slot."""
    assert duration <= LONGEST_S

    def slot(*args: Any) -> Any:
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(target=_serve, args=(task, pickled(args), theirs))
        process.start()
        theirs.close()
        done, value = pickle.loads(ours.recv_bytes())
        process.join()
        with open(os.environ["SLOTS_LOG"], "a", encoding="utf-8") as log:
            log.write(f"{args[0].__qualname__}\n")
        if not done:  # as there, an exception comes out as its name alone
            raise gr.Error(value, print_exception=False)
        return value

    return slot


def disable_gradio_auto_wrap() -> None:
    """Said before Gradio has wrapped anything."""
    global _auto_wrap
    _auto_wrap = False


def gradio_auto_wrap(handler: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """What Gradio does to every handler on a Space."""
    assert not _auto_wrap, "a handler would run in a slot"
    return handler


def _serve(task: Callable[..., Any], args: bytes, pipe: Any) -> None:
    def work() -> None:
        try:
            answer = pickled((True, task(*pickle.loads(args))))
        except Exception as error:
            answer = pickled((False, type(error).__name__))
        pipe.send_bytes(answer)

    # in a thread that is new here, as there: those of the parent are gone, and so are their OpenMP teams
    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
