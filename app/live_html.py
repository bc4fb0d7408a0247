"""The page's side of listening before anything is heard: controls, meters, empty lanes. live.js fills them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

METERS = (
    ("rate", "Tokens per second", "of the last 5 seconds"),
    ("latency", "Latency, ms", "from sound to tokens, median"),
    ("revised", "Revised", "of tentative tokens"),
    ("count", "Final tokens", "in this stream"),
)


def panel_html(microphones: Sequence[tuple[int, str]]) -> str:
    """All of the tab but what keeps the sound; `microphones` of the server, which are offered beside the browser's."""
    meters = "".join(
        f'<div class="pa-card"><dt>{name}</dt><dd data-meter="{key}">–</dd><dd class="pa-note">{note}</dd></div>'
        for key, name, note in METERS
    )
    return (
        '<div class="pa-live" data-listening="off">'
        f'<div class="pa-live-bar">{_BUTTONS}{_sources_html(microphones)}{_LEVEL}</div>'
        '<p class="pa-hint" role="status" data-live-status>Press Start and speak. The browser asks for the microphone;'
        " the sound goes to the machine that runs this page and is forgotten.</p>"
        '<p class="pa-live-error" role="alert" data-live-error hidden></p>'
        f'<dl class="pa-figures">{meters}</dl>{_PICTURE}{_CHIPS}</div>'
    )


def _sources_html(microphones: Sequence[tuple[int, str]]) -> str:
    if not microphones:
        return ""
    options = "".join(f'<option value="{index}">{escape(name)}</option>' for index, name in microphones)
    return (
        '<label class="pa-live-source">Microphone <select data-live-source>'
        f'<option value="">of this browser</option><optgroup label="of this machine">{options}</optgroup>'
        "</select></label>"
    )


_BUTTONS = (
    '<button type="button" id="pa-live-start" data-live="start">Start</button>'
    '<button type="button" id="pa-live-freeze" data-live="freeze" aria-pressed="false" disabled>Freeze</button>'
    '<button type="button" id="pa-live-clear" data-live="clear" disabled>Clear</button>'
)
_LEVEL = (
    '<span class="pa-live-level"><meter min="-60" max="0" low="-45" high="-3" optimum="-20" value="-60"'
    ' aria-label="Input level, dB below full scale" data-live-level></meter><b data-live-hears>off</b></span>'
)
_PICTURE = (
    '<div class="pa-live-picture" data-live-picture role="img" aria-label="Log-mel of the last seconds above its'
    ' tokens; the tokens with their times follow as buttons"><div class="pa-live-strip" data-live-strip></div></div>'
    '<p class="pa-hint pa-live-key"><span class="pa-live-box" data-final aria-hidden="true">a</span> solid border:'
    ' final <span class="pa-live-box" aria-hidden="true">a</span> dashed border: tentative, may still change</p>'
)
_CHIPS = (
    '<h3 class="pa-live-title">The last 30 seconds</h3><div class="pa-live-chips" data-live-chips role="group"'
    ' aria-label="Tokens of the last 30 seconds; Enter plays one"><p class="pa-note">No tokens yet. Silence gives'
    " none.</p></div>"
)
