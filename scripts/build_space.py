"""Build the folder of a Hugging Face Space: the app, its model, exact versions of what it needs, and nothing else.

    python -m scripts.build_space build/space

The versions are those installed here, that is, those which the tests ran with: build where they passed. Two builds of
one checkout in one environment are the same.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "scripts" / "space_readme.md"
LISTING = ".space-files"  # what was written, so that a later build may replace it
FILES = ("app.py", "LICENSE", "checkpoints/base.json", "checkpoints/base.safetensors")
TREES = {"app": (".py", ".js", ".css", ".json", ".ogg"), "pairalign": (".py", ".typed")}
# reports are no part of the page, and a Space has no microphone of its own
UNUSED = ("matplotlib", "sounddevice")
TESTS = "# tests and checks"  # what follows in requirements.txt is no part of the page either
SPACES = "spaces==0.51.3"  # lends the GPU where a Space has ZeroGPU hardware; no other place needs it
# the Hub takes binary files through Git LFS only
GIT_ATTRIBUTES = "*.safetensors filter=lfs diff=lfs merge=lfs -text\n*.ogg filter=lfs diff=lfs merge=lfs -text\n"
PACKAGES = ""  # from apt: none, soundfile brings its libraries along


class SpaceError(ValueError):
    """The folder cannot be built; the message says what to change."""


def build(folder: Path) -> list[str]:
    """Write the Space into `folder`, which is new, empty, or of an earlier build; returns the files' names in order.

    Files that an earlier build did not write, such as those of a Git repository, are left alone.
    Raises: SpaceError for a folder with other contents, or a package that is not installed.
    """
    _require_own(folder)
    written = {
        "README.md": README.read_text(encoding="utf-8").replace("{gradio}", _installed("gradio")),
        "requirements.txt": requirements((ROOT / "requirements.txt").read_text(encoding="utf-8")),
        "packages.txt": PACKAGES,
        ".gitattributes": GIT_ATTRIBUTES,
    }
    copied = sorted({*FILES, *_tree_files()})
    names = sorted([*written, *copied, LISTING])
    _clear(folder)
    for name in copied:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    for name, text in {**written, LISTING: "\n".join(names) + "\n"}.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return names


def requirements(ranges: str) -> str:
    """The lines of a requirements.txt with the installed version of each package, without those the page never uses.

    Raises: SpaceError for a package that is not installed.
    """
    names = [re.match(r"[A-Za-z0-9._-]+", line) for line in ranges.partition(TESTS)[0].splitlines()]
    pins = [f"{found[0]}=={_installed(found[0])}" for found in names if found and found[0] not in UNUSED]
    return "\n".join([*pins, SPACES]) + "\n"


def _installed(package: str) -> str:
    try:
        return importlib.metadata.version(package).split("+")[0]  # a build for CPUs or of one CUDA is called 2.11.0+cpu
    except importlib.metadata.PackageNotFoundError:
        raise SpaceError(f"{package} is not installed, so its version cannot be told: pip install {package}.") from None


def _tree_files() -> Iterator[str]:
    for tree, endings in TREES.items():
        for path in (ROOT / tree).rglob("*"):
            if path.suffix in endings and path.is_file():
                yield path.relative_to(ROOT).as_posix()


def _require_own(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise SpaceError(f"{folder} is no folder. Choose another place.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / LISTING).is_file():
        raise SpaceError(
            f"{folder} is not empty and was not made by this script. Choose a new or empty folder, or empty this one."
        )


def _clear(folder: Path) -> None:
    """Remove what an earlier build wrote, and no file outside the folder whatever its listing says."""
    folder.mkdir(parents=True, exist_ok=True)
    listing = folder / LISTING
    for name in listing.read_text(encoding="utf-8").splitlines() if listing.is_file() else ():
        path = folder / name
        if path.resolve().is_relative_to(folder.resolve()) and path.is_file():
            path.unlink()


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when the folder was built, 2 when it cannot be."""
    parser = argparse.ArgumentParser(description="Build the folder of a Hugging Face Space.")
    parser.add_argument("out", type=Path, metavar="OUT", help="a new or empty folder, or one of an earlier build")
    folder = parser.parse_args(arguments).out
    try:
        names = build(folder)
    except (SpaceError, OSError) as error:
        print(f"build_space: {error}", file=sys.stderr)
        return 2
    megabytes = sum((folder / name).stat().st_size for name in names) / 1e6
    print(f"{folder}: {len(names)} files, {megabytes:.0f} MB. docs/space.md tells how to push it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
