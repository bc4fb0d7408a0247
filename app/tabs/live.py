"""The Live tab: tokens while one speaks, and the last seconds for all other tabs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

import gradio as gr
import numpy as np

from app import parts
from app.live import LiveStreams
from app.live_html import panel_html
from app.services import Services
from pairalign.audio import SAMPLE_RATE_HZ
from pairalign.errors import PairAlignError
from pairalign.streaming import KEPT_S

LOG = logging.getLogger(__name__)
KEEP_S = 5
# live.js is in the page's head; it takes over the panel and the functions of the server
START_JS = "window.PairAlign.live(element, server)"
NAME_JS = "(name, seconds) => [window.PairAlign.liveStream(), seconds]"


def build(services: Services, audio: gr.Audio) -> LiveStreams:
    """Lay out the tab inside the current Blocks and wire its events; `audio` is the page's recording.

    Returns: the streams, which a page that is closed must leave.

    Sound does not go through Gradio's streaming microphone: that one keeps the newest piece only when the server is
    late, and drops the first and the last one, so that its strings could not be those of the recording.
    """
    live = LiveStreams(services)
    gr.HTML(
        panel_html(live.microphones()),
        js_on_load=START_JS,
        server_functions=_server_functions(live),
        apply_default_css=False,
        elem_id="pa-live",
        elem_classes="pa-results",
    )
    with gr.Row(equal_height=True, elem_id="pa-live-keep"):
        seconds = gr.Slider(1, int(KEPT_S), KEEP_S, step=1, label="Keep the last … seconds", elem_id="pa-live-seconds")
        button = gr.Button("Use them in the other tabs", elem_id="pa-live-use")
    name = gr.Textbox(visible=False)

    def keep(name: str, seconds: float) -> tuple[int, np.ndarray]:
        kept = parts.readably(lambda: live.keep(name, seconds))
        gr.Info(
            f"The last {len(kept) / SAMPLE_RATE_HZ:.1f} seconds are now the recording above, in every tab.", duration=5
        )
        return SAMPLE_RATE_HZ, kept

    button.click(keep, [name, seconds], audio, js=NAME_JS, show_progress="hidden", api_visibility="private")
    return live


def _server_functions(live: LiveStreams) -> list[Callable[[Any], dict[str, Any]]]:
    """What live.js may call; each takes one object, and answers with one or with {"error": sentence}."""

    def answer(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            return work()
        except PairAlignError as error:
            return {"error": str(error)}
        except Exception:
            LOG.exception("a stream failed")
            return {
                "error": "Something failed on our side; the server's log has the details. Press Start to try again."
            }

    async def open_stream(asked: Any, request: gr.Request) -> dict[str, Any]:
        page = await _page(request)
        return await asyncio.to_thread(answer, lambda: live.open(_of(asked, "rate_hz"), page))

    async def open_microphone(asked: Any, request: gr.Request) -> dict[str, Any]:
        page = await _page(request)
        return await asyncio.to_thread(answer, lambda: live.open_microphone(_of(asked, "index"), page))

    def feed(asked: Any) -> dict[str, Any]:
        return answer(lambda: live.feed(_of(asked, "stream"), _of(asked, "pcm")))

    def poll(asked: Any) -> dict[str, Any]:
        return answer(lambda: live.poll(_of(asked, "stream"), _of(asked, "paused")))

    def finish(asked: Any) -> dict[str, Any]:
        return answer(lambda: live.finish(_of(asked, "stream")))

    def close(asked: Any) -> dict[str, Any]:
        return answer(lambda: live.close(_of(asked, "stream")))

    return [open_stream, open_microphone, feed, poll, finish, close]


async def _page(request: gr.Request) -> str:
    """Which open page calls: Gradio passes a server's function the request itself, in whose body it stands."""
    body = await cast(Any, request).json()
    return str(body.get("session_hash") or "")


def _of(asked: Any, key: str) -> Any:
    return asked.get(key) if isinstance(asked, dict) else None
