"""What a tab's runs have in common in the page (assets/runs.js): outdated results, messages that stay, Stop.

Every run has the name of its button: the element "pa-<name>" starts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

PRIVATE = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
# what a run is made from, as the page compares it
ALL_JS = "(...values) => values"


def watch(name: str, button: gr.Button, sources: Sequence[Any], pick_js: str = ALL_JS) -> None:
    """Mark the result of a run, which `button` starts, once any of `sources` is not what it was made from.

    To be called before the run is wired to the button: events of one button are worked through in order.
    pick_js: of the sources' values those that count, where not all of them always do.
    """
    _tell(button.click, "begins", name, sources, pick_js)
    for source in sources:
        _tell(source.change, "chosenFor", name, sources, pick_js)


def begins(name: str, event: Any, sources: Sequence[Any], pick_js: str = ALL_JS) -> None:
    """A run `name` starts after `event` too; to be called before it is wired."""
    _tell(event.success, "begins", name, sources, pick_js)


def ends(name: str, event: Any) -> None:
    """`event` is a run `name`: its result is fresh, its message stays in the status line."""
    event.success(None, js=f"() => {{ window.PairAlign.arrived('{name}'); }}", **PRIVATE)
    event.failure(None, js=f"() => {{ window.PairAlign.failed('{name}'); }}", **PRIVATE)


def clear_message(status: str, button: gr.Button) -> None:
    """A message in the element `status` goes when `button` is pressed; to be called before its run is wired."""
    button.click(None, js=f"() => {{ window.PairAlign.clearMessage('{status}'); }}", **PRIVATE)


def keep_message(status: str, event: Any) -> None:
    """The message of a failed `event` stays in the element `status`."""
    event.failure(None, js=f"() => {{ window.PairAlign.keepMessage('{status}'); }}", **PRIVATE)


def outdated(name: str, event: Any) -> None:
    """What run `name` was made from has changed in itself after `event`."""
    event.success(None, js=f"() => {{ window.PairAlign.outdated('{name}'); }}", **PRIVATE)


def stops(stopped: Any, *names: str) -> None:
    """The runs `names` have been stopped when the event `stopped` is done."""
    stopped.then(None, js=f"() => {{ window.PairAlign.stopped({list(names)}); }}", **PRIVATE)


def _tell(trigger: Any, call: str, name: str, sources: Sequence[Any], pick_js: str) -> None:
    js = f"(...values) => {{ window.PairAlign.{call}('{name}', ({pick_js})(...values)); }}"
    trigger(None, list(sources), js=js, **PRIVATE)
