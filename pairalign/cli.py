"""The command line: `python -m pairalign COMMAND …`.

Exit status: 0 done, 2 the user's mistake (one line on stderr), 1 ours. With --json, stdout carries one JSON document
and nothing else; logs and progress go to stderr. Heavy imports happen inside the commands, so that --help is instant.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from pairalign import console, terminal
from pairalign.errors import PairAlignError
from pairalign.version import __version__

if TYPE_CHECKING:
    import numpy as np

    from pairalign.tokenizer import Tokenizer

EXIT_DONE, EXIT_OURS, EXIT_USER, EXIT_INTERRUPTED = 0, 1, 2, 130
# as in pairalign.tokenizer, which is slow to import
_METHODS = "pairalign, vq, vq_raw, viterbi, viterbi_cost, bpe, mfcc"
# commands with modules of their own: where, and what they are for
_MODULES = {
    "train": ("pairalign.training.train_command", "train a tokenizer on a manifest or a folder of recordings"),
    "finetune": ("pairalign.training.finetune_command", "adapt a checkpoint to a voice, a room or a class"),
    "evaluate": ("pairalign.evaluation.report", "measure a tokenizer and its baselines on a manifest"),
    "index": ("pairalign.archive.index_command", "add recordings to an archive, and look after it"),
    "search": ("pairalign.archive.search_command", "find what is nearest to a recording in an archive"),
    "listen": ("pairalign.listen", "write the tokens of what a microphone hears, while one speaks"),
    "bench": ("pairalign.bench.bench_command", "measure how long all that takes on this machine"),
}
# what the machine of whoever started the command refuses: no bug of ours
_ADVICE = {
    errno.ENOSPC: "Make room on the disk",
    errno.EDQUOT: "Make room on the disk",
    errno.EROFS: "Choose a folder that can be written to",
    errno.ENAMETOOLONG: "Choose a shorter name",
    errno.ELOOP: "Check the links in that path",
}


class UsageError(PairAlignError):
    """Arguments that cannot be served."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # argparse would print the usage as well; a mistake gets one line
        self.exit(EXIT_USER, f"{self.prog}: {terminal.one_line(message)} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    console.prepare()
    try:
        return _run(list(sys.argv[1:] if argv is None else argv))
    except BrokenPipeError:  # the reader, as in `| head`, has seen enough
        console.silence(sys.stdout, sys.stderr)
        return EXIT_DONE


def _run(argv: list[str]) -> int:
    try:
        args = build_parser(argv).parse_args(argv)
        # stray prints of libraries must not spoil the JSON
        with contextlib.redirect_stdout(sys.stderr):
            result, status = args.run(args)
        _print(result, args)
        return status
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else EXIT_USER
    except KeyboardInterrupt:
        print("pairalign: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        if _is_users_mistake(error):
            print(f"pairalign: {terminal.one_line(_message(error))}", file=sys.stderr)
            return EXIT_USER
        traceback.print_exc()
        print(f"pairalign: internal error: {terminal.one_line(repr(error))}. Please report it", file=sys.stderr)
        return EXIT_OURS


def build_parser(argv: Sequence[str] = ()) -> argparse.ArgumentParser:
    """All commands; options of those in modules of their own, which load torch, only when `argv` asks for them."""
    from pairalign import checkpoint

    parser = _Parser(prog="pairalign", description="A recording becomes a short string of discrete tokens.")
    parser.add_argument("--version", action="version", version=f"pairalign {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    names = ", ".join(checkpoint.available()) or "none installed"
    common = _Parser(add_help=False)
    common.add_argument("--checkpoint", default="base", metavar="NAME|PATH", help=f"default base; available: {names}")
    common.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    common.add_argument("--json", action="store_true", help="one JSON document on stdout instead of text")

    def add(name: str, run: Callable, show: Callable, about: str) -> argparse.ArgumentParser:
        # a command's own module may define a common option with another meaning
        command = commands.add_parser(name, help=about, description=about, parents=[common], conflict_handler="resolve")
        command.set_defaults(run=run, show=show)
        return command

    tokenize = add("tokenize", _tokenize, terminal.show_tokenize, "turn recordings into token strings")
    tokenize.add_argument("files", nargs="+", metavar="FILE", help="recordings; - is standard input")
    both = "pairalign,vq"
    tokenize.add_argument("--method", default=both, help=f"any of {_METHODS} (default {both})")
    tokenize.add_argument("--format", choices=("csv", "textgrid"), help="of one FILE: a table, or tiers for Praat")
    align = add("align", _align, terminal.show_align, "show the edits between the token strings of two recordings")
    align.add_argument("a", metavar="A", help="a recording; - is standard input")
    align.add_argument("b", metavar="B", help="another recording")
    align.add_argument("--method", default="pairalign", help=f"one of {_METHODS} (default pairalign)")
    sweep = add(
        "sweep", _sweep, terminal.show_sweep, "slide, mask, speed up or re-voice a recording and see its string move"
    )
    _add_sweep_arguments(sweep, both)
    wanted = next((arg for arg in argv if not arg.startswith("-")), None)
    for name, (module, about) in _MODULES.items():
        command = add(name, _delegate(module), _show_of(module), about)
        if name == wanted:
            importlib.import_module(module).add_arguments(command)
    return parser


def _add_sweep_arguments(sweep: argparse.ArgumentParser, methods: str) -> None:
    from pairalign.sweeps.sweep import KINDS

    stops = ", ".join(f"{kind.stop:g} {kind.unit} ({name})" for name, kind in KINDS.items())
    steps = ", ".join(f"{kind.step:g} {kind.unit} ({name})" for name, kind in KINDS.items())
    sweep.add_argument("file", metavar="FILE", help="a recording; - is standard input")
    sweep.add_argument("--kind", default="shift", choices=tuple(KINDS), help="default shift")
    sweep.add_argument("--stop", type=float, help=f"last value; by default {stops}")
    sweep.add_argument("--step", type=float, help=f"distance of the values; by default {steps}")
    sweep.add_argument("--start", type=float, default=0.0, metavar="S", help="where the window begins (default 0)")
    sweep.add_argument("--window", type=float, default=3.0, metavar="S", help="how long it is (default 3)")
    sweep.add_argument("--method", default=methods, help=f"any of {_METHODS} (default {methods})")


def _delegate(module: str) -> Callable[[argparse.Namespace], tuple[dict[str, Any], int]]:
    return lambda args: (importlib.import_module(module).run_from_args(args), EXIT_DONE)


def _show_of(module: str) -> Callable[[dict[str, Any], argparse.Namespace], None]:
    return lambda result, args: getattr(importlib.import_module(module), "show", terminal.show_dict)(result, args)


def _names(listed: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in listed.split(",") if name.strip()))


def _load(args: argparse.Namespace, methods: Sequence[str]) -> Tokenizer:
    """The tokenizer, after the checks that need no weights."""
    from pairalign.checkpoint import resolve_checkpoint

    resolve_checkpoint(args.checkpoint)  # a wrong name is told at once, not after loading torch
    from pairalign import tokenizer

    unknown = [m for m in methods if m not in tokenizer.METHODS]
    if unknown or not methods:
        named = ", ".join(map(repr, unknown)) or "''"
        raise UsageError(f"unknown method {named}; allowed: {', '.join(tokenizer.METHODS)}")
    return tokenizer.load(args.checkpoint, device=args.device)


def _tokenize(args: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """One entry per file; a bad file is reported and does not stop the others."""
    from pairalign.audio import SAMPLE_RATE_HZ, AudioError, read_audio

    if args.format and (args.json or len(args.files) > 1):
        raise UsageError(f"--format {args.format} is for one file and without --json; call tokenize once per file")
    methods = _names(args.method)
    tok = _load(args, methods)
    files: list[dict[str, Any]] = []
    args.strings = []  # for --format
    for number, path in enumerate(args.files, 1):
        if len(args.files) > 1 and sys.stderr.isatty():
            print(f"{number}/{len(args.files)} {terminal.one_line(path)}", file=sys.stderr)
        notes: list[str] = []
        try:
            wave = read_audio(path, notes=notes)
        except AudioError as error:
            print(f"pairalign: {terminal.one_line(str(error))}", file=sys.stderr)
            files.append({"path": path, "error": str(error)})
            continue
        found = {method: strings[0] for method, strings in tok.tokenize_methods([wave], methods).items()}
        args.strings.append(found)
        strings = {method: string.to_dict() for method, string in found.items()}
        entry = {"path": path, "duration_s": len(wave) / SAMPLE_RATE_HZ, "strings": strings}
        files.append(entry | ({"notes": notes} if notes else {}))
        terminal.show_notes(notes)
    status = EXIT_USER if any("error" in entry for entry in files) else EXIT_DONE
    return {"checkpoint": tok.name, "model_sha256": tok.sha256, "device": str(tok.device), "files": files}, status


def _read_all(paths: Sequence[str]) -> list[np.ndarray]:
    """The recordings (T,) of a command; remarks on files that are not quite whole go to stderr."""
    from pairalign.audio import read_audio

    notes: list[str] = []
    waves = [read_audio(path, notes=notes) for path in paths]
    terminal.show_notes(notes)
    return waves


def _align(args: argparse.Namespace) -> tuple[dict[str, Any], int]:
    from pairalign.strings import align

    tok = _load(args, [args.method])
    waves = _read_all([args.a, args.b])
    result = align(*tok.tokenize_batch(waves, args.method))
    args.alignment = result  # for the text form
    return {
        "a": result.a.to_dict(),
        "b": result.b.to_dict(),
        "distance": result.distance,
        "normalized": result.normalized,
        "edits": [{"op": edit.op, "a": edit.a, "b": edit.b} for edit in result.edits],
    }, EXIT_DONE


def _sweep(args: argparse.Namespace) -> tuple[dict[str, Any], int]:
    from pairalign.sweeps.sweep import sweep_methods, sweep_values

    values = sweep_values(args.kind, args.stop, args.step)  # a mistake is told before the model is loaded
    tok, methods = _load(args, _names(args.method)), _names(args.method)
    waves, where = _read_all([args.file]), {"start_s": args.start, "window_s": args.window}
    swept = sweep_methods(tok, waves, args.kind, args.stop, args.step, methods, **where)
    found = {method: trajectories[0].to_dict() for method, trajectories in swept.items()}
    return {"kind": args.kind, "values": list(values), "methods": found}, EXIT_DONE


def _print(result: dict[str, Any], args: argparse.Namespace) -> None:
    try:
        if args.json:
            from pairalign.checkpoint import plain_json

            print(json.dumps(plain_json(result), allow_nan=False))
        else:
            args.show(result, args)
        sys.stdout.flush()
    except OSError:  # a full disk, say: what is left in the buffer cannot be written at the end either
        console.silence(sys.stdout)
        raise


def _is_users_mistake(error: Exception) -> bool:
    """An error that this library raises on purpose, or a file that cannot be reached; any other error is a bug."""
    if isinstance(error, OSError) and error.errno in _ADVICE:
        return True
    if isinstance(error, (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)):
        return error.filename is not None
    return isinstance(error, PairAlignError)


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and (error.filename is not None or error.errno in _ADVICE):
        where = f"{terminal.one_line(os.fsdecode(error.filename))[:200]}: " if error.filename is not None else ""
        return f"{where}{error.strerror}. {_ADVICE.get(error.errno or 0, 'Check the path and its permissions')}"
    return str(error)
