"""The controls of the Views tab: what is compared, and two panels of sliders with presets."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app import figures, parts, view_pair
from app.services import Services
from app.view_settings import CHOICES, CONTROLS, MAX_SEED, OWN, PRESETS, ViewSettings, surprise

HINT = "After the first time, changing a slider compares again."
PAIR = ("harbour_a.ogg", "harbour_b.ogg")
ONE, TWO = "Two views of one recording", "Two recordings"
CHANGED_JS = "() => { window.PairAlign.viewChanged(); }"  # in views.js
CHOICE_LABELS = {"noise": "Noise", "codec": "Codec"}
QUICK = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class Panel:
    """The controls of one view, by the names of `ViewSettings`."""

    preset: gr.Dropdown
    surprise: gr.Button
    controls: dict[str, Any]


@dataclass(frozen=True)
class Inputs:
    """What a comparison is made from; `audio` stands above the tabs."""

    mode: gr.Radio
    method: gr.Dropdown
    panels: tuple[Panel, Panel]
    audio: gr.Audio
    audio_b: gr.Audio
    start: gr.Slider
    start_b: gr.Slider

    def named(self) -> dict[str, Any]:
        """What a lesson may set, by name; a control of a view is called as in `ViewSettings`, then _a or _b."""
        found = {"mode": self.mode, "method": self.method, "audio_b": self.audio_b}
        found |= {"start": self.start, "start_b": self.start_b}
        for side, panel in zip("ab", self.panels, strict=True):
            found[f"preset_{side}"] = panel.preset
            found |= {f"{name}_{side}": control for name, control in panel.controls.items()}
        return found


def lay_out(services: Services, audio: gr.Audio) -> tuple[Inputs, parts.RunBar]:
    """The controls above the results, in the current Blocks."""
    names = [(figures.METHOD_LABELS.get(name, name.upper()), name) for name in view_pair.methods(services)]
    with gr.Row(equal_height=False):
        mode = gr.Radio([ONE, TWO], value=ONE, label="Compare", scale=3, min_width=300, elem_id="pa-views-mode")
        method = gr.Dropdown(
            names, value="pairalign", label="Tokens", scale=1, min_width=160, elem_id="pa-views-method"
        )
    longest_s = services.limits.max_duration_s
    with gr.Row(equal_height=False, elem_id="pa-views-panels") as views:
        panels = _lay_out_panel("A", PRESETS["Clean"], "Clean"), _lay_out_panel("B", PRESETS["Strong"], "Strong")
    with gr.Column(visible=False, elem_id="pa-views-second") as second:
        audio_b = gr.Audio(
            sources=["upload", "microphone"], type="filepath", label="Recording B", elem_id="pa-audio-b", buttons=[]
        )
        _examples(audio, audio_b)
        start_b = gr.Slider(0, longest_s, 0, step=0.1, label="Start in recording B, s", visible=False)
    start = gr.Slider(
        0, longest_s, 0, step=0.1, label="Start in the recording, s", visible=False, elem_id="pa-views-start"
    )
    bar = parts.run_bar("views", "Compare", HINT)
    mode.change(
        lambda chosen: (gr.update(visible=chosen == ONE), gr.update(visible=chosen == TWO)),
        mode,
        [views, second],
        **QUICK,
    )
    return Inputs(mode, method, panels, audio, audio_b, start, start_b), bar


def _lay_out_panel(side: str, settings: ViewSettings, preset_name: str) -> Panel:
    start, controls = settings.to_dict(), {}
    with gr.Column(min_width=300, elem_id=f"pa-views-{side.lower()}", elem_classes="pa-view"):
        gr.HTML(f"<h3>View {side}</h3>", apply_default_css=False)
        with gr.Row(equal_height=False):
            preset = gr.Dropdown([*PRESETS, OWN], value=preset_name, label="Preset", min_width=150, scale=2)
            button = gr.Button("Surprise me", size="md", min_width=110, scale=1, elem_classes="pa-surprise")
        with gr.Accordion("What changes", open=True, elem_classes="pa-changes"):
            for name, value in start.items():
                if name in CHOICES:
                    controls[name] = gr.Dropdown(list(CHOICES[name]), value=value, label=CHOICE_LABELS[name])
                elif name == "seed":
                    controls[name] = gr.Number(value, label="Seed", precision=0, minimum=0, maximum=MAX_SEED)
                else:
                    about = CONTROLS[name]
                    controls[name] = gr.Slider(about.lowest, about.highest, value, step=about.step, label=about.label)
    return Panel(preset, button, controls)


def _examples(audio: gr.Audio, audio_b: gr.Audio) -> None:
    """Buttons that choose recording B and start, and one that fills both with the same sentence in two voices."""
    files = {Path(entry["file"]).name: entry for entry in parts.read_examples()}
    if not files:
        return
    others = gr.Examples(
        [[entry["file"]] for entry in files.values()],
        [audio_b],
        example_labels=[entry["name"] for entry in files.values()],
        label="Examples for recording B",
        examples_per_page=12,
        api_visibility="private",
    )
    chosen = [others.load_input_event]
    if {*PAIR} <= {*files}:
        pair = gr.Examples(
            [[files[name]["file"] for name in PAIR]],
            [audio, audio_b],
            example_labels=["Same sentence, two voices"],
            label="Example of both recordings",
            api_visibility="private",
        )
        chosen.append(pair.load_input_event)
    for event in chosen:
        event.success(None, js=parts.START_JS, api_visibility="private")


def wire(inputs: Inputs) -> None:
    """Presets and draws set the sliders; whatever changes a slider compares again (views.js waits for a pause)."""
    changes = [inputs.method.change, inputs.start.change, inputs.start_b.change]
    for panel in inputs.panels:
        items = list(panel.controls.values())
        panel.preset.input(_preset_values, panel.preset, items, **QUICK)
        panel.surprise.click(_surprise_values, None, [*items, panel.preset], **QUICK)
        gr.on([item.input for item in items], None, None, panel.preset, js=f"() => '{OWN}'", api_visibility="private")
        changes += [item.change for item in items]
    gr.on(changes, None, js=CHANGED_JS, api_visibility="private")
    # another recording is heard from its beginning
    for recording, start in ((inputs.audio, inputs.start), (inputs.audio_b, inputs.start_b)):
        recording.change(None, None, start, js="() => 0", api_visibility="private")


def _preset_values(name: str) -> Any:
    values = list(PRESETS[name].to_dict().values()) if name in PRESETS else None
    return values or [gr.skip()] * len(ViewSettings().to_dict())


def _surprise_values() -> list[Any]:
    return [*surprise(random.randint(0, MAX_SEED)).to_dict().values(), OWN]
