"""Checkpoints on disk: NAME.safetensors (weights) and NAME.json (what they are), verified and never unpickled."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pairalign.errors import PairAlignError
from pairalign.home import home, is_name, listed, one_line

if TYPE_CHECKING:
    from torch import Tensor

SCHEMA_VERSION = 1
_PACKAGE = Path(__file__).resolve().parent
# a wheel carries the shipped checkpoints inside the package, a checkout beside it
CHECKPOINT_DIR = (_PACKAGE if (_PACKAGE / "checkpoints").is_dir() else _PACKAGE.parent) / "checkpoints"
MAX_WEIGHTS_BYTES = 4_000_000_000
MAX_SIDECAR_BYTES = 20_000_000
_SHA256 = re.compile(r"[0-9a-f]{64}")
# what a sidecar must hold, and as what type
_KEYS: dict[str, type] = {
    "schema_version": int,
    "name": str,
    "architecture": dict,
    "features": dict,
    "vocab_size": int,
    "data": object,
    "recipe": object,
    "metrics": dict,
    "sha256": str,
}


class CheckpointError(PairAlignError):
    """A checkpoint cannot be used or written. The message says what is wrong and what to do."""


def own_checkpoints() -> Path:
    """The folder of the checkpoints that this person trained."""
    return home() / "checkpoints"


def available() -> list[str]:
    """Names of the checkpoints that are there with both of their files: the shipped ones, then one's own."""
    shipped = _names_in(CHECKPOINT_DIR)
    return shipped + [name for name in _names_in(own_checkpoints()) if name not in shipped]


def is_shipped(name: str) -> bool:
    """Whether the name belongs to a checkpoint of the program's own folder."""
    return name in _names_in(CHECKPOINT_DIR)


def _names_in(folder: Path) -> list[str]:
    weights = listed(folder, "*.safetensors")
    return sorted(p.stem for p in weights if is_name(p.stem) and os.path.isfile(p.with_suffix(".json")))


def resolve_checkpoint(name_or_path: str | os.PathLike[str]) -> Path:
    """The weights file behind a name, shipped or one's own, or a path that ends in .safetensors."""
    if not isinstance(name_or_path, (str, os.PathLike)):
        kind = type(name_or_path).__name__
        raise CheckpointError(f"a checkpoint is a name or a path, not a value of type {kind}. {_offer()}")
    text = os.fsdecode(name_or_path)
    shown = one_line(text, 200)
    if is_name(text):
        places = [folder / f"{text}.safetensors" for folder in (CHECKPOINT_DIR, own_checkpoints())]
        path = next((place for place in places if os.path.isfile(place)), places[0])
        problem = f"there is no checkpoint named {shown!r}"
    elif text.endswith(".safetensors") and "\0" not in text:
        path = Path(text)
        problem = f"there is no checkpoint file {shown!r}"
    else:
        raise CheckpointError(
            f"{shown!r} names no checkpoint: a name has up to 64 letters, digits, - and _; "
            f"a path ends in .safetensors. {_offer()}"
        )
    if not os.path.isfile(path):  # unlike Path.is_file, False for a name that is too long
        raise CheckpointError(f"{problem}. {_offer()}")
    return path


def _offer() -> str:
    names = available()
    return f"Available: {', '.join(names)}" if names else "None is installed: train one, or give the path of one"


