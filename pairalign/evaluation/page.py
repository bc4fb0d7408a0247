"""The report of an evaluation as files for people: one HTML file that needs nothing else, and Markdown with its plots.

Everything that comes from outside (names of checkpoints, methods, measures, paths) is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from pairalign.checkpoint import atomic_write_bytes, atomic_write_json
from pairalign.evaluation import plots
from pairalign.evaluation.glossary import METHODS, Meaning, grouped
from pairalign.evaluation.plots import Plot
from pairalign.evaluation.protocols import EvaluationError

_BETTER = {"higher": "higher is better", "lower": "lower is better", "": ""}
_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #5c646c; --paper: #fff; --line: #dde1e6; --tint: #f4f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ec; --soft: #a2abb4; --paper: #15181b; --line: #343a40; --tint: #1e2226; }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  max-width: 1120px; padding: 1.5rem; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; }
p, dl { margin: .3rem 0; } .soft, .interval, figcaption { color: var(--soft); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; }
dt { font-weight: 600; } dd { margin: 0; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(430px, 100%), 1fr)); gap: 1.5rem; }
figure { margin: 0; } figure svg { width: 100%; height: auto; } figcaption { font-size: .85rem; }
figure h3 { font-size: 1rem; margin: 0 0 .3rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .35rem .7rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th:first-child { text-align: left; width: 24rem; min-width: 15rem; font-weight: 400; }
thead th { background: var(--tint); }
th code, dt code { font-weight: 600; } th small { display: block; color: var(--soft); line-height: 1.35; }
.interval { display: block; font-size: .78rem; white-space: nowrap; }
"""


def check_folder(folder: str | Path) -> Path:
    """The folder a report can be written to, before the work that fills it.

    Raises: EvaluationError when there is a file of that name, or matplotlib is missing.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise EvaluationError(f"--report: {folder} is a file; name a folder.")
    plots.check_available()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_report(report: dict[str, Any], folder: Path) -> None:
    """Writes report.json, report.html, report.md and the plots of report.md as NAME.svg into a folder.

    `report` is what `evaluate` returns. Methods may lack measures, and measures may have no explanation.
    """
    drawn = plots.draw_all(report)
    atomic_write_json(folder / "report.json", report)
    atomic_write_bytes(folder / "report.html", html_page(report, drawn).encode())
    atomic_write_bytes(folder / "report.md", markdown_page(report, drawn).encode())
    for plot in drawn:
        atomic_write_bytes(folder / f"{plot.name}.svg", plot.standalone().encode())


def html_page(report: dict[str, Any], drawn: Sequence[Plot]) -> str:
    """One self-contained HTML document without scripts."""
    title = escape(f"{report['data'].get('checkpoint', 'Checkpoint')}: evaluation")
    figures = "".join(
        f"<figure><h3>{escape(plot.title)}</h3>{plot.inline()}<figcaption>{escape(plot.caption)}</figcaption></figure>\n"
        for plot in drawn
    )
    methods = list(report["methods"])
    kinds = "".join(f"<dt><code>{escape(m)}</code></dt><dd>{escape(METHODS.get(m, ''))}</dd>" for m in methods)
    tables = "".join(
        f"<h2>{escape(group)}</h2>\n{_html_table(report, meanings)}\n" for group, meanings in _groups(report).items()
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{_STYLE}</style></head>\n'
        f'<body><h1>{title}</h1>\n<p class="soft">{escape(_about(report))}</p>\n'
        f"<h2>Methods</h2>\n<dl>{kinds}</dl>\n"
        f'<h2>Plots</h2>\n<div class="plots">\n{figures}</div>\n{tables}</body></html>\n'
    )


def markdown_page(report: dict[str, Any], drawn: Sequence[Plot]) -> str:
    """The tables, the plots as images next to the file."""
    lines = [f"# {_cell(report['data'].get('checkpoint', 'Checkpoint'))}: evaluation", "", _cell(_about(report)), ""]
    lines += [f"- `{_cell(method)}`: {METHODS[method]}" for method in report["methods"] if method in METHODS]
    for plot in drawn:
        lines += ["", f"![{plot.title}]({plot.name}.svg)", "", plot.caption]
    names = [_cell(method) for method in report["methods"]]
    for group, meanings in _groups(report).items():
        lines += ["", f"## {group}", "", "| | " + " | ".join(names) + " | |", "|---|" + "---:|" * len(names) + "---|"]
        for metric, meaning in meanings.items():
            cells = [" ".join(_value(report, method, metric)).strip() for method in report["methods"]]
            lines.append(
                f"| `{_cell(metric)}` | " + " | ".join(cells) + f" | {_cell(_about_row(report, metric, meaning))} |"
            )
    return "\n".join(lines) + "\n"


def _groups(report: dict[str, Any]) -> dict[str, dict[str, Meaning]]:
    return grouped(metric for values in report["methods"].values() for metric in values)


def _html_table(report: dict[str, Any], meanings: dict[str, Meaning]) -> str:
    head = "".join(f'<th scope="col">{escape(method)}</th>' for method in report["methods"])
    rows = []
    for metric, meaning in meanings.items():
        cells = ""
        for method in report["methods"]:
            value, interval = _value(report, method, metric)
            cells += f"<td>{value}" + (f'<span class="interval">{interval}</span>' if interval else "") + "</td>"
        about = f"<small>{escape(_about_row(report, metric, meaning))}</small>"
        rows.append(f'<tr><th scope="row"><code>{escape(metric)}</code>{about}</th>{cells}</tr>')
    body = "\n".join(rows)
    head = f'<thead><tr><th scope="col">measure</th>{head}</tr></thead>'
    return f'<div class="wide"><table>{head}<tbody>\n{body}</tbody></table></div>'


def _value(report: dict[str, Any], method: str, metric: str) -> tuple[str, str]:
    """A value and its interval as text; a dash where there is none."""
    value = report["methods"][method].get(metric)
    interval = report["intervals"].get(method, {}).get(metric)
    bounds = f"[{_short(interval[0])}, {_short(interval[1])}]" if interval and value is not None else ""
    return _short(value), bounds


def _short(value: float | int | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, int):
        return str(value)
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) >= 10 else f"{value:.3f}"


def _about_row(report: dict[str, Any], metric: str, meaning: Meaning) -> str:
    """What a measure means, what is good, and why a value is missing."""
    reason = report.get("reasons", {}).get(metric, "")
    return "; ".join(part for part in (meaning.text, _BETTER[meaning.better], reason and f"–: {reason}") if part)


def _about(report: dict[str, Any]) -> str:
    data = report["data"]
    parts = [
        f"{data.get('segments', '?')} segments of split {data.get('split', '?')}",
        f"{data.get('speakers', '?')} speakers",
        f"sweep over {data.get('sweep_segments', 0)} segments",
        f"seed {data.get('seed', '?')}",
    ]
    if "word_search" in data:
        searched = data["word_search"]
        parts.insert(2, f"word search with {searched['queries']} queries in {searched['recordings']} recordings")
    source = f", data {data['manifest']}" if "manifest" in data else ""
    model = f"Model {str(data.get('model_sha256', '?'))[:12]}{source}."
    return f"{', '.join(parts)}. Means with 95 % bootstrap intervals in brackets. {model}"


def _cell(text: object) -> str:
    """Text that cannot end a Markdown cell, a line or a code span, nor be taken for HTML."""
    plain = "".join(c if c.isprintable() else " " for c in str(text))
    return escape(plain, quote=False).replace("|", "\\|").replace("`", "'")
