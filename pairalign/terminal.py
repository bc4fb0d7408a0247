"""Results as a person reads them in a terminal; with --json the command line prints the dict instead."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from pairalign.console import write_utf8

if TYPE_CHECKING:
    from pairalign.strings import Alignment, TokenString

_MARKS = {"match": "=", "sub": "~", "ins": "+", "del": "-"}


def one_line(text: str) -> str:
    """A whole message without line breaks and control characters; `home.one_line` is for names, and shortens."""
    return "".join(c if c.isprintable() else " " for c in text).strip()


def show_notes(notes: list[str]) -> None:
    """Remarks on recordings that were read, on stderr."""
    for note in notes:
        print(f"pairalign: {one_line(note)}", file=sys.stderr)


def times_words(factor: float) -> str:
    """How many times real time, with as many digits as tell something: '85', '4.2', '0.034'."""
    return f"{factor:.0f}" if factor >= 10 else f"{factor:.2g}"


def show_tokenize(result: dict[str, Any], args: argparse.Namespace) -> None:
    """Rate, ending and string per file and method; or the one table that --format asks for."""
    if args.format:
        from pairalign.export import to_csv, to_textgrid

        write = {"csv": to_csv, "textgrid": to_textgrid}[args.format]
        write_utf8("".join(map(write, args.strings)))
        return
    print(f"checkpoint {result['checkpoint']} ({result['model_sha256'][:12]}) on {result['device']}")
    for entry in result["files"]:
        if "error" in entry:
            continue
        print(f"\n{one_line(entry['path'])}  {entry['duration_s']:.2f} s")
        for method, found in entry["strings"].items():
            ended = f"stopped by {found['stopped_by']}" if found["stopped_by"] else "ends with the recording"
            count = f"{len(found['ids'])} tokens, {found['tokens_per_s']:.1f}/s, {ended}"
            shown = found["text"] or "(no speech was found, only silence or steady noise)"
            print(f"  {method:<10} {count}\n    {shown}")


def show_align(result: dict[str, Any], args: argparse.Namespace) -> None:
    """Both strings under each other, a mark per edit between them."""
    found: Alignment = args.alignment
    for name, path, one in (("A", args.a, found.a), ("B", args.b, found.b)):
        print(f"{name}  {one_line(path)}  {one.duration_s:.2f} s, {len(one)} tokens")
    print(f"distance {found.distance}, normalized {found.normalized:.3f}\n")
    width = 96
    row_a, row_b, marks = _columns(found.a, found.b, found)
    for start in range(0, len(marks), width):
        stop = start + width
        print(f"A  {row_a[start:stop]}\n   {marks[start:stop]}\nB  {row_b[start:stop]}\n")
    print("=  match   ~  substitution   +  insertion   -  deletion")


def show_sweep(result: dict[str, Any], args: argparse.Namespace) -> None:
    """A line per step, then the statistics, a column per method."""
    from pairalign.sweeps.sweep import KINDS

    unit, methods = KINDS[result["kind"]].unit, result["methods"]
    print(f"{one_line(args.file)}  {result['kind']}; distance to the first string, to the one before, tokens\n")
    print(f"{unit:>8}" + "".join(f"  {name:>22}" for name in methods))
    for k, value in enumerate(result["values"]):
        rows = ((m["distance_to_origin"][k], m["step_distance"][k], m["lengths"][k]) for m in methods.values())
        print(f"{value:>8g}" + "".join(f"  {origin:>9.3f}{step:>7.3f}{count:>6}" for origin, step, count in rows))
    print()
    for name in next(iter(methods.values()))["statistics"]:
        cells = (m["statistics"][name] for m in methods.values())
        shown = (f"{cell!s:>12}" if isinstance(cell, bool) else f"{cell:>12.3f}" for cell in cells)
        print(f"{name:<18}" + "  ".join(shown))


def _columns(a: TokenString, b: TokenString, found: Alignment) -> tuple[str, str, str]:
    """Both texts padded to one column per edit, and the row of marks between them."""
    row_a = "".join(" " if edit.a is None else a.text[edit.a] for edit in found.edits)
    row_b = "".join(" " if edit.b is None else b.text[edit.b] for edit in found.edits)
    return row_a, row_b, "".join(_MARKS[edit.op] for edit in found.edits)


def show_dict(result: dict[str, Any], args: argparse.Namespace, indent: int = 0) -> None:
    """Any other result: a line per value, indented as it is nested."""
    for key, value in result.items():
        if isinstance(value, dict):
            print(" " * indent + str(key))
            show_dict(value, args, indent + 2)
        else:
            shown = f"{value:.4g}" if isinstance(value, float) else value
            print(f"{' ' * indent}{key:<24} {shown}")
