"""The Archive tab: recordings kept as strings, searched by edit distance."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app import archive_figures, archive_words, demo_archive, parts
from app.archive_search import (
    Found,
    Options,
    WarmUp,
    hit_clip,
    part_of,
    search_audio,
    search_text,
)
from app.archives import Archives
from app.methods import LOOKS
from app.parts import PRIVATE
from app.runs import Cancelled, Report
from app.services import Services
from app.tabs import archive_adding, archive_api, archive_query, runs
from app.tabs.archive_query import Query
from app.tokens import model_mark_html
from app.typed_tokens import written
from pairalign.archive.record import ArchiveInfo
from pairalign.archive.report import Progress
from pairalign.errors import PairAlignError

PROGRESS = gr.Progress()
KEPT_S = 3_600  # the kinds of strings can be switched for that long
GONE = "This search is no longer kept on the server. Press Search again."
TAKEN_JS = "(name) => [name, window.PairAlign.handed()]"  # archive.js
# a typed string is looked for without the recording, a recording without the string
SEARCHED_JS = """(audio, name, source, text, mode, start, length) =>
  [name, mode, ...(source === 'text' ? [text] : [audio, start, length])]"""


@dataclass(frozen=True)
class _Opened:
    """What tells about the open archive, in the order of what `_shower` answers."""

    name: gr.Dropdown
    cards: gr.HTML
    totals: gr.HTML
    plot: gr.Plot
    frequent: gr.HTML


@dataclass(frozen=True)
class _Output:
    """What shows hits."""

    empty: gr.HTML
    filled: gr.Column
    summary: gr.HTML
    hits: gr.HTML
    plot: gr.Plot
    distances: gr.HTML

    @property
    def drawn(self) -> list[Any]:
        """Outputs of `_draw`."""
        return [self.empty, self.filled, self.summary, self.hits]

    @property
    def spread(self) -> list[Any]:
        """Outputs of `_spread`."""
        return [self.plot, self.distances]


def build(services: Services, audio: gr.Audio, tab: gr.Tab, archives: Archives) -> None:
    """Lay out `tab` inside the current Blocks and wire its events; `audio` is the page's recording."""
    warm = WarmUp()
    opened = _lay_out_archive(archives)
    adding = archive_adding.build(services, archives, opened.name)
    query = archive_query.lay_out()
    bar = parts.run_bar("archive", "Search")
    method = _lay_out_method()
    with gr.Column(elem_id="pa-archive-results", elem_classes="pa-results"):
        out = _lay_out_output()
    result = gr.State(None, time_to_live=KEPT_S)
    show, shown = _shower(services, archives, warm), [*vars(opened).values(), method]
    opening = {"show_progress_on": opened.cards, "concurrency_id": "archive", "api_visibility": "private"}
    for event in (tab.select, opened.name.input, *(added.success for added in adding)):
        event(show, [opened.name, method], shown, **opening)
    inputs = [audio, opened.name, method, *vars(query).values()]
    search, drawn = _searcher(services, archives, warm), [result, *out.drawn]
    wiring = {"show_progress_on": bar.status, "api_visibility": "private", **parts.MODEL}
    handed = _hand_over(services, archives, opened, query, method)
    sources = [audio, opened.name, query.source, query.text, query.mode, query.start, query.length]
    runs.watch("archive", bar.start, sources, SEARCHED_JS)
    runs.begins("archive", handed, sources, SEARCHED_JS)
    searched = [bar.start.click(search, inputs, drawn, **wiring), handed.success(search, inputs, drawn, **wiring)]
    switched = method.input(_switch, [result, method], out.drawn, **PRIVATE)
    for one in (*searched, switched):
        one.success(_spreader(services, archives), [result, method], out.spread, **PRIVATE)
    for one in searched:
        runs.ends("archive", one)
    for added in adding:
        runs.outdated("archive", added)
    runs.stops(parts.wire_stop(services, bar, searched), "archive")
    archive_query.wire(audio, query, services.limits)
    archive_api.build(services, archives, audio)


def _lay_out_archive(archives: Archives) -> _Opened:
    local = not archives.refusal
    hint = "The demo, one of your own, or the path of an archive file (.db)." if local else "The demo."
    name = gr.Dropdown(
        archives.names(),
        value=demo_archive.NAME,
        allow_custom_value=local,
        label="Archive",
        info=hint,
        elem_id="pa-archive-name",
    )
    cards = gr.HTML(archive_words.CLOSED_HTML, apply_default_css=False, elem_id="pa-archive-info", min_height=60)
    with gr.Accordion("More about this archive", open=False):
        totals = gr.HTML(apply_default_css=False)
        plot = parts.plot("pa-archive-vocabulary", "How often each token occurs")
        with gr.Accordion("Chart as a table", open=False):
            frequent = gr.HTML(apply_default_css=False)
    return _Opened(name, cards, totals, plot, frequent)


def _lay_out_method() -> gr.Radio:
    return gr.Radio(
        [(LOOKS[name].label, name) for name in ("pairalign", "vq")],
        value="pairalign",
        label="Strings",
        info="What is compared. Switch after a search to see what the others found; a typed string is of this kind.",
        elem_id="pa-archive-method",
    )


def _lay_out_output() -> _Output:
    empty = gr.HTML(archive_words.EMPTY_HTML, apply_default_css=False)
    with gr.Column(visible=False) as filled:
        summary = gr.HTML(apply_default_css=False, elem_id="pa-archive-summary")
        hits = gr.HTML(apply_default_css=False, elem_id="pa-archive-hits")
        plot = parts.plot("pa-archive-distances", "Distances of everything in the archive to the query")
        with gr.Accordion("Chart as a table", open=False):
            distances = gr.HTML(apply_default_css=False)
    return _Output(empty, filled, summary, hits, plot, distances)


