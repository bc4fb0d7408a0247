"""What programs can call: a verb for what each tab does. Nothing on the page starts these events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from app import demo_archive, parts, rewriting, scoreboard
from app.archives import Archives
from app.methods import available
from app.recording_pair import align_recordings
from app.services import DEFAULT_METHODS, Services, opening
from app.stretch import cut
from app.trajectories import DEFAULT_METHODS as SWEPT
from app.trajectories import SweepSettings, sweep_one
from app.vocabulary import describe_token
from pairalign.audio import SAMPLE_RATE_HZ


def build(services: Services, audio: gr.Audio, archives: Archives) -> None:
    """Wire the public events inside the current Blocks; `audio` is the page's recording."""
    document = gr.JSON(visible=False, label="document")
    _publish_tokenize(services, audio, document)
    _publish_align(services, audio, document)
    _publish_sweep(services, audio, document)
    _publish_compare(services, audio, document)
    _publish_regenerate(services, audio, document)
    _publish_token(services, archives, document)


def _publish_tokenize(services: Services, audio: gr.Audio, document: gr.JSON) -> None:
    methods = gr.CheckboxGroup(
        list(services.methods()), value=list(DEFAULT_METHODS), visible=False, label="methods: kinds of token strings"
    )

    def tokenize(audio: str | None, methods: list[str], request: gr.Request) -> dict[str, Any]:
        """Turn one recording of speech into its token strings: PairAlign's own and those it is compared with.

        Args: audio: a recording (any common audio file), 0.1 s or longer; all of it is used. methods: kinds of strings,
        by default pairalign and vq; also viterbi (VQ smoothed) and vq_raw, and bpe, viterbi_cost and mfcc where fitted.
        Returns: checkpoint, model_sha256, device, version, options (methods, and how pairalign's string is searched
        for) and, in files[0], file, the seconds used (start_s, end_s, duration_s; recording_s is all there are) and
        strings: for each method the token ids, the text (one character per token), the times of every token in seconds,
        log_probs (of every token, natural logarithms), the token rate and what ended the string.
        """
        own = parts.of_page(services, request)
        return parts.to_the_end(lambda: own.tokenize(audio, methods, run_id=own.run("api")).to_document())

    gr.Button(visible=False).click(tokenize, [audio, methods], document, api_name="tokenize", **parts.MODEL)


def _publish_align(services: Services, audio: gr.Audio, document: gr.JSON) -> None:
    other = gr.Audio(type="filepath", visible=False, label="audio_b: the second recording")
    method = gr.Textbox("pairalign", visible=False, label="method: the kind of strings that are compared")

    def align(audio: str | None, audio_b: str | None, method: str, request: gr.Request) -> dict[str, Any]:
        """Align the token strings of two recordings of speech as they are: all of both, nothing changed.

        Args: audio: a recording (any common audio file). audio_b: another one. method: the kind of strings, by default
        pairalign; vq, viterbi, vq_raw, and bpe, viterbi_cost and mfcc where fitted.
        Returns: checkpoint, model_sha256, device, version, options, recordings (of a and b: file and seconds used as in
        tokenize), the strings a and b, distance (edits), normalized (by the longer string) and edits (op, a, b).
        """
        own = parts.of_page(services, request)
        return parts.to_the_end(lambda: align_recordings(own, audio, audio_b, method, own.run("api")).to_document())

    gr.Button(visible=False).click(align, [audio, other, method], document, api_name="align", **parts.MODEL)


def _publish_sweep(services: Services, audio: gr.Audio, document: gr.JSON) -> None:
    kind = gr.Textbox("shift", visible=False, label="kind: shift, snr, speed or warp")
    stop = gr.Number(None, visible=False, label="stop: the last value; by default the usual one of the kind")
    step = gr.Number(
        None, visible=False, label="step: the distance of the values; by default the usual one of the kind"
    )
    start = gr.Number(0, visible=False, label="start_s: where the window begins")
    known = list(services.methods())
    chosen = gr.CheckboxGroup(known, value=list(SWEPT), visible=False, label="methods: kinds of token strings")

    def sweep(
        request: gr.Request,
        audio: str | None,
        kind: str,
        stop: float | None = None,
        step: float | None = None,
        start_s: float = 0.0,
        methods: Sequence[str] = SWEPT,
    ) -> dict[str, Any]:
        """Change a recording step by step and tell how far its token string moves at every step.

        Args: audio: a recording (any common audio file). kind: shift (the window starts later; ms), snr (noise; dB,
        from 40 down), speed (factor, from 1), warp (vocal tract; factor, from 1). stop: the last value. step: the
        distance of the values; both by default those of the kind. start_s: where the window of 3 s begins, which is
        shorter where the recording has no room for it. methods: any of pairalign, vq, viterbi, vq_raw, bpe …
        Returns: checkpoint, model_sha256, device, version, options, file, the seconds used by all windows together (as
        in tokenize), kind, unit, values, window_s and, for each method, along the values: distance_to_origin,
        step_distance (edits per token of the longer string), lengths, strings (ids, text, times), and statistics of the
        whole path.
        """
        own, settings = parts.of_page(services, request), SweepSettings(kind, stop, step, start_s or 0.0, methods)
        return parts.to_the_end(lambda: sweep_one(own, audio, settings, run_id=own.run("api")).to_document())

    inputs = [audio, kind, stop, step, start, chosen]
    gr.Button(visible=False).click(sweep, inputs, document, api_name="sweep", **parts.MODEL)


