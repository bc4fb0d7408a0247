"""A training run as it goes: state, curves, before and after, and what one can do with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app import parts, train_figures, train_words
from app.parts import PRIVATE
from app.services import Services, to_int16
from app.tabs import model_choice
from app.training_runs import Look, TrainingRuns
from pairalign.audio import SAMPLE_RATE_HZ, read_audio
from pairalign.checkpoint import own_checkpoints

EVERY_S = 2.0
PLAYER_ID = "pa-train-player"
FILE_JS = "() => setTimeout(() => document.querySelector('#pa-train-file')?.click(), 300)"
DELETE_JS = (
    "(name, used) => [name && confirm(`Delete the run ${name}, its copy of the recordings and its checkpoint?`)"
    " ? name : '', used]"
)


@dataclass(frozen=True)
class RunView:
    """Components that show a run. draw(name, seen) gives values for `drawn`, in their order."""

    run: gr.Dropdown
    seen: gr.State
    drawn: list[gr.components.Component]
    draw: Callable[[str | None, Any], tuple[Any, ...]]


@dataclass(frozen=True)
class _Parts:
    """All components of the panel; `slow` are those that change only when the run gets on."""

    seen: gr.State
    timer: gr.Timer
    run: gr.Dropdown
    buttons: dict[str, gr.Button]
    file: gr.DownloadButton
    status: gr.HTML
    filled: gr.Column
    clip: gr.Radio
    sound: gr.Audio
    strings: gr.HTML
    slow: list[gr.components.Component]

    @property
    def drawn(self) -> list[gr.components.Component]:
        """What `_drawing` gives values for, in order."""
        return [self.status, self.timer, self.seen, self.filled, *self.buttons.values(), *self.slow]


def build(services: Services, runs: TrainingRuns, checkpoint: gr.Dropdown, page: gr.Blocks) -> RunView:
    """Lay out and wire, in the current Blocks. The page attaches to a run at work whenever it is loaded."""
    part = _layout(runs, checkpoint)
    draw = _drawing(services, runs, part)
    run, seen, drawn = part.run, part.seen, part.drawn

    def attach() -> tuple[Any, ...]:
        name = runs.current()
        return gr.update(choices=runs.names(), value=name), *draw(name, None)

    part.timer.tick(draw, [run, seen], drawn, trigger_mode="once", **PRIVATE)
    run.input(draw, [run, seen], drawn, **PRIVATE)
    page.load(attach, None, [run, *drawn], **PRIVATE)
    part.clip.input(_hear(runs), [run, part.clip], [part.sound, part.strings], **PRIVATE)
    _wire_buttons(services, runs, part, draw, checkpoint)
    return RunView(run, seen, drawn, draw)


def _layout(runs: TrainingRuns, checkpoint: gr.Dropdown) -> _Parts:
    seen = gr.State(None)
    timer = gr.Timer(EVERY_S, active=False)
    run = gr.Dropdown(runs.names(), label="Run", elem_id="pa-train-run")
    with gr.Row(elem_classes="pa-train-buttons"):
        names = ("Stop", "Resume", "Finish now", "Use it", "Download", "Delete")
        buttons = {
            name: gr.Button(name, size="sm", visible=False, elem_id=f"pa-train-{name.split()[0].lower()}")
            for name in names
        }
    file = gr.DownloadButton(visible="hidden", elem_id="pa-train-file")
    status = gr.HTML(train_words.EMPTY_HTML, apply_default_css=False, elem_id="pa-train-status")
    with gr.Column(visible=False) as filled:
        plot = parts.plot("pa-train-plot", "Curves of the run")
        with gr.Accordion("Curves as a table", open=False):
            table = gr.HTML(apply_default_css=False)
        compared = gr.HTML(apply_default_css=False, elem_id="pa-train-compared")
        clip = gr.Radio([], label="A held-out clip, before and after", visible=False, elem_id="pa-train-clip")
        sound = parts.player(PLAYER_ID, "The clip", visible=False)
        strings = gr.HTML(apply_default_css=False, elem_id="pa-train-strings")
    slow = [plot, table, compared, clip, sound, strings, checkpoint]
    return _Parts(seen, timer, run, buttons, file, status, filled, clip, sound, strings, slow)


def _drawing(services: Services, runs: TrainingRuns, part: _Parts) -> Callable[[str | None, Any], tuple[Any, ...]]:
    def draw(name: str | None, before: Any) -> tuple[Any, ...]:
        """Everything about a run; what has not changed since `before` is left alone."""
        if not name or name not in runs.names():
            hidden = (gr.Timer(active=False), None, gr.update(visible=False))
            return train_words.EMPTY_HTML, *hidden, *_buttons(None), *_skip(part.slow)
        look = parts.readably(lambda: runs.look(name))
        now = [name, look.state, len(look.log), sorted(look.report)]
        head = (train_words.status_html(look), gr.Timer(active=look.active), now, gr.update(visible=True))
        if now == before:
            return *head, *_skip(part.buttons), *_skip(part.slow)
        return *head, *_buttons(look), *_slow(look), gr.update(choices=model_choice.choices(services))

    return draw


def _wire_buttons(
    services: Services,
    runs: TrainingRuns,
    part: _Parts,
    draw: Callable[[str | None, Any], tuple[Any, ...]],
    checkpoint: gr.Dropdown,
) -> None:
    run, seen, drawn, buttons = part.run, part.seen, part.drawn, part.buttons
    for label, act in (
        ("Stop", runs.stop),
        ("Resume", runs.resume),
        ("Finish now", lambda name: runs.resume(name, True)),
    ):
        pressed = buttons[label].click(_acts(act), run, None, **PRIVATE)
        pressed.success(draw, [run, seen], drawn, **PRIVATE)
    deleted = buttons["Delete"].click(
        _deletes(services, runs), [run, checkpoint], [run, seen, checkpoint], js=DELETE_JS, **PRIVATE
    )
    deleted.success(draw, [run, seen], drawn, **PRIVATE)
    buttons["Use it"].click(
        lambda name: gr.update(choices=model_choice.choices(services), value=name), run, checkpoint, **PRIVATE
    )
    made = buttons["Download"].click(
        lambda name: str(parts.readably(lambda: runs.bundle(name))), run, part.file, **PRIVATE
    )
    made.success(None, None, js=FILE_JS, **PRIVATE)


def _acts(act: Callable[[str], None]) -> Callable[[str | None], None]:
    def press(name: str | None) -> None:
        parts.readably(lambda: act(name or ""))

    return press


def _deletes(services: Services, runs: TrainingRuns) -> Callable[[str, str | None], tuple[Any, ...]]:
    def press(name: str, used: str | None) -> tuple[Any, ...]:
        """Delete a run; a page that uses its checkpoint goes back to the one it started from (by its own event)."""
        if not name:  # not confirmed
            return (gr.skip(),) * 3
        parent = parts.readably(lambda: runs.parent(name))
        parts.readably(lambda: runs.delete(name))
        choices = [choice for choice in model_choice.choices(services) if choice[1] != name]
        if used == name:
            gr.Info(f"The checkpoint {name} is deleted. This page uses {parent} again, which it started from.")
        chosen = gr.update(choices=choices, value=parent if used == name else used)
        return gr.update(choices=runs.names(), value=runs.current()), None, chosen

    return press


def _buttons(look: Look | None) -> list[Any]:
    """Which buttons make sense: Stop, Resume, Finish now, Use it, Download, Delete."""
    made = look is not None and (own_checkpoints() / f"{look.name}.safetensors").is_file()
    resting = look is not None and not look.active
    stops = look is not None and look.state in ("preparing", "running")
    resume = look is not None and look.can_resume
    finish = resume and look.status.step > 0
    return [gr.update(visible=shown) for shown in (stops, resume, finish, made and resting, made and resting, resting)]


def _slow(look: Look) -> list[Any]:
    """Curves, tables and example strings."""
    clips = len(look.report.get("examples_before") or ())
    choices = [(f"Clip {k + 1}", k) for k in range(clips)]
    sound, strings = _clip(look, 0) if clips else (gr.update(value=None, visible=False), "")
    wanted = look.settings.wanted_rate_hz or None
    return [
        gr.update(value=train_figures.curves_figure(look.log, wanted), visible=len(look.log) > 1),
        train_figures.curves_table_html(look.log),
        train_words.before_after_html(look),
        gr.update(choices=choices, value=0 if clips else None, visible=clips > 0),
        sound,
        strings,
    ]


def _hear(runs: TrainingRuns) -> Callable[[str | None, int | None], tuple[Any, ...]]:
    def hear(name: str | None, number: int | None) -> tuple[Any, ...]:
        return parts.readably(lambda: _clip(runs.look(name or ""), int(number or 0)))

    return hear


def _clip(look: Look, number: int) -> tuple[Any, str]:
    """The sound of an example and its strings; without sound there is no player."""
    found = look.report["examples_before"]
    number = min(max(number, 0), len(found) - 1)
    path = look.folder / "clips" / f"{int(found[number]['item']):05d}.flac"
    sound = (SAMPLE_RATE_HZ, to_int16(read_audio(path))) if path.is_file() else None
    return gr.update(value=sound, visible=sound is not None), train_words.examples_html(look, number, PLAYER_ID)


def _skip(components: Any) -> list[Any]:
    return [gr.skip() for _ in components]
