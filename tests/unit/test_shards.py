"""Shards hold what an archive holds, and an archive takes them in: once, whole, and only of its own model."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pairalign.archive import cluster
from pairalign.archive.errors import ArchiveError
from pairalign.archive.file_state import read_state
from pairalign.archive.record import Model, Recording
from pairalign.archive.shards import attach, describe_shard, read_shard, shards_in, write_shard
from pairalign.archive.store import Store
from pairalign.archive.window import ArchiveWindow
from pairalign.cli import main

pytest.importorskip("pyarrow", reason="shards need the optional pyarrow")

MODEL = Model("tiny", "a" * 64, {"pairalign": 64, "vq": 64})


def entry(name: str, content: str | None = None, modified_ns: int = 1, windows: int = 2):
    """A recording of some windows, the last one silent."""
    rng = np.random.default_rng(len(name))
    listed = [window(rng, k, tokens=0 if k == windows - 1 else 5) for k in range(windows)]
    recording = Recording(0, Path("/talks") / name, content or f"content of {name}", 3.0 * windows, 100, modified_ns)
    return recording, {method: listed for method in MODEL.methods}


def window(rng: np.random.Generator, number: int, tokens: int) -> ArchiveWindow:
    edges_cs = np.arange(tokens + bool(tokens), dtype=np.int16) * 20
    ids = rng.integers(0, 64, tokens).astype(np.uint16)
    return ArchiveWindow(3.0 * number, 3.0 * number + 3, ids, edges_cs)


def plain(strings) -> dict:
    return {
        method: [(w.start_s, w.end_s, w.ids.tolist(), w.edges_cs.tolist()) for w in windows]
        for method, windows in strings.items()
    }


def contents(store: Store) -> dict:
    """Everything that an archive holds, by path."""
    return {
        dataclasses.replace(r, id=0): plain({m: store.windows(r.id, m) for m in MODEL.methods})
        for r in store.recordings()
    }


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two shards with three recordings."""
    folder = tmp_path / "shards"
    write_shard(folder / "1.parquet", MODEL, [entry("a.wav"), entry("bb.wav", windows=1)])
    write_shard(folder / "2.parquet", MODEL, [entry("ccc.wav", windows=3)])
    return folder


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "talks.db")


def test_what_is_written_is_read(tmp_path):
    written = [entry("a.wav"), entry("Ü ☃.wav", windows=3)]
    assert write_shard(tmp_path / "s.parquet", MODEL, written) == 2
    read = list(read_shard(tmp_path / "s.parquet"))
    assert [recording for recording, _ in read] == [recording for recording, _ in written]
    assert [plain(strings) for _, strings in read] == [plain(strings) for _, strings in written]
    assert all(w.ids.dtype == np.uint16 for _, strings in read for w in strings["vq"])


def test_a_shard_tells_its_model_and_recordings(folder):
    shard = describe_shard(folder / "1.parquet")
    assert shard.model == MODEL and list(shard.model.methods) == list(MODEL.methods)
    assert [recording.path.name for recording in shard.recordings] == ["a.wav", "bb.wav"]


def test_without_recordings_there_is_no_file(tmp_path):
    assert write_shard(tmp_path / "s.parquet", MODEL, []) == 0
    assert not list(tmp_path.iterdir())


def test_an_archive_takes_in_all_shards(folder, store):
    report = attach(store, folder)
    assert (report.recordings, report.windows, report.tokens, report.seconds) == (3, 6, 15, 18.0)
    assert contents(store) == {r: plain(strings) for path in folder.iterdir() for r, strings in read_shard(path)}
    assert store.model() == MODEL


def test_attaching_again_changes_nothing(folder, store):
    attach(store, folder)
    before, revision = contents(store), store.revision()
    report = attach(store, folder)
    assert (report.recordings, report.known, report.replaced) == (0, 3, 0)
    assert (contents(store), store.revision()) == (before, revision)


def test_only_the_wanted_recordings_are_added(folder, store):
    report = attach(store, folder, {Path("/talks/ccc.wav"), Path("/talks/elsewhere.wav")})
    assert (report.recordings, report.known) == (1, 0)
    assert [recording.path.name for recording in store.recordings()] == ["ccc.wav"]


