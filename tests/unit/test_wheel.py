"""An installed package works by itself: without the checkout, from any folder, with the shipped checkpoints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import pairalign

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The contents of the wheel that `pip install .` would install."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ["-m", "pip", "wheel", str(ROOT), "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([sys.executable, *build], check=True, capture_output=True, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def run(installed: Path, *arguments: str) -> str:
    """Output of a command of the installed package, called in a folder without a checkout around it."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "PAIRALIGN_HOME": str(installed.parent / "home")}
    command = [sys.executable, "-m", "pairalign", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=installed.parent, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_every_module_and_the_shipped_checkpoints(installed):
    modules = {path.relative_to(ROOT) for path in (ROOT / "pairalign").rglob("*.py")}
    files = {path.relative_to(installed) for path in installed.rglob("*") if path.is_file()}
    assert modules <= files
    assert Path("pairalign/py.typed") in files
    for name in pairalign.available():
        assert (installed / "pairalign/checkpoints" / f"{name}.safetensors").is_file()
        assert (installed / "pairalign/checkpoints" / f"{name}.json").is_file()


def test_an_installed_package_tokenizes_with_base(installed):
    recording = ROOT / "app" / "examples" / "garden_first.ogg"
    document = json.loads(run(installed, "tokenize", str(recording), "--json"))
    assert document["checkpoint"] == "base"
    checkout = pairalign.load("base").tokenize(recording)
    assert document["files"][0]["strings"]["pairalign"]["ids"] == list(checkout.ids)


def test_no_message_of_the_library_names_what_a_wheel_lacks():
    for path in (ROOT / "pairalign").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for absent in ("python -m scripts", "requirements.txt", "python app.py", "app/examples"):
            assert absent not in text, f"{path.name} names {absent}"
