"""Token strings for other programs: CSV for spreadsheets, TextGrid for Praat.

Both take strings of one recording by the name of their method. The text has characters beyond ASCII: write it as UTF-8.
"""

import csv
import io
import math
from collections.abc import Mapping

from pairalign.errors import PairAlignError
from pairalign.strings import TokenString, glyph

COLUMNS = ("method", "index", "id", "glyph", "start_s", "end_s", "probability", "score")
_DIGITS = 6  # of a second


def measure_name(method: str) -> str:
    """What the `log_probs` of a method are logarithms of: "probability" or "score", see `TokenString`."""
    return "probability" if method == "pairalign" else "score"


def to_csv(strings: Mapping[str, TokenString]) -> str:
    """A header and a line per token; `index` counts from 1.

    probability: of a generated token, by the decoder. score: of a code, how much more its frames resemble it than the
    other codes, 0 to 1, which is no probability. Empty for methods without.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for method, string in strings.items():
        for index, (token, (start_s, end_s)) in enumerate(zip(string.ids, string.spans_s, strict=True)):
            value = f"{math.exp(string.log_probs[index]):.6g}" if string.log_probs else ""
            likely = (value, "") if measure_name(string.method) == "probability" else ("", value)
            writer.writerow((method, index + 1, token, glyph(token), _seconds(start_s), _seconds(end_s), *likely))
    return text.getvalue()


def to_textgrid(strings: Mapping[str, TokenString]) -> str:
    """A Praat TextGrid (long text format) with an interval tier per method, each from 0 to the end of the recording.

    Pauses are intervals without a label; a token is labelled with its glyph and its id. Where spans overlap, the later
    one is clipped; a token of which nothing is left has no interval, as Praat knows none without a width.
    Raises: ValueError when there is no string, or a recording without any duration.
    """
    end_s = max((string.duration_s for string in strings.values()), default=0.0)
    if not end_s > 0:
        raise PairAlignError("a TextGrid needs at least one string of a recording that lasts longer than 0 s.")
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {_seconds(end_s)}"]
    lines += ["tiers? <exists>", f"size = {len(strings)}", "item []:"]
    for number, (method, string) in enumerate(strings.items(), 1):
        intervals = _intervals(string, end_s)
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f"        name = {_quoted(method)}"]
        lines += [
            "        xmin = 0",
            f"        xmax = {_seconds(end_s)}",
            f"        intervals: size = {len(intervals)}",
        ]
        for k, (start, end, label) in enumerate(intervals, 1):
            lines += [f"        intervals [{k}]:", f"            xmin = {_seconds(start)}"]
            lines += [f"            xmax = {_seconds(end)}", f"            text = {_quoted(label)}"]
    return "\n".join(lines) + "\n"


def _intervals(string: TokenString, duration_s: float) -> list[tuple[float, float, str]]:
    """(start, end, label) from 0 to the end without a gap, an overlap or an interval of no width."""
    total = round(duration_s, _DIGITS)
    found: list[tuple[float, float, str]] = []
    at = 0.0
    for token, span_s in zip(string.ids, string.spans_s, strict=True):
        start, end = (min(max(round(time_s, _DIGITS), at), total) for time_s in span_s)
        if end <= start:
            continue
        if start > at:
            found.append((at, start, ""))
        found.append((start, end, f"{glyph(token)} {token}"))
        at = end
    if at < total:
        found.append((at, total, ""))
    return found


def _seconds(time_s: float) -> str:
    return f"{round(time_s, _DIGITS):.{_DIGITS}f}".rstrip("0").rstrip(".")


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
