"""Write docs/api.md from the signatures and docstrings of the library: python -m scripts.make_api_reference

Reads the source text and imports nothing, so that it takes no time and is the same with every Python version.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "api.md"
# section -> modules and the names that are public there; `pairalign` itself offers those marked in __init__.py
SURFACE: dict[str, dict[str, str]] = {
    "Tokenize": {
        "tokenizer": "load Tokenizer",
        "checkpoint": "available CheckpointError",
        "decoding": "DecodingOptions",
        "strings": "TokenString",
    },
    "Compare": {
        "strings": "align Alignment Edit edit_distance normalized_distance jaccard lcs_ratio glyph text_from_ids "
        "ids_from_text",
        "likelihood": "log_likelihoods attention_map AttentionMap",
        "export": "to_csv to_textgrid",
    },
    "Sweep": {"sweeps.sweep": "sweep sweep_batch sweep_methods sweep_values", "sweeps.trajectory": "Trajectory"},
    "Audio": {
        "audio": "read_audio read_parts wave_from_array slice_audio write_audio",
        "sound_file": "AudioLimits",
        "errors": "PairAlignError AudioError",
        "features": "log_mel LogMel",
        "views": "make_view draw_parameters ViewParameters ViewRanges View TimeMap",
    },
    "Archives": {
        "archive.archive": "Archive",
        "archive.hit": "Hit",
        "archive.record": "ArchiveInfo",
        "archive.report": "IngestReport",
        "archive.errors": "ArchiveError",
    },
    "Streams": {
        "streaming": "Stream Update LiveToken",
        "microphone": "microphones find_microphone Capture Microphone MicrophoneError",
    },
    "Train": {
        "training.corpora": "read_manifest words_for Utterance Word",
        "training.csv_table": "DataError",
        "training.config": "TrainConfig",
        "training.job": "Job",
        "training.trainer": "train",
        "training.finetune_settings": "FinetuneSettings",
        "training.finetune": "new_run finetune",
    },
    "Evaluate": {
        "training.bank": "load_bank",
        "evaluation.protocols": "make_trials tokenize_trials measure Trials Strings EvaluationError",
        "evaluation.report": "evaluate format_table",
        "evaluation.page": "write_report",
        "evaluation.baselines": "fit_baselines",
    },
}
HEAD = """# API reference

Made from the source by `python -m scripts.make_api_reference`; do not edit. What is marked with ★ is at hand as
`pairalign.NAME`; everything else is imported from its module. Errors that a caller can cause are `ValueError`s that say
what to do. Shapes: B batch, T samples or frames, D features, U tokens, K codes.
"""


def reference() -> str:
    """The whole page as Markdown. Raises: LookupError when the surface names something that is not there."""
    at_top = set(_exported(_parse("__init__")))
    lines = [HEAD, "Contents: " + " · ".join(f"[{name}](#{name.lower()})" for name in SURFACE) + "\n"]
    for section, modules in SURFACE.items():
        lines.append(f"## {section}\n")
        for module, names in modules.items():
            defined = {node.name: node for node in _parse(module).body if isinstance(node, _DEFINITIONS)}
            for name in names.split():
                if name not in defined:
                    raise LookupError(f"pairalign.{module} defines no {name}; correct SURFACE in {__file__}")
                lines += _entry(f"pairalign.{module}", defined[name], name in at_top)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINITIONS = (*_FUNCTIONS, ast.ClassDef)
_LABEL = re.compile(r"(Args|Returns|Raises|Shapes):\s*")
_ITEM = re.compile(r"(\w+(?:, \w+)*): ")


def _parse(module: str) -> ast.Module:
    path = ROOT / "pairalign" / f"{module.replace('.', '/')}.py"
    return ast.parse(path.read_text(encoding="utf-8"))


def _exported(module: ast.Module) -> list[str]:
    (names,) = (node.value for node in module.body if isinstance(node, ast.Assign) and node.targets[0].id == "__all__")
    return ast.literal_eval(names)


def _entry(module: str, node: ast.AST, at_top: bool) -> Iterator[str]:
    """Heading, signature and docstring of a function or class, and of a class's public members."""
    yield f"### {node.name}{' ★' if at_top else ''}\n"
    yield from _told(f"{module}.{node.name}", node)
    path = f"{module.replace('.', '/')}.py"
    yield f"Source: [{path}](../{path})\n"
    members = [one for one in getattr(node, "body", ()) if isinstance(one, _FUNCTIONS)] if _is_class(node) else []
    for member in members:
        if member.name.startswith("_"):
            continue
        if {ast.unparse(one) for one in member.decorator_list} & {"property", "cached_property"}:
            told = " ".join(_markdown(ast.get_docstring(member)).split())
            yield f"- **`{member.name}`** `{ast.unparse(member.returns)}`: {told}"
        else:
            yield f"\n#### {node.name}.{member.name}\n"
            yield from _told(f"{node.name}.{member.name}", member)
    yield ""