def _shower(services: Services, archives: Archives, warm: WarmUp) -> Callable[..., tuple[Any, ...]]:
    """What opens an archive and tells about it; the search is compiled meanwhile."""

    def show(name: str, method: str, request: gr.Request, progress: gr.Progress = PROGRESS) -> tuple[Any, ...]:
        def told(done: Progress) -> None:
            progress(
                (done.files_done, done.files), desc="Indexing the demo archive with this model, once", unit="files"
            )

        own = archives.of(parts.of_page(services, request))

        def look() -> tuple[ArchiveInfo, int]:
            archive = own.open(name, told)
            if archive.needs_compiling():
                warm.start()
            return archive.info(), len(archive.missing())

        try:
            info, missing = parts.readably(look)
        except gr.Error as error:  # shown in place of the figures, which would be another archive's
            closed = archive_words.closed_html(str(name), html.unescape(error.message))
            return gr.update(choices=archives.names()), closed, "", None, "", gr.skip()
        return (
            gr.update(choices=archives.names()),
            archive_words.info_html(info, name, missing),
            archive_words.totals_table_html(info),
            archive_figures.vocabulary_figure(info) if info.recordings else None,
            archive_words.frequent_table_html(info),
            kinds(list(info.methods) or ["pairalign", "vq"], method),
        )

    return show


def kinds(methods: list[str], chosen: str) -> dict[str, Any]:
    """The update of the choice between kinds of strings when an archive that keeps `methods` was opened.

    The value is left alone where it can be: tokens of another kind may have been handed over meanwhile.
    """
    value = {} if chosen in methods else {"value": methods[0]}
    return gr.update(choices=[(LOOKS[one].label, one) for one in methods], **value)


def _searcher(services: Services, archives: Archives, warm: WarmUp) -> Callable[..., tuple[Any, ...]]:
    """What Search does: values for the state and `_Output.drawn`."""

    def search(
        audio: str | None,
        name: str,
        method: str,
        source: str,
        start_s: float,
        length_s: float,
        text: str,
        mode: str,
        top: int,
        pattern: str,
        request: gr.Request,
        progress: gr.Progress = PROGRESS,
    ) -> tuple[Any, ...]:
        options, own, doing = Options(mode, top, pattern), parts.of_page(services, request), ["Searching"]
        opened = archives.of(own)
        report = Report(progress, lambda: doing[-1])

        def work() -> Found:
            with own.running(own.run("archive"), report) as check:
                if opened.open(name).needs_compiling() and not warm.ready:
                    doing.append("Compiling the search for large archives (once, about 10 s)")
                    warm.wait(check)
                    doing.append("Searching")
                if source == "text":
                    return search_text(opened, name, text, method, options)
                wave = part_of(own.read(audio), start_s, length_s)
                return search_audio(opened, name, wave, (), options, check)

        try:
            found = parts.readably(work)
        except Cancelled:
            return (gr.skip(),) * 5  # the old result stays
        return found, *_draw(found, method)

    return search


def _draw(found: Found, method: str) -> tuple[Any, ...]:
    """Values for `_Output.drawn`."""
    method = method if method in found.answers else next(iter(found.answers))
    clips = [hit_clip(hit) for hit in found.answers[method].hits]
    return (
        gr.update(visible=False),
        gr.update(visible=True),
        archive_words.found_html(found, method) + model_mark_html(found.answers[method].query.model_sha256),
        archive_words.hits_html(found, method, clips),
    )


def _switch(found: Found | None, method: str) -> tuple[Any, ...]:
    """The hits of another kind of string, where the last search has them."""
    if found is None or method not in found.answers:
        return (gr.skip(),) * 4
    return _draw(found, method)


def _spreader(services: Services, archives: Archives) -> Callable[..., tuple[Any, ...]]:
    """What counts all distances, after the hits are there: it takes longer than the search."""

    def spread(found: Found | None, method: str, request: gr.Request) -> tuple[Any, ...]:
        if found is None or method not in found.answers:
            return gr.skip(), gr.skip()
        answer = found.answers[method]
        mode, own = answer.mode, archives.of(services.of(parts.run_id(request)))
        counts = parts.readably(lambda: own.open(found.archive).distance_counts(answer.query, mode))
        last = max((hit.distance for hit in answer.hits), default=None)
        return (
            archive_figures.distances_figure(counts, mode, method, last),
            archive_words.distances_table_html(counts, mode, last),
        )

    return spread


def _hand_over(services: Services, archives: Archives, opened: _Opened, query: Query, method: gr.Radio) -> Any:
    """Take tokens that were selected in the Tokenize tab; the page's script presses the hidden button."""
    handed = gr.Textbox(visible="hidden", label="handed over")
    button = gr.Button(visible="hidden", elem_id="pa-archive-take")

    def take(name: str, handed: str, request: gr.Request) -> tuple[Any, ...]:
        own = archives.of(parts.of_page(services, request))

        def work() -> tuple[Any, ...]:
            kind, _, text = str(handed).partition(" ")
            kept = own.open(name).methods
            if kind not in kept:
                raise PairAlignError(f"This archive keeps no such strings; it has {', '.join(kept)}.")
            return "text", gr.update(value=written(text), visible=True), "contains", kind

        return parts.readably(work)

    taken = [query.source, query.text, query.mode, method]
    return button.click(
        take, [opened.name, handed], taken, js=TAKEN_JS, show_progress="hidden", api_visibility="private"
    )