def read_checkpoint(name_or_path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights (on the CPU) and sidecar of a checkpoint, after verifying schema and hash."""
    import safetensors
    import safetensors.torch

    path = resolve_checkpoint(name_or_path)
    written = _read_sidecar(path.with_suffix(".json"))
    data = _read_limited(path, MAX_WEIGHTS_BYTES)
    # the very bytes that were hashed are the ones parsed: nothing can be swapped in between
    sha256 = hashlib.sha256(data).hexdigest()
    sidecar = written if sha256 == written["sha256"] else _unfinished_sidecar(path, sha256)
    if sidecar is None:
        raise CheckpointError(
            f"{path.name} does not match the sha256 in {path.stem}.json: it was damaged, changed or only half copied. "
            "Copy both files again"
        )
    try:
        return safetensors.torch.load(data), sidecar
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{path.name} is not a valid safetensors file ({one_line(error, 200)}). Copy it again"
        ) from None


def read_sidecar(name_or_path: str | os.PathLike[str]) -> dict[str, Any]:
    """The description of a checkpoint, without reading its weights."""
    return _read_sidecar(resolve_checkpoint(name_or_path).with_suffix(".json"))


def _read_limited(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            # as much as there is: memory for all that is asked for would be taken before the first byte is read
            data = file.read(min(os.fstat(file.fileno()).st_size, most) + 1)
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read ({error.strerror or error})") from None
    if len(data) > most:
        raise CheckpointError(f"{path.name} is larger than the {most / 1e6:g} MB a checkpoint file may have")
    return data


def _read_sidecar(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CheckpointError(f"{path.name} is missing: weights need their description beside them. Copy both files")
    try:
        sidecar = json.loads(_read_limited(path, MAX_SIDECAR_BYTES))
    except (ValueError, RecursionError) as error:  # not only JSON's own: a number of 5000 digits is one as well
        raise CheckpointError(f"{path.name} is not JSON ({one_line(error, 200)}). Copy it again") from None
    _check_sidecar(sidecar, path.name)
    return sidecar


def _unfinished_sidecar(path: Path, sha256: str) -> dict[str, Any] | None:
    """The description that belongs to the weights when their writer was killed before it got its name."""
    for left in path.parent.glob(_temporary_name(path.with_suffix(".json"), "*")):
        with suppress(CheckpointError):
            sidecar = _read_sidecar(left)
            if sidecar["sha256"] == sha256:
                return sidecar
    return None


def _check_sidecar(sidecar: Any, name: str) -> None:
    if not isinstance(sidecar, dict):
        raise CheckpointError(f"{name} must hold a JSON object, not a {type(sidecar).__name__}")
    version = sidecar.get("schema_version")
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise CheckpointError(
            f"{name} has schema version {one_line(repr(version), 40)}; this program reads version {SCHEMA_VERSION}. "
            "Use the program version it was made with, or another checkpoint"
        )
    if missing := [key for key in _KEYS if key not in sidecar]:
        raise CheckpointError(f"{name} lacks {', '.join(missing)}: it does not describe a checkpoint. Copy it again")
    for key, kind in _KEYS.items():
        if not isinstance(sidecar[key], kind) or isinstance(sidecar[key], bool):
            raise CheckpointError(f"{name}: {key} must be of type {kind.__name__}, not {type(sidecar[key]).__name__}")
    if not 1 <= sidecar["vocab_size"] <= 65_536:
        raise CheckpointError(f"{name}: vocab_size is {sidecar['vocab_size']}; allowed: 1 to 65536")
    if not _SHA256.fullmatch(sidecar["sha256"]):
        raise CheckpointError(f"{name}: sha256 is not 64 hexadecimal digits")


def save_checkpoint(path: str | os.PathLike[str], weights: Mapping[str, Tensor], sidecar: Mapping[str, Any]) -> str:
    """Write NAME.safetensors and NAME.json; returns the sha256 of the weights file.

    Both are complete on disk before either gets its name, weights first: after a crash in between `read_checkpoint`
    finds the description that belongs to them. What earlier crashes have left is removed.
    """
    import safetensors.torch

    path = Path(path)
    if path.suffix != ".safetensors" or not is_name(path.stem):
        raise CheckpointError(f"{path.name!r} is no checkpoint file: NAME.safetensors with letters, digits, - and _")
    # clones, because safetensors refuses weights that share memory (tied layers, views)
    tensors = {key: value.detach().cpu().clone().contiguous() for key, value in weights.items()}
    data = safetensors.torch.save(tensors)
    sha256 = hashlib.sha256(data).hexdigest()
    content = {"name": path.stem, "data": {}, "recipe": {}, "metrics": {}, **sidecar}
    content = {**content, "schema_version": SCHEMA_VERSION, "sha256": sha256}
    _check_sidecar(content, f"{path.stem}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    waiting: list[tuple[Path, Path]] = []
    try:
        for target, part in ((path, data), (path.with_suffix(".json"), _json_bytes(content))):
            waiting.append((_write_temporary(target, part), target))
        for temporary, target in waiting:
            os.replace(temporary, target)
        for target in (path, path.with_suffix(".json")):
            for left in path.parent.glob(_temporary_name(target, "*")):
                left.unlink(missing_ok=True)
    finally:
        for temporary, _ in waiting:
            temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)
    return sha256


def _temporary_name(target: Path, number: str) -> str:
    return f".{target.name[:100]}.{number}.tmp"


def atomic_write_bytes(path: str | os.PathLike[str], data: bytes | memoryview) -> None:
    """Write a file that appears whole or not at all; a crash leaves the old one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _write_temporary(path, data)
    try:
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def atomic_write_json(path: str | os.PathLike[str], obj: Any) -> None:
    """Write JSON atomically; numbers that JSON does not know (NaN, infinity) become null."""
    atomic_write_bytes(path, _json_bytes(obj))


def _json_bytes(obj: Any) -> bytes:
    text = json.dumps(plain_json(obj), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", "backslashreplace")  # a file name may hold halves of characters: as JSON escapes them


def plain_json(obj: Any) -> Any:
    """Containers, paths and scalars of other libraries as plain JSON values."""
    if isinstance(obj, Mapping):
        return {str(key): plain_json(value) for key, value in obj.items()}
    if isinstance(obj, (list, tuple, set, frozenset)):
        return [plain_json(value) for value in (sorted(obj) if isinstance(obj, (set, frozenset)) else obj)]
    if isinstance(obj, os.PathLike):
        return os.fspath(obj)
    if hasattr(obj, "tolist"):  # numpy and torch, scalars and arrays
        return plain_json(obj.tolist())
    if isinstance(obj, float) and not math.isfinite(obj):
        return None
    return obj


def _write_temporary(target: Path, data: bytes | memoryview) -> Path:
    """All bytes on disk under another name in the same folder, so that renaming cannot cross file systems."""
    temporary = target.with_name(_temporary_name(target, secrets.token_hex(6)))
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system can (Windows cannot open folders)."""
    with suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