def _told(name: str, node: ast.AST) -> Iterator[str]:
    yield f"```text\n{_signature(name, node)}\n```\n"
    yield _markdown(ast.get_docstring(node))


def _is_class(node: ast.AST) -> bool:
    return isinstance(node, ast.ClassDef)


def _signature(name: str, node: ast.AST) -> str:
    """As in the source, without self and cls; an argument a line when one line would be too long."""
    pieces, returns = [], ""
    if _is_class(node):
        inits = [one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"]
        pieces = list(_arguments(inits[0].args)) if inits else _fields(node)
        if not pieces:
            return name
    else:
        pieces, returns = list(_arguments(node.args)), f" -> {ast.unparse(node.returns)}"
    line = f"{name}({', '.join(pieces)}){returns}"
    return line if len(line) <= 100 else f"{name}(\n" + "".join(f"    {one},\n" for one in pieces) + f"){returns}"


def _arguments(args: ast.arguments) -> Iterator[str]:
    """Every argument with its annotation and default."""
    empty = {"posonlyargs": [], "args": [], "kwonlyargs": [], "kw_defaults": [], "defaults": []}
    defaults = [None] * (len(args.args) - len(args.defaults)) + args.defaults
    named = [*zip(args.args, defaults, strict=True), (None, None), *zip(args.kwonlyargs, args.kw_defaults, strict=True)]
    for one, default in named:
        if one is None and (args.vararg or args.kwonlyargs):
            yield f"*{ast.unparse(args.vararg) if args.vararg else ''}"
        elif one is not None and one.arg not in ("self", "cls"):
            alone = {**empty, "args": [one], "defaults": [default] if default else []}
            yield ast.unparse(ast.arguments(**alone)).replace("lambda :", "lambda:")  # as Python 3.10 writes it
    if args.kwarg:
        yield f"**{ast.unparse(args.kwarg)}"


def _fields(node: ast.ClassDef) -> list[str]:
    found = [one for one in node.body if isinstance(one, ast.AnnAssign) and not one.target.id.startswith("_")]
    return [ast.unparse(one) for one in found]


def _markdown(docstring: str | None) -> str:
    """A docstring as Markdown: what is listed under Args and the like, and fields by name, become lists."""
    lines, listing = [], False
    for line in inspect.cleandoc(docstring or "").splitlines():
        text, deep = _escaped(line.strip()), line.startswith("    ")
        label, item = _LABEL.match(text), _ITEM.match(text)
        if label and not deep:
            text = f"\n*{label[1]}:* {text[label.end() :]}".rstrip()
            listing = text.endswith(":*")
        elif item and (deep == listing) and "(" not in item[1] and (deep or item[1].islower()):
            text = f"- `{item[1].replace(', ', '`, `')}`: {text[item.end() :]}"
            text = text if lines and lines[-1].startswith(("- ", "  ")) else f"\n{text}"
        elif deep:
            text = f"  {text}"
        elif listing and text:
            text, listing = f"\n{text}", False
        lines += text.split("\n")
    return "\n".join(lines).strip("\n") + "\n"


def _escaped(text: str) -> str:
    """Characters that Markdown would take for its own, outside of `code`."""
    parts = re.split(r"(``.+?``|`.+?`)", text)
    parts[::2] = [re.sub(r"([*<|\[\]])", r"\\\1", part) for part in parts[::2]]
    return "".join(parts)


def main() -> None:
    """Write the page."""
    TARGET.write_text(reference(), encoding="utf-8")
    print(f"{TARGET.relative_to(ROOT)}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
