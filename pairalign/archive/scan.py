"""Which recordings a folder, a manifest or a file stands for; nothing that may be one is left out silently."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pairalign.archive.report import Skipped
from pairalign.formats import AUDIO_SUFFIXES, READABLE
from pairalign.home import one_line
from pairalign.training.corpora import DataError, of_split, read_manifest

_PEEK_BYTES = 4096


@dataclass(frozen=True)
class Listing:
    """Recordings to add, what is left out and why, and how many other files the folder holds."""

    paths: tuple[Path, ...]
    skipped: tuple[Skipped, ...] = ()
    ignored: int = 0


def find_recordings(source: str | os.PathLike[str], split: str | None = None) -> Listing:
    """The recordings that a folder (with everything below it), a manifest or a single file stands for.

    Raises: DataError when there are none, or no such file.
    """
    path = Path(source)
    if os.path.isdir(path):
        return _of_folder(path, split)
    if os.path.exists(path) and not os.path.isfile(path):
        raise DataError(f"{one_line(path)}: this is no regular file. Give a folder, a manifest CSV or a recording.")
    if os.path.isfile(path) and (is_audio_name(path.name) or not _is_text(path)):
        return Listing((path,))
    return Listing(_of_manifest(path, split))


def is_audio_name(name: str) -> bool:
    """Whether a file of this name is taken for a recording."""
    return os.path.splitext(name.lower())[1] in AUDIO_SUFFIXES


def _is_text(path: Path) -> bool:
    """Whether a file that is not named as audio may be a manifest; one that cannot be read is refused as such."""
    if path.suffix.lower() == ".csv":
        return True
    try:
        with path.open("rb") as file:
            return b"\0" not in file.read(_PEEK_BYTES)
    except OSError:
        return True


def _of_manifest(path: Path, split: str | None) -> tuple[Path, ...]:
    utterances = read_manifest(path)
    chosen = range(len(utterances)) if split is None else of_split(utterances, split)
    return tuple(utterances[i].path for i in chosen)


def _of_folder(root: Path, split: str | None) -> Listing:
    walk = _Walk(root)
    if (root / "manifest.csv").is_file():
        listed = {os.path.realpath(path) for path in _of_manifest(root, None)}
        rest = [path for path in walk.paths if os.path.realpath(path) not in listed]
        return Listing(_of_manifest(root, split), tuple(_unlisted(root, rest)))
    if not walk.paths and not walk.skipped:
        others = f" ({walk.ignored} other files)" if walk.ignored else ""
        raise DataError(f"{one_line(root)}: no audio found in this folder or below it{others}. Accepted: {READABLE}.")
    paths = tuple(walk.paths) if split is None else _of_manifest(root, split)
    return Listing(paths, tuple(walk.skipped), walk.ignored)


def _unlisted(root: Path, rest: list[Path]) -> Iterator[Skipped]:
    if rest:
        count, first = len(rest), rest[0].relative_to(root).as_posix()
        yield Skipped(
            str(root / "manifest.csv"), f"{count} audio files of the folder are not listed in it, the first is {first}"
        )


@dataclass
class _Walk:
    """A folder and everything below it."""

    root: Path
    paths: list[Path] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    ignored: int = 0

    def __post_init__(self) -> None:
        for folder, folders, files in os.walk(self.root, onerror=self._refused):
            folders[:] = [name for name in sorted(folders) if self._enters(os.path.join(folder, name), name)]
            lower = {name.lower() for name in files}
            for name in sorted(files):
                self._look_at(Path(folder) / name, name, lower)

    def _refused(self, error: OSError) -> None:
        if os.fspath(error.filename) == os.fspath(self.root):
            raise DataError(f"{one_line(self.root)}: cannot be read ({error.strerror}). Check its permissions.")
        self._skip(error.filename, f"this folder cannot be read ({error.strerror}). Check its permissions")

    def _enters(self, path: str, name: str) -> bool:
        """Whether to go on in a folder. Hidden ones are caches and bins; links may lead in circles."""
        if os.path.islink(path):
            self._skip(path, "links to folders are not followed. Index that folder by itself")
            return False
        if name.startswith("."):
            count = sum(is_audio_name(one) for _, _, files in os.walk(path) for one in files)
            if count:
                self._skip(path, f"a hidden folder with {count} audio files. Index it by itself to add them")
            return False
        if is_audio_name(name):
            self._skip(path, "this is a folder, not a recording; the recordings in it are added")
        return True

    def _look_at(self, path: Path, name: str, beside: set[str]) -> None:
        stem, _ = os.path.splitext(name.lower())
        if not is_audio_name(name):
            self.ignored += 1
        elif name.startswith("._"):
            self._skip(path, "macOS keeps a file's attributes in it (AppleDouble), no sound")
        elif name.startswith("."):
            self._skip(path, "a hidden file: its name begins with a dot. Rename it to add it")
        elif stem.endswith(".wav") and stem in beside:
            # Some copies of TIMIT hold SA1.WAV (SPHERE) and the same audio again as SA1.WAV.wav.
            self._skip(path, f"taken for a second version of {os.path.splitext(name)[0]}. Rename it to add it")
        else:
            self.paths.append(path)

    def _skip(self, path: str | Path, reason: str) -> None:
        self.skipped.append(Skipped(os.fspath(path), reason))
