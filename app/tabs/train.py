"""The Train tab: fine-tune a checkpoint on one's own recordings, and record a class for it."""

from __future__ import annotations

import os

import gradio as gr

from app import train_words
from app.archives import Archives
from app.class_recordings import ClassRecordings
from app.services import Services
from app.tabs import class_panel, finetune_panel, run_panel
from app.training_runs import TrainingRuns

REFUSAL = (
    "Strangers can open this page, so it neither trains nor records: that would use the time and the disk of this "
    "computer for anybody. Start PairAlign on your own computer (pip install -r requirements.txt && python app.py), or "
    "train from a terminal: python -m pairalign finetune --manifest my_recordings/ --name my-voice"
)


def refusal(services: Services) -> str:
    """Why nothing can be trained or recorded here; "" where it can."""
    return REFUSAL if services.public or "SPACE_ID" in os.environ else ""


def build(
    services: Services, audio: gr.Audio, checkpoint: gr.Dropdown | None, archives: Archives, page: gr.Blocks
) -> None:
    """Lay out the tab inside the current Blocks; `audio` is the page's recording, `checkpoint` the header's choice."""
    reason = refusal(services)
    if reason or checkpoint is None:
        gr.HTML(train_words.refusal_html(reason or REFUSAL), apply_default_css=False, elem_id="pa-train-refusal")
        return
    runs, classes = TrainingRuns(reason), ClassRecordings(reason)
    with gr.Tabs(elem_id="pa-train-tabs") as tabs:
        with gr.Tab("Fine-tune", id="finetune"):
            with gr.Row(equal_height=False):
                with gr.Column(scale=2, min_width=300):
                    form = finetune_panel.lay_out(classes, archives)
                with gr.Column(scale=3, min_width=320):
                    view = run_panel.build(services, runs, checkpoint, page)
        with gr.Tab("Record a class", id="class"):
            class_panel.build(services, classes, tabs, form, page)
    finetune_panel.wire(runs, classes, archives, form, view, audio, page)
