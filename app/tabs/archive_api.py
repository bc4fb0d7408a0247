"""What programs can ask an archive: search and totals. Nothing on the page starts these events."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app import demo_archive, parts
from app.archive_search import LONGEST_QUERY_S, Options, search_audio, search_text
from app.archives import Archives, figures_of
from app.services import Services
from app.stretch import cut


def build(services: Services, archives: Archives, audio: gr.Audio) -> None:
    """Wire the public events inside the current Blocks; `audio` is the page's recording."""
    document = gr.JSON(visible=False, label="document")
    name = gr.Textbox(demo_archive.NAME, visible=False, label="archive: its name; demo is the shipped one")
    text = gr.Textbox("", visible=False, label="tokens: a token string to search for instead of audio")
    mode = gr.Textbox("contains", visible=False, label="mode: contains, whole or auto")
    method = gr.Textbox("pairalign", visible=False, label="method: the kind of strings that are compared")
    top = gr.Number(10, precision=0, visible=False, label="top: how many hits")
    pattern = gr.Textbox("", visible=False, label="recordings: a part of the path, or a pattern with *; empty for all")
    start = gr.Number(0, visible=False, label="start_s: where the part begins that is searched for")
    length = gr.Number(0, visible=False, label="length_s: how long that part is, 0 for all from there on")

    def archive_search(
        audio: str | None,
        tokens: str,
        archive: str,
        mode: str,
        method: str,
        top: int,
        recordings: str,
        start_s: float,
        length_s: float,
        request: gr.Request,
    ) -> dict[str, Any]:
        """Search an archive for what sounds like a recording, or for a token string, by edit distance.

        Args: audio: a recording; all of it is searched for, or the part from start_s on that lasts length_s; 30 s at
        most. tokens: a token string (one character per token) to search for instead. archive: a name, demo by default.
        mode: contains (the nearest stretch of each recording), whole (windows of about 3 s) or auto (whole for what
        fits a window). method: pairalign or vq, or what else the archive keeps. top: 1 to 30 hits. recordings: a part
        of the path, or with a * a pattern such as *talks/*.wav; empty for all.
        Returns: checkpoint, model_sha256, device, version, options, file, the seconds that were searched for (as in
        tokenize), archive, mode, method, query (a string as in tokenize), hits (file, start_s, end_s, distance in
        edits, normalized by the longer string, and missing where the file is gone), searched_windows and elapsed_ms.
        """
        own = parts.of_page(services, request)
        opened = archives.of(own)

        def work() -> dict[str, Any]:
            options = Options(mode, top, recordings)
            given: dict[str, Any] = {"mode": mode, "method": method, "top": top, "recordings": recordings}
            begin = own.model_info().to_document() | {"options": given}
            if tokens.strip():
                return begin | search_text(opened, archive, tokens, method, options).to_document(method)
            part, stretch = cut(own.read(audio), str(audio), start_s, length_s, LONGEST_QUERY_S)
            found = search_audio(opened, archive, part, (method,), options, lambda _: None)
            return begin | stretch.to_document() | found.to_document(method)

        return parts.to_the_end(work)

    def archive_info(archive: str, request: gr.Request) -> dict[str, Any]:
        """Tell what an archive holds: recordings, seconds, and for each kind of string its windows and tokens.

        Args: archive: a name, demo by default. Returns: checkpoint, model_sha256, device, version, archive,
        recordings, seconds, size_bytes, saving_against_vq (share of tokens) and methods: windows, tokens, vocab_size,
        vocab_used by method.
        """
        own = parts.of_page(services, request)

        def work() -> dict[str, Any]:
            figures = figures_of(archives.of(own).open(archive).info())
            return own.model_info().to_document() | {"archive": archive} | figures

        return parts.to_the_end(work)

    inputs = [audio, text, name, mode, method, top, pattern, start, length]
    gr.Button(visible=False).click(archive_search, inputs, document, api_name="archive_search", **parts.MODEL)
    gr.Button(visible=False).click(archive_info, name, document, api_name="archive_info", **parts.MODEL)
