"""Slots of a shared GPU: how a Space with ZeroGPU hardware computes.

There no process of the app's own ever sees the GPU: the `spaces` package forks one that does for the seconds of a slot.
So only what can be pickled goes in (a function by its name and its arguments) and only what can be pickled comes out.
Progress reports, Stop and anything the function changes stay behind in the other process; a Stop takes effect when the
slot ends. What costs less than waiting for a slot (Live, an archive's demo and its queries) stays on the CPU.

Tests use a stand-in for `spaces` that forks and pickles as it does. By hand, tokenizing, sweeps, views, comparisons,
Live and the archive were tried with the package itself (0.51.3), a stub of its scheduler, and in place of the GPU the
CUDA that the package emulates on a CPU outside slots. It has not been run on ZeroGPU hardware.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from pairalign.errors import PairAlignError

SLOT_S = 10  # asked for; work that lasts longer may be ended
_Result = TypeVar("_Result")


def is_here() -> bool:
    """Whether this is a Space with ZeroGPU, by the variable that `spaces` itself goes by."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def open_slots(checkpoint: str) -> Slots:
    """Load a checkpoint onto the shared GPU. To be called in the main thread, before anything else imports torch.

    Raises: ValueError when it cannot be loaded, or when the package that lends the slots is missing.
    """
    try:
        import spaces  # it changes torch, so that a model may be put on a GPU that is not there yet
    except ImportError:
        raise PairAlignError("SPACES_ZERO_GPU is set, but the package spaces is missing: pip install spaces.") from None
    import pairalign

    spaces.disable_gradio_auto_wrap()  # or Gradio might run every handler in a slot, with all that it changes
    return Slots(pairalign.load(checkpoint), spaces.GPU)


class Slots:
    """Runs functions of a tokenizer in slots. They must be found by name in their module, to be pickled."""

    def __init__(self, tokenizer: Any, lend: Callable[..., Any]) -> None:
        """lend: `spaces.GPU`; it must have been called before the page is launched."""

        def slot(work: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, str | None]:
            try:
                return work(tokenizer, *args, **options), None
            except PairAlignError as error:  # a user's mistake; of an exception only the name would arrive
                return None, str(error)

        self.device: str = tokenizer.device
        self._slot = lend(slot, duration=SLOT_S)

    def run(self, work: Callable[..., _Result], *args: Any, **options: Any) -> _Result:
        """What `work(tokenizer, *args, **options)` returns, which holds no tensors.

        Raises: ValueError as `work` does; a gr.Error of `spaces` when no slot can be had, which says why.
        """
        value, mistake = self._slot(work, args, options)
        if mistake is not None:
            raise PairAlignError(mistake)
        return value
