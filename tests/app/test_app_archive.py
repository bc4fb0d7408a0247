"""Archives as the page uses them: opened, filled, told apart by name, the demo's and one's own."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from pathlib import Path

import pytest

from app import archive_words, demo_archive, ui
from app.archive_search import Options, search_audio
from app.archives import Added, Archives
from app.services import Services
from pairalign.archive import decoder
from pairalign.archive.report import IngestReport, Progress
from pairalign.audio import read_audio


def silent(_: float) -> None:
    """Nobody watches."""


@pytest.fixture(scope="module")
def public(tiny_checkpoint: Path) -> Archives:
    return Archives(Services(str(tiny_checkpoint), device="cpu", public=True))


# --- the demo -----------------------------------------------------------------------------------------------------


def test_the_demo_recordings_ship_with_what_is_said_and_stay_small():
    entries = demo_archive.entries()
    assert 40 <= len(entries) <= 60 and len(demo_archive.files()) == len(entries)
    assert all(entry["text"] and entry["voice"] for entry in entries.values())
    assert sum(path.stat().st_size for path in demo_archive.FOLDER.iterdir()) < 1_000_000
    assert not list(demo_archive.FOLDER.glob("*.db"))


def test_the_demo_is_indexed_on_first_use_and_found_again(archives):
    info = archives.open(demo_archive.NAME).info()
    assert info.recordings == len(demo_archive.files())
    assert set(info.methods) == {"pairalign", "vq"}
    assert archives.open(demo_archive.NAME) is archives.open(demo_archive.NAME)
    path = demo_archive.path_for(archives.services.tokenizer().sha256)
    changed = path.stat().st_mtime_ns
    assert Archives(archives.services).open(demo_archive.NAME).info().recordings == info.recordings
    assert path.stat().st_mtime_ns == changed, "what is there is not indexed again"


def test_every_model_has_a_demo_of_its_own():
    assert demo_archive.path_for("a" * 64) != demo_archive.path_for("b" * 64)


def test_a_recording_of_the_demo_finds_itself_first(archives):
    wave = read_audio(demo_archive.FOLDER / "harbour_light_b.ogg")
    for mode in ("contains", "whole"):
        found = search_audio(archives, "demo", wave, (), Options(mode, 5), silent)
        assert set(found.answers) == {"pairalign", "vq"}
        for answer in found.answers.values():
            assert len(answer.hits) == 5 and answer.hits[0].distance == 0 and answer.elapsed_ms > 0
            assert "harbour_light_b.ogg" in [hit.path.name for hit in answer.hits if hit.distance == 0]


# --- names, and who may what --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "../evil", "a/b", "a b", "x" * 65, "ümlaut", "demo"])
def test_bad_and_taken_names_are_refused(own, name):
    with pytest.raises(ValueError):
        own.create(name)
    with pytest.raises(ValueError, match="already"):
        own.create("mine")
    assert own.names() == ["demo", "mine"]


def test_an_archive_can_be_opened_by_the_path_of_its_file(own, tmp_path, uploads):
    own.add("mine", uploads[:1])
    path = tmp_path / "home" / "archives" / "mine.db"
    assert own.open(str(path)).info().recordings == 1
    with pytest.raises(ValueError, match="no such archive"):
        own.open(str(tmp_path / "none.db"))
    (tmp_path / "text.db").write_text("no archive at all" * 100)
    with pytest.raises(ValueError, match="text.db"):
        own.open(str(tmp_path / "text.db"))


def test_in_public_there_is_the_demo_and_nothing_can_be_written(public, own, tmp_path, uploads):
    assert public.names() == ["demo"]
    assert public.open("demo").info().recordings
    for name in ("mine", str(tmp_path / "home" / "archives" / "mine.db"), "/etc/passwd"):
        with pytest.raises(ValueError, match="open to everyone"):
            public.open(name)
    with pytest.raises(ValueError, match="open to everyone"):
        public.create("theirs")
    for name in ("demo", "mine"):
        with pytest.raises(ValueError, match="open to everyone"):
            public.add(name, uploads)
        with pytest.raises(ValueError, match="open to everyone"):
            public.add(name, folder=str(tmp_path))


def test_the_public_page_has_no_control_that_writes_or_takes_a_path(public):
    config = str(ui.build(public.services).get_config_file())
    assert "pa-archive-name" in config and "open to everyone" in config
    for control in ("pa-archive-add", "pa-archive-create", "pa-archive-files", "pa-archive-folder"):
        assert control not in config


def test_nothing_is_added_to_the_demo(own, uploads):
    with pytest.raises(ValueError, match="stays as it is"):
        own.add("demo", uploads)


# --- adding -------------------------------------------------------------------------------------------------------


def test_uploads_are_copied_so_that_they_can_be_played_later(own, tmp_path, uploads):
    seen = []
    added = own.add("mine", uploads, progress=seen.append)
    assert not added.cancelled and added.report.recordings == 3
    assert [Path(skip.path).name for skip in added.report.skipped] == ["bad.wav"]
    assert seen[-1].files_done == seen[-1].files == 4
    for upload in uploads:
        Path(upload).unlink()
    folder = tmp_path / "home" / "archives" / "mine-audio"
    assert sorted(path.name for path in folder.iterdir()) == [
        "garden_tea_a.ogg",
        "harbour_light_b.ogg",
        "train_late_c.ogg",
    ], "what was skipped leaves no copy"
    assert all(recording.path.is_file() for recording in own.open("mine").recordings())


def test_the_same_upload_twice_is_kept_once(own, tmp_path, uploads):
    own.add("mine", uploads[:2])
    report = own.add("mine", uploads[:2]).report
    assert (report.recordings, report.known) == (0, 2)
    assert len(list((tmp_path / "home" / "archives" / "mine-audio").iterdir())) == 2


def test_different_uploads_of_one_name_are_both_kept(own, tmp_path, uploads):
    (tmp_path / "other").mkdir()
    other = shutil.copy(uploads[1], tmp_path / "other" / Path(uploads[0]).name)
    own.add("mine", [uploads[0], str(other)])
    assert own.open("mine").info().recordings == 2


def test_a_folder_is_indexed_where_it_is(own, tmp_path, uploads):
    report = own.add("mine", folder=f" {tmp_path} ").report
    assert report.recordings == 3
    assert {recording.path.parent for recording in own.open("mine").recordings()} == {tmp_path}
    for folder in (str(tmp_path / "nowhere"), "x" * 5000):
        with pytest.raises(ValueError, match="no such folder"):
            own.add("mine", folder=folder)
    with pytest.raises(ValueError, match="nothing to add"):
        own.add("mine")


def test_cancelling_leaves_whole_recordings_and_no_stray_copies(own, tmp_path, uploads):
    def stop_at_once(_):
        own.services.stop("mine/add")

    added = own.add("mine", uploads, run_id="mine/add", progress=stop_at_once)
    assert added.cancelled
    there = own.open("mine").info().recordings
    assert added.report.recordings == there
    assert len(list((tmp_path / "home" / "archives" / "mine-audio").iterdir())) == there
    assert "had been added and stay" in archive_words.added_html(added)
    assert own.add("mine", uploads).report.recordings == 3 - there


def test_a_sample_is_spread_over_the_archive_and_leaves_out_what_is_gone(own, uploads):
    assert [path.name[-5] for path in own.sample("demo", 16)] == ["a"] * 16, "every third of 48"
    assert len(own.sample("demo", 1000)) == len(demo_archive.files())
    own.add("mine", folder=str(Path(uploads[0]).parent))
    Path(uploads[0]).unlink()
    assert sorted(path.name for path in own.sample("mine", 5)) == ["harbour_light_b.ogg", "train_late_c.ogg"]


def test_what_is_no_file_is_skipped_and_a_run_that_hangs_can_be_cancelled(own, tmp_path, uploads, monkeypatch):
    folder = tmp_path / "odd"
    folder.mkdir()
    os.mkfifo(folder / "pipe.wav")
    (folder / "zero.wav").symlink_to("/dev/zero")
    report = own.add("mine", folder=str(folder)).report
    assert sorted(Path(skip.path).name for skip in report.skipped) == ["pipe.wav", "zero.wav"]
    page = archive_words.added_html(Added(report))
    assert "a named pipe" in page and "2 files skipped" in page
    shutil.copy(uploads[0], folder)
    monkeypatch.setattr(decoder, "serve_command", lambda: [sys.executable, "-c", "import time; time.sleep(600)"])
    threading.Timer(0.5, own.services.stop, ["mine/add"]).start()
    assert own.add("mine", folder=str(folder), run_id="mine/add").cancelled
    with own.open("mine").store.writer():  # nobody else holds the archive
        pass


def test_what_happened_to_recordings_that_were_there_is_told():
    report = IngestReport(known=3, moved=2, removed=("/a/gone.wav",), ignored=4)
    page = archive_words.added_html(Added(report))
    assert "2 recordings followed" in page and "1 recording taken out" in page and "4 other files ignored" in page
    assert archive_words.progress_words(Progress(0, 9, 0, 0, 0.0, 1.0, checked=4)) == "4 of 9 files looked at"


def test_recordings_that_are_away_are_counted(own, tmp_path, uploads):
    own.add("mine", folder=uploads[0])
    Path(uploads[0]).unlink()
    archive = own.open("mine")
    page = archive_words.info_html(archive.info(), "mine", len(archive.missing()))
    assert "1 of 1 recordings are not where they were" in page
    assert "not where they were" not in archive_words.info_html(archive.info(), "mine")


def test_an_archive_of_ones_own_is_deleted_with_its_copies_and_nothing_else(own, public, tmp_path, uploads):
    own.add("mine", uploads[:2], folder=uploads[2])
    folder = tmp_path / "home" / "archives"
    opened = own.open("mine")
    with opened.store.writer(), pytest.raises(ValueError, match="being added"):
        own.delete("mine")
    own.delete("mine")
    assert not list(folder.iterdir()) and own.names() == ["demo"] and Path(uploads[2]).is_file()
    with pytest.raises(ValueError, match="There is no archive mine"):
        own.open("mine")
    own.create("mine")
    assert own.open("mine").info().recordings == 0
    shutil.copy(folder / "mine.db", tmp_path / "elsewhere.db")
    for name in ("demo", "", "nosuch", "../mine", str(tmp_path / "elsewhere.db")):
        with pytest.raises(ValueError):
            own.delete(name)
    with pytest.raises(ValueError, match="open to everyone"):
        public.delete("mine")
    assert (tmp_path / "elsewhere.db").is_file() and own.names() == ["demo", "mine"]
