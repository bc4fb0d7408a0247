"""A home of somebody else, or none: what needs no home works, the rest says which folder cannot be used."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.archives import Archives
from app.class_recordings import ClassRecordings
from app.services import Services
from app.training_runs import TrainingRuns
from pairalign import PairAlignError, available, checkpoint, cli
from pairalign import home as home_module
from pairalign.checkpoint import resolve_checkpoint
from pairalign.home import home, listed
from pairalign.training.finetune_settings import FinetuneSettings
from tests.conftest import babble


@pytest.fixture(params=["a file", "below a file", "a loop", "unreadable"])
def bad_home(request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PAIRALIGN_HOME that cannot be used; permissions by a stand-in, because they do not bind root."""
    (tmp_path / "file").write_text("x", encoding="utf-8")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    places = {"a file": "file", "below a file": "file/deep", "a loop": "loop", "unreadable": "locked/home"}
    folder = tmp_path / places[request.param]
    if request.param == "unreadable":
        for name in ("stat", "lstat", "listdir", "scandir", "mkdir", "open"):
            monkeypatch.setattr(os, name, _refusing(getattr(os, name), str(tmp_path / "locked")))
    monkeypatch.setenv("PAIRALIGN_HOME", str(folder))
    home_module._warn.cache_clear()
    return folder


def _refusing(real: Callable[..., Any], place: str) -> Callable[..., Any]:
    def act(path: Any, *args: Any, **options: Any) -> Any:
        if isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(place):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return real(path, *args, **options)

    return act


@pytest.fixture(scope="module")
def services(tiny_checkpoint) -> Services:
    return Services(str(tiny_checkpoint), "cpu", False)


def test_what_needs_no_home_works_and_the_folder_is_named_once(bad_home: Path, services, capsys, caplog):
    assert "base" in available() and available() == available()
    assert resolve_checkpoint("base").name == "base.safetensors"
    assert Archives(services).names() == ["demo"]
    assert ClassRecordings().names() == TrainingRuns().names() == [] and TrainingRuns().current() is None
    assert cli.main(["--help"]) == 0 and "usage: pairalign" in capsys.readouterr().out
    (warning,) = [record.getMessage() for record in caplog.records]
    assert f"{bad_home} cannot be read (" in warning and "Set PAIRALIGN_HOME to a folder of your own" in warning


def test_what_needs_a_home_says_why_it_cannot(bad_home: Path, services, tmp_path: Path):
    with pytest.raises(checkpoint.CheckpointError, match="no checkpoint named 'mine'. Available: base"):
        resolve_checkpoint("mine")
    acts: list[Callable[[], Any]] = [
        lambda: Archives(services).create("new"),
        lambda: Archives(services).open("new"),
        lambda: ClassRecordings().create("words", "one\ntwo"),
        lambda: ClassRecordings().load("words"),
        lambda: TrainingRuns().start(FinetuneSettings(name="r", data=str(tmp_path), init="tiny")),
        lambda: TrainingRuns().look("r"),
        lambda: TrainingRuns().bundle("r"),
    ]
    for act in acts:
        with pytest.raises(PairAlignError):
            act()


def test_a_command_that_must_write_there_says_so_in_one_line(bad_home: Path, tmp_path: Path, capsys):
    from pairalign.audio import write_audio

    for k in range(3):
        write_audio(tmp_path / "clips" / f"{k}.wav", babble(1.0, seed=k))
    how = ["--name", "x", "--init", "tiny", "--minutes", "0.2", "--device", "cpu"]
    assert cli.main(["finetune", "--manifest", str(tmp_path / "clips"), *how]) == 2
    err = capsys.readouterr().err.splitlines()
    assert err[-1].startswith("pairalign: ") and "Traceback" not in "".join(err)


def test_an_account_without_a_home_has_its_folder_below_the_root(monkeypatch: pytest.MonkeyPatch):
    """As in a container that runs under a number without a name."""
    for name in ("PAIRALIGN_HOME", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # what it gives when nobody knows the account
    assert home() == Path(os.path.abspath(os.sep)) / ".local" / "share" / "pairalign"


def test_a_folder_that_is_not_there_is_empty_without_a_word(tmp_path: Path, caplog):
    assert listed(tmp_path / "none", "*.db") == [] and not caplog.records
    for name in ("b.db", "a.db", "c.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in listed(tmp_path, "*.db")] == ["a.db", "b.db"]
