"""Pin the token strings of all shipped recordings, by every shipped checkpoint and method, in tests/golden.

    python -m scripts.pin_golden_strings [CHECKPOINT ...]

Run it after a change that is meant to change strings, and commit what it writes; tests/unit/test_golden_strings.py
compares with it on the CPU.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pairalign
from pairalign.audio import read_audio
from pairalign.tokenizer import METHODS

ROOT = Path(__file__).resolve().parents[1]
RECORDINGS = ROOT / "app" / "examples"
GOLDEN = ROOT / "tests" / "golden"


def shipped_checkpoints() -> list[str]:
    """The names of the checkpoints that come with the project."""
    return sorted(path.stem for path in (ROOT / "checkpoints").glob("*.safetensors"))


def shipped_recordings() -> dict[str, Path]:
    """The recordings by their path below app/examples."""
    return {path.relative_to(RECORDINGS).as_posix(): path for path in sorted(RECORDINGS.rglob("*.ogg"))}


def strings_of(checkpoint: str) -> dict[str, Any]:
    """{"sha256", "strings": {file: {method: ids}}} as a shipped checkpoint writes them on the CPU."""
    tokenizer = pairalign.load(checkpoint, device="cpu")
    files = shipped_recordings()
    written = tokenizer.tokenize_methods([read_audio(path) for path in files.values()], METHODS)
    strings = {file: {method: list(written[method][k].ids) for method in METHODS} for k, file in enumerate(files)}
    return {"sha256": tokenizer.sha256, "strings": strings}


def to_json(pinned: dict[str, Any]) -> str:
    """A line per string, so that a change is read as a diff."""
    blocks = []
    for file, rows in pinned["strings"].items():
        lines = [f'  "{method}": {json.dumps(ids, separators=(",", ":"))}' for method, ids in rows.items()]
        blocks.append(f" {json.dumps(file)}: {{\n" + ",\n".join(lines) + "\n }")
    return f'{{"sha256": {json.dumps(pinned["sha256"])},\n"strings": {{\n' + ",\n".join(blocks) + "\n}}\n"


def main(checkpoints: list[str]) -> None:
    """Write a file per checkpoint."""
    GOLDEN.mkdir(exist_ok=True)
    for checkpoint in checkpoints or shipped_checkpoints():
        path = GOLDEN / f"{checkpoint}.json"
        path.write_text(to_json(strings_of(checkpoint)), encoding="utf-8")
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main(sys.argv[1:])
