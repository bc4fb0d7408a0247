"""Names that a person or a program gives: none leads out of its folder, becomes an option, or ends in a traceback."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from app.archives import Archives
from app.class_recordings import ClassRecordings
from app.exports import safe_stem
from app.services import Services
from app.training_runs import TrainingRuns
from pairalign import CheckpointError
from pairalign.archive.errors import ArchiveError
from pairalign.archive.store import Store
from pairalign.audio import AudioError, read_audio
from pairalign.checkpoint import resolve_checkpoint, save_checkpoint
from pairalign.home import checked_name, inside
from pairalign.training.corpora import DataError, read_manifest
from pairalign.training.finetune_settings import FinetuneSettings

ROOT = Path(__file__).resolve().parents[2]
TRICKS = (
    "", " ", ".", "..", "../evil", "..\\evil", "/etc/passwd", "C:\\evil", "a/b", "a\\b", "a\0b", "a\nb", "∕etc∕passwd",
    "．．／evil", "a b", "-rf", "--help", "CON", "nul", "com1", "x" * 65, "x" * 5_000, "ümlaut", "~", "~nobody-here",
    "$HOME", "%2e%2e%2fevil", "file:///etc/passwd", "a;b", "mine.db/../evil", "\u202egnp", "a\ud800",
)  # fmt: skip


@pytest.fixture(autouse=True)
def fenced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home inside a folder in which nothing else may appear."""
    monkeypatch.setenv("PAIRALIGN_HOME", str(tmp_path / "fence" / "home"))
    (tmp_path / "fence").mkdir()
    return tmp_path / "fence"


def outside(fence: Path) -> list[Path]:
    return [path for path in fence.iterdir() if path.name != "home"]


def readable(error: BaseException) -> bool:
    text = str(error)
    return "\n" not in text and "Traceback" not in text and len(text) < 700


@pytest.mark.parametrize("name", TRICKS)
def test_no_name_of_ones_own_things_leads_anywhere_else(name, fenced, services, tiny_checkpoint, recordings):
    archives, classes, runs = Archives(services), ClassRecordings(), TrainingRuns()
    classes.create("words", "one")
    speech = str(recordings["speech.wav"])
    acts: dict[str, Callable[[], object]] = {
        "name": lambda: checked_name(name),
        "inside": lambda: inside(fenced, name, ending=".db"),
        "archive create": lambda: archives.create(name),
        "archive open": lambda: archives.open(name),
        "archive add": lambda: archives.add(name, [speech]),
        "class create": lambda: classes.create(name, "one"),
        "class load": lambda: classes.load(name),
        "class delete": lambda: classes.delete(name),
        "class bundle": lambda: classes.bundle(name),
        "speaker": lambda: classes.save_take("words", name, "one", speech),
        "run look": lambda: runs.look(name),
        "run stop": lambda: runs.stop(name),
        "run resume": lambda: runs.resume(name),
        "run delete": lambda: runs.delete(name),
        "run bundle": lambda: runs.bundle(name),
        "settings": lambda: FinetuneSettings(name, "recordings"),
        "checkpoint": lambda: resolve_checkpoint(name),
    }
    for what, act in acts.items():
        with pytest.raises(ValueError) as caught:
            act()
        assert readable(caught.value), what
    if name and name != ".":
        with pytest.raises((CheckpointError, OSError, ValueError)):
            save_checkpoint(fenced / "home" / f"{name}.safetensors", {}, {})
    assert outside(fenced) == []


def test_links_among_ones_own_things_are_not_followed_out(fenced, services, tiny_checkpoint):
    secret = fenced.parent / "secret"
    (secret / "inner").mkdir(parents=True)
    Store(secret / "talks.db")
    home = fenced / "home"
    for folder, link, target in (
        ("archives", "mine.db", secret / "talks.db"),
        ("classes", "mine", secret),
        ("runs", "mine", secret),
        ("checkpoints", "mine.safetensors", tiny_checkpoint),
    ):
        (home / folder).mkdir(parents=True, exist_ok=True)
        (home / folder / link).symlink_to(target)
    runs = TrainingRuns()
    for act in (
        lambda: Archives(services).open("mine"),
        lambda: ClassRecordings().delete("mine"),
        lambda: runs.delete("mine"),
        lambda: runs.bundle("mine"),
    ):
        with pytest.raises(ValueError, match="leads out of|no run"):
            act()
    assert (secret / "inner").is_dir() and (secret / "talks.db").is_file()


@pytest.mark.parametrize(
    "name", ["../../evil.wav", "CON.wav", "-rf.wav", "a\u202eb.wav", "x" * 250 + ".wav", "....wav"]
)
def test_uploads_of_any_name_are_kept_under_a_safe_one(name, fenced, services, recordings, tmp_path, monkeypatch):
    from app.archives import _audio_folder, _copy

    upload = tmp_path / name.replace("/", "_")[-250:]
    shutil.copy(recordings["speech.wav"], upload)
    archives = Archives(services)
    archives.create("mine")
    folder = _audio_folder(archives.open("mine"))
    kept = _copy(upload, folder)
    assert kept.parent == folder and len(read_audio(kept)) > 16_000
    assert kept.stem.isprintable() and not kept.name.startswith(("-", ".")) and kept.stem.lower() != "con"
    assert safe_stem(kept.name) == kept.stem and outside(fenced) == []


