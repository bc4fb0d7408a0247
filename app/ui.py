"""Assembles the page: header, model card, tabs, theme, assets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from app import parts
from app.archives import Archives
from app.live import LiveStreams
from app.services import Services
from app.tabs import archive, card_saving, compare, learn, live, model_choice, sweep, tokenize, train, views
from app.uploads import KEPT_S

ASSETS = Path(__file__).resolve().parent / "assets"
CACHE_CHECK_S = 600  # how often uploads that have become too old are removed
# fonts of the system: a page that works offline must not wait for a font server
SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "DejaVu Sans", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "DejaVu Sans Mono", "monospace")


def build(services: Services) -> gr.Blocks:
    """The whole page. Loads the checkpoint, because the header tells about it."""
    archives = Archives(services)
    parts.serve_examples()
    with gr.Blocks(title="PairAlign", analytics_enabled=False, delete_cache=(CACHE_CHECK_S, KEPT_S)) as page:
        checkpoint = model_choice.build(services, page)
        card_saving.build(services)
        audio = parts.recording(services)
        controls = {}
        with gr.Tabs(elem_id="pa-tabs") as tabs:
            with gr.Tab("Tokenize", id="tokenize", elem_classes="pa-tab"):
                tokenize.build(services, audio, archives)
            with gr.Tab("Live", id="live", elem_classes="pa-tab"):
                streams = live.build(services, audio)
            with gr.Tab("Views", id="views", elem_classes="pa-tab"):
                controls["views"] = views.build(services, audio)
            with gr.Tab("Sweep", id="sweep", elem_classes="pa-tab"):
                controls["sweep"] = sweep.build(services, audio, archives)
            with gr.Tab("Compare", id="compare", elem_classes="pa-tab"):
                compare.build(services, audio)
            with gr.Tab("Archive", id="archive", elem_classes="pa-tab") as tab:
                archive.build(services, audio, tab, archives)
            with gr.Tab("Train", id="train", elem_classes="pa-tab"):
                train.build(services, audio, checkpoint, archives, page)
            with gr.Tab("Learn", id="learn", elem_classes="pa-tab"):
                learn.build(services, audio, tabs, controls)
        page.unload(_leaver(services, streams))
    page.queue(max_size=32)
    return page


def _leaver(services: Services, streams: LiveStreams) -> Callable[[gr.Request], None]:
    def leave(request: gr.Request) -> None:
        """The page was closed or loaded again: what it left at work ends."""
        services.of(parts.run_id(request)).leave()
        streams.leave(parts.run_id(request))

    return leave


def theme() -> gr.themes.Base:
    """Calm neutral surfaces, one accent; fonts that are already on the machine."""
    base = gr.themes.Base(
        primary_hue=gr.themes.colors.indigo,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_lg,
        font=SANS,
        font_mono=MONO,
    )
    return base.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        # Gradio's own grey for small text is too light for WCAG AA
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_width="1px",
        button_large_radius="*radius_lg",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_700",
        button_primary_text_color="white",
    )


def launch_options(services: Services) -> dict[str, Any]:
    """What `launch()` needs besides host, port and share."""
    # page.js and page.css are what all tabs share; a tab's own come after them
    scripts, styles = (
        "\n".join(path.read_text(encoding="utf-8") for path in (ASSETS / f"page.{kind}", *_own(kind)))
        for kind in ("js", "css")
    )
    return {
        "theme": theme(),
        "css": styles,
        "head": f"<script>{scripts}</script>",
        "allowed_paths": [],
        "max_file_size": f"{services.allowed.upload_mb}mb",
        "footer_links": ["api", "settings"],
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
    }


def _own(kind: str) -> list[Path]:
    return sorted(path for path in ASSETS.glob(f"*.{kind}") if path.stem != "page")
