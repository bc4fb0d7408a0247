"""Draw the figures of docs/how-it-works.md from the shipped checkpoint and recordings: python -m scripts.make_figures

Everything drawn is computed; the same versions give the same bytes. White ground, so that they read on dark pages too.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import pairalign
from app.colours import token_colour
from app.methods import LOOKS
from app.services import mel_image, wave_envelope
from app.view_settings import PRESETS
from pairalign.audio import SAMPLE_RATE_HZ, read_audio, write_audio
from pairalign.likelihood import attention_map
from pairalign.strings import TokenString, glyph
from pairalign.sweeps.sweep import sweep_methods
from pairalign.views import make_view
from scripts.take_screenshots import shrink

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "app" / "examples"
WIDTH_IN, DPI = 9.0, 110
INK, PALE = "#1f2430", "#9aa3b2"
MARKS = {"match": ("#4f46e5", "-"), "sub": ("#d97706", ":")}
STYLE = {
    "font.family": "DejaVu Sans",  # ships with matplotlib, and has the glyphs of all 512 tokens
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": PALE,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw_tokens(tokenizer: pairalign.Tokenizer, plt: Any) -> Any:
    """Log-mel of a recording over its VQ, Viterbi and PairAlign strings, on one time axis."""
    wave = read_audio(EXAMPLES / "harbour_a.ogg")
    methods = ("vq", "viterbi", "pairalign")
    strings = [tokenizer.tokenize(wave, method) for method in methods]
    figure, (top, below) = plt.subplots(2, 1, figsize=(WIDTH_IN, 3.6), sharex=True, height_ratios=(1.5, 1))
    mel = mel_image(wave)
    seconds = mel.values.shape[1] * mel.step_s
    top.imshow(
        mel.values, origin="lower", aspect="auto", cmap="viridis", interpolation="nearest", extent=(0, seconds, 0, 80)
    )
    top.set_ylabel("mel band")
    for row, string in enumerate(reversed(strings)):
        draw_lane(below, string, row, "" if string.method == "vq" else "glyphs")
    names = [f"{LOOKS[one.method].label}, {len(one)}" for one in reversed(strings)]
    bare(below, "seconds", range(len(names)), names)
    return figure


def draw_views(tokenizer: pairalign.Tokenizer, plt: Any) -> Any:
    """A recording and a distorted view of it: their strings, joined where they agree."""
    wave = read_audio(EXAMPLES / "harbour_a.ogg")
    heard, warp = view_of(wave, "Strong")
    a, b = tokenizer.tokenize_batch([wave, heard], warps=[1.0, warp])
    figure, rows = plt.subplots(3, 1, figsize=(WIDTH_IN, 3.4), sharex=True, height_ratios=(1, 2.2, 1))
    for row, sound in ((rows[0], wave), (rows[2], heard)):
        envelope = wave_envelope(sound, 600)
        row.fill_between(envelope.times_s, envelope.low, envelope.high, color="#6b7ff0", linewidth=0.3)
        row.axis("off")
    draw_lane(rows[1], a, 2.0, "glyphs")
    draw_lane(rows[1], b, 0.0, "glyphs")
    found = pairalign.align(a, b)
    for edit in found.edits:
        if edit.op in MARKS:
            colour, dash = MARKS[edit.op]
            ends = [middle(a, edit.a), middle(b, edit.b)]
            rows[1].plot(ends, [1.6, 0.4], color=colour, linestyle=dash, linewidth=1.2)
    bare(rows[1], "", (0, 2), (f"distorted, {len(b)}", f"as recorded, {len(a)}"))
    rows[1].set_xticks([])
    rows[1].spines["bottom"].set_visible(False)
    figure.suptitle(
        f"{found.distance} edits, {found.normalized:.2f} of the longer string: solid lines are matches, dotted ones "
        "substitutions",
        fontsize=9,
    )
    return figure


def draw_sweep(tokenizer: pairalign.Tokenizer, plt: Any) -> Any:
    """How far the strings of a sliding window are from the first one on average, and what the audio explains of it."""
    waves = [read_audio(path) for path in sorted(EXAMPLES.glob("*.ogg"))]
    found = sweep_methods(tokenizer, waves, "shift", 100, 5, ("pairalign", "vq", "viterbi"), window_s=2.5)
    figure, axes = plt.subplots(figsize=(WIDTH_IN, 3.0))
    for method, paths in found.items():
        look = LOOKS[method]
        style = {"solid": "-", "dash": "--", "dot": ":"}[look.dash] + {"circle": "o", "square": "s"}.get(
            look.marker, "D"
        )
        mean = np.mean([path.distance_to_origin for path in paths], axis=0)
        axes.plot(paths[0].values, mean, style, markersize=3.5, color=look.colour, label=look.label)
    axes.plot(paths[0].values, paths[0].content_floor, color=INK, linewidth=1, label="what the audio itself explains")
    axes.set(xlabel="the window starts later by, ms", ylabel="distance to the first string", ylim=(0, None))
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def draw_attention(tokenizer: pairalign.Tokenizer, plt: Any) -> Any:
    """Where the decoder looks while it writes each token, and where timing recovery puts the token."""
    wave = read_audio(EXAMPLES / "harbour_a.ogg")
    string = tokenizer.tokenize(wave)
    found = attention_map(tokenizer, wave, string)
    weights = found.weights[:-1]  # the last row is EOS
    figure, axes = plt.subplots(figsize=(WIDTH_IN, 3.8))
    extent = (0, weights.shape[1] * found.frame_s, len(weights) - 0.5, -0.5)
    axes.imshow(
        weights, aspect="auto", cmap="Blues", extent=extent, interpolation="nearest", vmax=np.quantile(weights, 0.995)
    )
    for row, (start, end) in enumerate(string.spans_s):
        axes.plot([start, end], [row, row], color="#d97706", linewidth=1.6)
    axes.set(xlabel="seconds", ylabel="token")
    axes.set_yticks(range(0, len(string), 3), [glyph(token) for token in string.ids[::3]])
    return figure


def draw_search(tokenizer: pairalign.Tokenizer, plt: Any) -> Any:
    """A distorted piece of a recording is searched for: the nearest stretch of every recording, and its distance."""
    wave = read_audio(EXAMPLES / "garden_last.ogg")
    piece = wave[round(0.8 * SAMPLE_RATE_HZ) : round(2.3 * SAMPLE_RATE_HZ)]
    heard, warp = view_of(piece, "Mild")
    (query,) = tokenizer.tokenize_batch([heard], warps=[warp])
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted(EXAMPLES.glob("*.ogg")):
            write_audio(Path(folder) / f"{path.stem}.wav", read_audio(path))
        with pairalign.Archive.open(Path(folder) / "figure.db", tokenizer, ("pairalign",)) as archive:
            archive.add_folder(folder, workers=1)
            hits = archive.search(query, mode="contains")
            whole = {hit.path.stem: archive.string(hit.recording_id) for hit in hits}
    figure, axes = plt.subplots(figsize=(WIDTH_IN, 3.8))
    draw_lane(axes, query, len(hits) + 0.4, "glyphs")
    names = []
    for row, hit in enumerate(reversed(hits)):
        string = whole[hit.path.stem]
        draw_lane(axes, string, row, "glyphs", inside=(hit.start_s, hit.end_s))
        axes.text(string.duration_s + 0.06, row, f"{hit.distance} edits", va="center", fontsize=8)
        names.append(f"{len(hits) - row}. {hit.path.stem}")
    bare(axes, "seconds", [*range(len(names)), len(hits) + 0.4], [*names, "searched for"])
    return figure


def view_of(wave: np.ndarray, preset: str) -> tuple[np.ndarray, float]:
    """A wave (T,) as a preset of the page changes it, and the vocal-tract factor, which is for the tokenizer."""
    import torch

    settings = PRESETS[preset]
    batch, lengths = torch.from_numpy(wave.copy())[None], torch.tensor([len(wave)])
    return make_view(batch, lengths, settings.parameters(), settings.generator()).wave[0].numpy(), settings.warp


def draw_lane(axes: Any, string: TokenString, row: float, what: str, inside: tuple[float, float] = (0.0, 1e9)) -> None:
    """A string as a row of boxes in the colours of the page, pale outside of the seconds `inside`, with its glyphs."""
    for k, (token, (start, end)) in enumerate(zip(string.ids, string.spans_s, strict=True)):
        shown = inside[0] <= middle(string, k) <= inside[1]
        colour = token_colour(token) if shown else "#e9ebf0"
        axes.barh(row, end - start, left=start, height=0.72, color=colour, edgecolor="white", linewidth=0.6)
        if what == "glyphs" and end - start > 0.03:
            ink = INK if shown else PALE
            axes.text(middle(string, k), row, glyph(token), ha="center", va="center", fontsize=7, color=ink)


def middle(string: TokenString, k: int) -> float:
    """Middle of a token, seconds."""
    return sum(string.spans_s[k]) / 2


def bare(axes: Any, xlabel: str, ticks: Any, names: Any) -> None:
    """Rows with names instead of a vertical axis."""
    axes.set_yticks(list(ticks), list(names))
    axes.tick_params(left=False)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(xlabel)
    axes.set_xlim(left=0)


FIGURES: dict[str, Callable[[pairalign.Tokenizer, Any], Any]] = {
    "tokens": draw_tokens,
    "views": draw_views,
    "sweep": draw_sweep,
    "attention": draw_attention,
    "search": draw_search,
}


def make(tokenizer: pairalign.Tokenizer, out: Path, names: list[str]) -> list[Path]:
    """Draw the figures of these names into a folder."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    out.mkdir(parents=True, exist_ok=True)
    written = []
    with matplotlib.rc_context(STYLE):
        for name in names:
            figure = FIGURES[name](tokenizer, plt)
            written.append(out / f"{name}.png")
            figure.savefig(written[-1], dpi=DPI, bbox_inches="tight", facecolor="white", metadata={"Software": None})
            plt.close(figure)
            shrink(written[-1])
    return written


def main() -> None:
    """Draw all figures, or some of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "figures")
    parser.add_argument("--checkpoint", default="base")
    parser.add_argument("--only", nargs="*", choices=list(FIGURES), default=list(FIGURES))
    options = parser.parse_args()
    for path in make(pairalign.load(options.checkpoint, "cpu"), options.out, options.only):
        print(f"{os.path.relpath(path)}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