@pytest.mark.parametrize("path", [name for name in TRICKS if name.strip() not in ("", ".", "..", "~", "-rf")])
def test_paths_that_lead_nowhere_are_told(path, fenced, services, monkeypatch):
    monkeypatch.chdir(fenced)
    for act, error in (
        (lambda: read_audio(path), AudioError),
        (lambda: read_manifest(path), DataError),
        (lambda: Store(f"{path}.db" if path[0] != "/" else path, create=False), ArchiveError),
        (lambda: Archives(services).open(f"{path}.db"), ValueError),
        (lambda: resolve_checkpoint(f"{path}.safetensors"), CheckpointError),
    ):
        with pytest.raises(error) as caught:
            act()
        assert readable(caught.value)
    assert outside(fenced) == []


@pytest.mark.parametrize("folder", ["~nobody-here/x", "x" * 300, "/" + "x/" * 3_000, "a\0b", "\ud800"])
def test_folders_to_index_that_lead_nowhere_are_told(folder, services):
    archives = Archives(services)
    archives.create("mine")
    with pytest.raises(ValueError) as caught:
        archives.add("mine", folder=folder)
    assert readable(caught.value)


def test_a_public_app_opens_nothing_but_its_demo_through_the_api(tiny_checkpoint, tmp_path):
    archives = Archives(Services(str(tiny_checkpoint), "cpu", public=True))
    Store(tmp_path / "secret.db")
    for name in (str(tmp_path / "secret.db"), "mine", *TRICKS):
        with pytest.raises(ValueError) as caught:
            archives.open(name)
        assert readable(caught.value)


@pytest.fixture(scope="module")
def client(app_url: str) -> Client:
    return Client(app_url, verbose=False, httpx_kwargs={"timeout": 60})


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a\0b", "x" * 5_000, "~nobody-here", "/etc/passwd.db"])
def test_archive_names_from_programs_are_refused_in_one_sentence(client, name):
    for ask in (
        lambda: client.predict(name, api_name="/archive_info"),
        lambda: client.predict(None, "abc", name, api_name="/archive_search"),
    ):
        with pytest.raises(AppError) as caught:
            ask()
        assert readable(caught.value) and "our side" not in str(caught.value)


@pytest.mark.parametrize(
    ("api_name", "arguments"),
    [
        ("/archive_search", [None, ["a"], {"b": 1}, 3, None, "ten", 7]),
        ("/archive_search", [None, "abc", "demo", "contains", "pairalign", 1e308, ""]),
        ("/regenerate", [None, "many", [], None, "x"]),
        ("/sweep", [None, {"a": 1}, "x", "y", "z", 5]),
        ("/views", [None, 5, "x", {}, None, None, "z"]),
        ("/tokenize", ["/etc/passwd", "pairalign"]),
        ("/tokenize", [{"path": "../../etc/passwd", "meta": {"_type": "gradio.FileData"}}, 3]),
    ],
)
def test_arguments_of_a_wrong_kind_are_refused_without_a_traceback(client, api_name, arguments):
    with pytest.raises(Exception) as caught:
        client.predict(*arguments, api_name=api_name)
    assert "Traceback" not in str(caught.value) and "/work" not in str(caught.value)


def test_the_name_of_an_uploaded_file_is_shown_and_never_used(client, recordings, tmp_path):
    path = tmp_path / "<img src=x onerror=alert(1)> & ..%2f.wav"
    shutil.copy(recordings["speech.wav"], path)
    document = client.predict(handle_file(str(path)), api_name="/tokenize")
    assert "/" not in document["files"][0]["file"]


def test_uploads_lie_in_a_folder_of_the_apps_own_that_nobody_else_can_read(tiny_checkpoint, monkeypatch):
    """Gradio's usual one is shared: an app that ended took files away that another's calls were waiting to read."""
    spec = importlib.util.spec_from_file_location("start_app", ROOT / "app.py")
    start = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(start)
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")  # so that it is put back afterwards
    monkeypatch.delenv("GRADIO_TEMP_DIR")
    seen = []

    class Page:
        def launch(self, **_: object) -> tuple[object, str, None]:
            return None, "http://127.0.0.1:7860/", None

        def block_thread(self) -> None:
            folder = Path(os.environ["GRADIO_TEMP_DIR"])
            seen.append((folder, folder.stat().st_mode & 0o077))

    monkeypatch.setattr("app.ui.build", lambda services: Page())
    assert start.main(["--checkpoint", str(tiny_checkpoint), "--device", "cpu"]) == 0
    ((folder, others),) = seen
    assert others == 0 and "pairalign-uploads" in folder.name and not folder.exists()