@pytest.mark.parametrize("newer_first", [True, False])
def test_the_later_version_of_a_file_counts(tmp_path, store, newer_first):
    folder = tmp_path / "shards"
    old, new = entry("a.wav", "old", 1), entry("a.wav", "new", 2, windows=4)
    for k, one in enumerate([new, old] if newer_first else [old, new]):
        write_shard(folder / f"{k}.parquet", MODEL, [one])
    for _ in range(2):
        attach(store, folder)
        assert contents(store) == {new[0]: plain(new[1])}


def test_a_newer_recording_of_the_archive_stays(tmp_path, store):
    new = entry("a.wav", "new", 2)
    store.claim(MODEL)
    store.add(*new)
    write_shard(tmp_path / "shards" / "1.parquet", MODEL, [entry("a.wav", "old", 1)])
    assert attach(store, tmp_path / "shards").recordings == 0
    assert contents(store) == {new[0]: plain(new[1])}


def test_an_older_recording_of_the_archive_gives_way(tmp_path, store):
    store.claim(MODEL)
    store.add(*entry("a.wav", "old", 1))
    new = entry("a.wav", "new", 2)
    write_shard(tmp_path / "shards" / "1.parquet", MODEL, [new])
    assert attach(store, tmp_path / "shards").replaced == 1
    assert contents(store) == {new[0]: plain(new[1])}


def test_the_same_content_is_added_once(tmp_path, store):
    write_shard(tmp_path / "shards" / "1.parquet", MODEL, [entry("b.wav", "same")])
    write_shard(tmp_path / "shards" / "2.parquet", MODEL, [entry("a.wav", "same")])
    report = attach(store, tmp_path / "shards")
    assert (report.recordings, report.known) == (1, 1)
    assert [recording.path.name for recording in store.recordings()] == ["a.wav"]


def on_disk(path: Path, content: str, number: int):
    """An entry for a file as it is now; its strings are those of the `number`-th name."""
    state = read_state(path)
    recording, strings = entry("x" * number, windows=number)
    assert path.read_text() == content
    return dataclasses.replace(state.recording(path), duration_s=recording.duration_s), strings


@pytest.mark.parametrize("same_time", [False, True])
def test_files_that_changed_places_take_their_strings_along(tmp_path, store, same_time):
    paths = [tmp_path / "p", tmp_path / "q"]
    for k, path in enumerate(paths):
        path.write_text(f"content {k}")
        os.utime(path, ns=(5, 5) if same_time else (9 - k, 9 - k))
    first = [on_disk(path, f"content {k}", k + 1) for k, path in enumerate(paths)]
    write_shard(tmp_path / "shards" / "1.parquet", MODEL, first)
    assert attach(store, tmp_path / "shards").recordings == 2
    paths[0].rename(tmp_path / "between")
    paths[1].rename(paths[0])
    (tmp_path / "between").rename(paths[1])
    second = [on_disk(path, f"content {1 - k}", 2 - k) for k, path in enumerate(paths)]
    write_shard(tmp_path / "shards" / "2.parquet", MODEL, second)
    for moved in (2, 0):
        report = attach(store, tmp_path / "shards")
        assert (report.recordings, report.known, report.moved, report.removed) == (0, 2, moved, ())
        assert contents(store) == {recording: plain(strings) for recording, strings in second}


def test_a_file_that_got_the_content_of_another_loses_its_string(tmp_path, store):
    folder = tmp_path / "shards"
    p, q = entry("p.wav", "one", 1), entry("q.wav", "two", 1, windows=4)
    write_shard(folder / "1.parquet", MODEL, [p, q])
    attach(store, folder)
    write_shard(folder / "2.parquet", MODEL, [(dataclasses.replace(p[0], sha256="two", modified_ns=2), q[1])])
    report = attach(store, folder)
    assert contents(store) == {q[0]: plain(q[1])}
    assert report.removed == (str(p[0].path),)