def _publish_compare(services: Services, audio: gr.Audio, document: gr.JSON) -> None:
    known = available(services)
    usual = [name for name in known if name != "vq_raw"]  # VQ before its repeats are collapsed
    chosen = gr.CheckboxGroup(list(known), value=usual, visible=False, label="methods: kinds of token strings")
    examples = gr.Checkbox(True, visible=False, label="examples: whether to add the shipped examples")
    more = gr.File(visible=False, file_count="multiple", label="files: more recordings")

    def compare(
        request: gr.Request,
        audio: str | None = None,
        methods: Sequence[str] = (),
        examples: bool = True,
        files: list[str] | None = None,
    ) -> dict[str, Any]:
        """Compare token methods on a few recordings: how much each writes, and how much of it changes with the sound.

        Args: audio: a recording, or none. methods: any of pairalign, vq, viterbi, viterbi_cost, bpe, mfcc, vq_raw; by
        default all but the last. examples: whether to add the shipped examples, by default so. files: more recordings,
        or none. Of each recording the loudest 3 s are used.
        Returns: checkpoint, model_sha256, device, version, options, recordings (file and seconds used as in tokenize;
        the version that is shifted ends 50 ms later), left_out, and for each method tokens_per_s, bits_per_s, tokens,
        vocab_used, ned_pair (edits per token between two strong views of a recording), ned_random (between different
        recordings), separation, and change_shift, change_speed, change_warp, change_noise, change_room,
        change_telephone (edits per token between a recording and its changed version); null where recordings are too
        few.
        """
        own, sources = parts.of_page(services, request), parts.sources(audio, examples, files)
        return parts.to_the_end(lambda: scoreboard.compare(own, sources, methods, run_id=own.run("api")).to_document())

    gr.Button(visible=False).click(
        compare, [audio, chosen, examples, more], document, api_name="compare", **parts.MODEL
    )


def _publish_regenerate(services: Services, audio: gr.Audio, document: gr.JSON) -> None:
    numbers = [
        gr.Number(0, precision=0, visible=False, label="wanted_tokens: how many, 0 for as many as it takes"),
        gr.Number(4, precision=0, visible=False, label="beam: 1 (greedy) to 16, not used above temperature 0"),
        gr.Number(0, visible=False, label="temperature: 0 for the most likely string, above 0 it is drawn"),
        gr.Number(0, precision=0, visible=False, label="seed: which string is drawn"),
        gr.Number(0, visible=False, label="start_s: where the seconds begin that are written again"),
    ]

    def regenerate(
        audio: str | None,
        wanted_tokens: int,
        beam: int,
        temperature: float,
        seed: int,
        start_s: float,
        request: gr.Request,
    ) -> dict[str, Any]:
        """Write PairAlign's string of a recording again, with another length or search, and tell what that costs.

        Args: audio: a recording. wanted_tokens: how many tokens to write, 0 for as many as it takes. beam: 1 (greedy)
        to 16. temperature: 0 for the most likely string, above 0 the tokens are drawn, without beam. seed: which string
        is drawn. start_s: where to begin; of more than 3.4 s from there on the first 3 s are used.
        Returns: checkpoint, model_sha256, device, version, file, the seconds used (as in tokenize), heard_s (their
        duration), options, then original and rewritten, each a string as in tokenize with log_p_per_token and
        log_p_total (nat, the end of the string counted) under this audio, cost_nat_per_token (how much less likely the
        new string is) and edits (unit edit distance).
        """
        own = parts.of_page(services, request)

        def work() -> dict[str, Any]:
            options = rewriting.options_of(wanted_tokens, beam, temperature, seed)
            wave = own.read(audio)
            used = opening(cut(wave, str(audio), start_s)[0])
            used, stretch = cut(wave, str(audio), start_s, len(used) / SAMPLE_RATE_HZ)
            again = rewriting.rewrite_opening(own, used, options)
            return own.model_info().to_document() | stretch.to_document() | again.to_document()

        return parts.to_the_end(work)

    gr.Button(visible=False).click(regenerate, [audio, *numbers], document, api_name="regenerate", **parts.MODEL)


def _publish_token(services: Services, archives: Archives, document: gr.JSON) -> None:
    number = gr.Number(0, visible=False, label="token: its id, from 0")
    archive = gr.Textbox(
        demo_archive.NAME, visible=False, label="archive: where it is counted; demo is the shipped one"
    )
    nearest = gr.Number(5, visible=False, label="nearest: how many of the codes that are most like it")

    def token(token: float, archive: str, nearest: float, request: gr.Request) -> dict[str, Any]:
        """Tell about one token of the vocabulary: its glyph, the codes nearest to it, how often an archive holds it.

        Args: token: its id, from 0. archive: a name, demo by default. nearest: how many neighbours, 5 by default.
        Returns: checkpoint, model_sha256, device, version, options, id, glyph, vocab_size, nearest (id, glyph and
        cosine of the code vectors, the most similar first), and occurrences: for each kind of strings of the archive
        that is made of codes, count, tokens (of the archive) and share.
        """
        own = parts.of_page(services, request)
        return parts.to_the_end(lambda: describe_token(own, archives, token, archive, nearest))

    gr.Button(visible=False).click(token, [number, archive, nearest], document, api_name="token", **parts.MODEL)
