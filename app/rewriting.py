"""Write a recording's string again under other conditions, and what that costs in likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from app.alignment import alignment_html
from app.result import TokenizeResult
from app.services import Services
from pairalign.decoding import DecodingOptions
from pairalign.strings import TokenString, align

SAME_NAT = 0.005  # differences below are told as none: they vanish in two decimals


@dataclass(frozen=True)
class Rewriting:
    """Two strings of the same seconds of audio, and the mean log p per token (nat, the end counted) of both."""

    original: TokenString
    rewritten: TokenString
    log_p: tuple[float, float]
    options: DecodingOptions
    is_short: bool  # all of the recording was heard, not only its first seconds

    @property
    def totals(self) -> tuple[float, float]:
        """Log p of both strings as a whole, in nat."""
        strings = (self.original, self.rewritten)
        return tuple(mean * (len(string) + 1) for mean, string in zip(self.log_p, strings, strict=True))

    @property
    def cost(self) -> float:
        """How much less likely the new string is, nat per token; negative when it is likelier."""
        return self.log_p[0] - self.log_p[1]

    def to_document(self) -> dict[str, Any]:
        """What the public `regenerate` answers with, without the facts about file and model."""
        told = {}
        for key, string, mean, total in zip(
            ("original", "rewritten"), (self.original, self.rewritten), self.log_p, self.totals, strict=True
        ):
            told[key] = string.to_dict() | {"log_p_per_token": round(mean, 5), "log_p_total": round(total, 4)}
        chosen = self.options
        return {
            "heard_s": round(self.original.duration_s, 4),
            "options": {
                "wanted_tokens": chosen.wanted_tokens or 0,
                "beam": chosen.beam,
                "temperature": chosen.temperature,
                "seed": chosen.seed,
            },
            **told,
            "cost_nat_per_token": round(self.cost, 5),
            "edits": align(self.original, self.rewritten).distance,
        }


def options_of(wanted_tokens: float | None, beam: float, temperature: float, seed: float | None) -> DecodingOptions:
    """The options behind the controls: 0 tokens leave the length free, above temperature 0 there is no beam.

    Raises: ValueError for values outside what decoding allows.
    """
    drawn = temperature > 0
    return DecodingOptions(
        beam=1 if drawn else int(beam),
        temperature=float(temperature),
        seed=int(seed or 0),
        wanted_tokens=int(wanted_tokens) if wanted_tokens else None,
    )


def rewrite(services: Services, result: TokenizeResult, options: DecodingOptions) -> Rewriting:
    """Write the string of what the model hears at once again, and weigh both strings under that audio."""
    return rewrite_opening(services, result.opening, options, services.opening_string(result), result.is_short)


def rewrite_opening(
    services: Services,
    opening: np.ndarray,
    options: DecodingOptions,
    original: TokenString | None = None,
    is_short: bool = True,
) -> Rewriting:
    """As `rewrite`, for samples (T,) of at most 3.4 s; without `original`, that string is written first."""
    original, rewritten, log_p = services.compute(_write_again, opening, original, options)
    return Rewriting(original, rewritten, log_p, options, is_short)


def _write_again(
    tokenizer: Any, opening: np.ndarray, original: TokenString | None, options: DecodingOptions
) -> tuple[TokenString, TokenString, tuple[float, float]]:
    """Both strings, and the mean log p per token of each under the same sound."""
    from pairalign.likelihood import log_likelihoods

    original = tokenizer.tokenize(opening) if original is None else original
    rewritten = tokenizer.tokenize(opening, options=options)
    before, after = log_likelihoods(tokenizer, [original, rewritten], [opening])[:, 0].tolist()
    return original, rewritten, (before, after)


def cost_words(found: Rewriting) -> str:
    """The difference in one plain sentence."""
    if found.original.ids == found.rewritten.ids:
        return "The same string again."
    wanted = found.options.wanted_tokens
    what = f"Forcing {len(found.rewritten)} tokens" if wanted else "The new string"
    if abs(found.cost) < SAME_NAT:
        return f"{what} costs nothing: both strings are equally likely per token."
    if found.cost > 0:
        return f"{what} costs {found.cost:.2f} nat per token."
    return f"{what} gains {-found.cost:.2f} nat per token."


def rewriting_html(found: Rewriting, sound: str) -> str:
    """Cost in words and numbers, and both strings aligned; sound: id of the player of the recording."""
    part = ""
    if not found.is_short:
        part = (
            f"<p class='pa-note'><b>Only the first {found.original.duration_s:.0f} s</b>, which the model reads in one"
            " go: likelihoods of longer recordings cannot be compared.</p>"
        )
    return (
        f'{part}<p class="pa-verdict">{escape(cost_words(found))}</p>{_likelihood_table(found)}'
        "<p class='pa-note'>The higher (the nearer to 0) log p, the better the string fits this audio. One nat less per"
        " token means that every token is 2.7 times less probable on average. The original need not be the likeliest"
        " string: the search also counts what the frames say themselves.</p>"
        + alignment_html(found.original, found.rewritten, "Original", "Written again", sound, sound)
    )


def _likelihood_table(found: Rewriting) -> str:
    rows = "".join(
        f"<tr><th scope='row'>{name}</th><td>{len(string)}</td><td>{_minus(mean)}</td><td>{_minus(total)}</td></tr>"
        for name, string, mean, total in zip(
            ("Original", "Written again"), (found.original, found.rewritten), found.log_p, found.totals, strict=True
        )
    )
    names = ("String", "Tokens", "Mean log p per token (nat)", "Total log p (nat)")
    head = "".join(f"<th scope='col'>{name}</th>" for name in names)
    return (
        '<div class="pa-table" tabindex="0" role="region" aria-label="Likelihoods"><table>'
        f"<caption>How likely each string is under this audio</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def _minus(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
