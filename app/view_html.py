"""A compared pair -> HTML: what each side is, and which string is likely under which recording. Escaped here."""

from __future__ import annotations

from html import escape

import numpy as np

from app.view_pair import CrossLikelihood, Side, ViewPair

EMPTY_HTML = (
    '<div class="pa-empty"><p class="pa-empty-title">Nothing compared yet</p><p>Choose a recording above and press'
    " Compare. View A is the recording as it is, view B the same speech heard under other conditions. Here you see"
    " which tokens stay, which change, and how far apart the two strings are.</p></div>"
)
WARP_NOTE = (
    "The vocal-tract change is made on the spectrogram, on the way to the model. You see it in the figure but do not"
    " hear it."
)


def side_html(pair: ViewPair, letter: str) -> str:
    """Heading of one side: which stretch of which recording, and what was done to it."""
    side: Side = getattr(pair, letter.lower())
    source = side.source
    first_s = source.start_s + side.settings.shift_ms / 1000
    name = f"View {letter}" if pair.same_source else f"Recording {letter}"
    warp = f'<p class="pa-note">{WARP_NOTE}</p>' if side.settings.warp != 1 else ""
    return (
        f'<div class="pa-side"><h3>{name}</h3><p class="pa-source">{first_s:.2f}–{source.end_s:.2f} s of'
        f" <b>{escape(source.file_name)}</b> ({source.duration_s:.2f} s)"
        f" · {escape(side.settings.words())}</p>{warp}</div>"
    )


def likelihood_html(found: CrossLikelihood) -> str:
    """One row per string, one column per recording, shaded; the likeliest recording of every string is underlined."""
    low, high = float(found.values.min()), float(found.values.max())
    shades = (found.values - low) / max(high - low, 1e-6)
    rows = "".join(
        f"<tr><th scope='row'>String of {escape(name)}</th>{_cells(values, shade)}</tr>"
        for name, values, shade in zip(found.names, found.values, shades, strict=True)
    )
    head = "".join(f"<th scope='col'>{escape(name)}</th>" for name in found.names)
    return (
        f"{_contrast_html(found)}"
        '<div class="pa-table pa-likelihood" tabindex="0" role="region" aria-label="Likelihood of strings"><table>'
        f"<caption>Mean log-probability per token, nat</caption><thead><tr><td></td>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def _cells(values: np.ndarray, shades: np.ndarray) -> str:
    best = int(values.argmax())
    return "".join(
        f'<td style="--v:{100 * shade:.0f}%"{" data-best" if index == best else ""}>{value:.2f}</td>'
        for index, (value, shade) in enumerate(zip(values, shades, strict=True))
    )


def _contrast_html(found: CrossLikelihood) -> str:
    reading = " The vocal-tract change of a view is left out here." if found.warped else ""
    reading += " Nearer to 0, and darker, is likelier; the likeliest of each row is underlined."
    if found.contrast is None:
        return f'<p class="pa-note">There is no unrelated recording to compare with.{reading}</p>'
    sign = "likelier" if found.contrast >= 0 else "less likely"
    return (
        '<p class="pa-note">How well does each string fit each recording? Training rewards strings that are likely'
        " under their own sound and under other views of it, and unlikely under unrelated speech. Here the strings"
        f" of A and B are <b>{abs(found.contrast):.2f} nat per token {sign}</b> under A and B than"
        f" under unrelated recordings.{reading}</p>"
    )