def test_files_that_share_size_and_time_are_read_before_they_count_as_done(tmp_path):
    paths = [tmp_path / "p", tmp_path / "q", tmp_path / "r"]
    for k, path in enumerate(paths):
        path.write_text(f"content {k}")
        os.utime(path, ns=(5 + k // 2, 5 + k // 2))
    known = [read_state(path).recording(path) for path in paths]
    assert cluster._changed(paths, known) == []
    paths[0].write_text("content 1")
    os.utime(paths[0], ns=(5, 5))
    assert cluster._changed(paths, known) == [paths[0]]


OTHERS = [Model("other", "b" * 64, MODEL.methods), Model("tiny", "a" * 64, {"vq": 64})]


@pytest.mark.parametrize("other", OTHERS, ids=["other model", "other methods"])
def test_shards_that_do_not_fit_the_archive_are_refused(folder, store, other):
    store.claim(other)
    with pytest.raises(ArchiveError):
        attach(store, folder)
    assert not store.recordings()


@pytest.mark.parametrize("other", OTHERS, ids=["other model", "other methods"])
def test_shards_of_different_models_are_not_mixed(folder, store, other):
    one = entry("d.wav")
    write_shard(folder / "3.parquet", other, [(one[0], {m: one[1][m] for m in other.methods})])
    with pytest.raises(ArchiveError, match="3.parquet.*another folder"):
        attach(store, folder)
    assert not store.recordings() and store.model() is None


@pytest.mark.parametrize("damage", ["cut", "overwritten", "empty", "text"])
def test_a_damaged_shard_is_named(folder, store, damage):
    path = folder / "2.parquet"
    data = bytearray(path.read_bytes())
    if damage == "overwritten":
        middle = len(data) // 3
        data[middle : middle + 32] = bytes(32)
    path.write_bytes({"cut": data[:-200], "overwritten": data, "empty": b"", "text": b"hello " * 100}[damage])
    with pytest.raises(ArchiveError, match="2.parquet is damaged"):
        attach(store, folder)
    assert {r.path.name for r in store.recordings()} <= {"a.wav", "bb.wav"}  # whole shards or nothing


def test_other_parquet_files_are_no_shards(folder):
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"x": [1]}), folder / "table.parquet")
    with pytest.raises(ArchiveError, match="table.parquet is a Parquet file, but no shard"):
        shards_in(folder)


def test_shards_of_a_newer_version_are_refused(folder, monkeypatch):
    monkeypatch.setattr("pairalign.archive.shards.VERSION", 0)
    with pytest.raises(ArchiveError, match="newer version"):
        shards_in(folder)


def test_unfinished_files_are_overlooked(folder, store):
    (folder / ".3.parquet.0a1b.tmp").write_bytes(b"half")
    assert attach(store, folder).recordings == 3


def test_a_folder_without_shards_is_told(tmp_path, store):
    with pytest.raises(ArchiveError, match="no shards there"):
        attach(store, tmp_path)


def test_without_pyarrow_a_line_says_what_to_install(folder, store, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ArchiveError, match="pip install .*pyarrow"):
        attach(store, folder)


class TestCommand:
    """`index` with shards and the Ray engine, as far as neither Ray nor a model is needed."""

    def test_without_a_folder_it_adds_the_shards_that_lie_there(self, folder, tmp_path, capsys):
        assert main(["index", "--archive", str(tmp_path / "new.db"), "--shards", str(folder), "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert (document["recordings"], document["windows"], document["known"]) == (3, 6, 0)

    @pytest.mark.parametrize("mistake", [["--shards", "x"], ["--ray-address", "auto"]], ids=lambda mistake: mistake[0])
    def test_options_of_the_cluster_need_the_cluster(self, mistake, tmp_path, capsys):
        assert main(["index", "app/examples", "--archive", str(tmp_path / "new.db"), *mistake]) == 2
        assert "--engine ray" in one_line(capsys)

    def test_without_ray_a_line_says_what_to_install(self, tmp_path, capsys, monkeypatch):
        monkeypatch.setitem(sys.modules, "ray", None)
        monkeypatch.setitem(sys.modules, "ray.data", None)
        assert main(["index", "app/examples", "--archive", str(tmp_path / "new.db"), "--engine", "ray"]) == 2
        assert 'pip install "ray[data]' in one_line(capsys)

    def test_the_local_engine_imports_neither_ray_nor_pyarrow(self):
        code = "import sys, pairalign.archive.index_command; sys.exit(bool({'ray', 'pyarrow'} & set(sys.modules)))"
        assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def one_line(capsys) -> str:
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error
