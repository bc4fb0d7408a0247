"""The archive's file: what is kept, what is refused, and what happens to older, foreign and damaged files."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pairalign import ArchiveError
from pairalign.archive import schema
from pairalign.archive.record import Model, Recording
from pairalign.archive.store import Store
from pairalign.archive.window import cut, grid, spans_of
from pairalign.strings import TokenString

MODEL = Model("test", "ab" * 32, {"pairalign": 512, "vq": 512})


def string(seed: int, duration_s: float, method: str = "pairalign") -> TokenString:
    """Random tokens on the tokenizer's time grid."""
    rng = np.random.default_rng(seed)
    edges = np.unique(np.append(rng.integers(0, duration_s * 50, int(10 * duration_s)), [0])) / 50
    ids = tuple(rng.integers(0, 512, len(edges)).tolist())
    spans = tuple(zip(edges.tolist(), [*edges[1:].tolist(), duration_s], strict=True))
    return TokenString(ids, spans, duration_s, (), "eos", method, MODEL.sha256, 512)


def recording(store: Store, name: str, content: str = "", duration_s: float = 2.0) -> Recording:
    return Recording(0, store.path.parent / name, content or name, duration_s, 100, 1)


def filled(path: Path, names: tuple[str, ...] = ("b.wav", "a.wav")) -> Store:
    store = Store(path)
    store.claim(MODEL)
    for k, name in enumerate(names):
        strings = {method: cut(string(k, 7.5, method)) for method in MODEL.methods}
        store.add(recording(store, name, duration_s=7.5), strings)
    return store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "talks.db"


class TestWindows:
    @pytest.mark.parametrize(("duration_s", "count"), [(0.3, 1), (3.0, 1), (3.4, 1), (3.5, 2), (6.4, 2), (6.5, 3)])
    def test_a_short_remainder_joins_the_last_window(self, duration_s, count):
        cells = grid(duration_s)
        assert len(cells) == count
        assert cells[0][0] == 0 and cells[-1][1] == duration_s
        assert all(before[1] == after[0] for before, after in zip(cells[:-1], cells[1:], strict=True))

    def test_windows_together_are_the_whole_string(self):
        whole = string(1, 20.0)
        windows = cut(whole)
        assert tuple(int(i) for w in windows for i in w.ids) == whole.ids
        assert np.allclose(spans_of(windows), whole.spans_s, atol=0.005)

    def test_a_token_belongs_where_its_middle_lies(self):
        spans = ((0.0, 2.8), (2.8, 3.1), (3.1, 5.0))
        windows = cut(TokenString((1, 2, 3), spans, 5.0, (), "eos", "vq", MODEL.sha256, 8))
        assert [w.ids.tolist() for w in windows] == [[1, 2], [3]]

    def test_a_token_much_longer_than_a_window_keeps_its_times(self):
        windows = cut(TokenString((7,), ((0.0, 240.0),), 240.0, (), "eos", "vq", MODEL.sha256, 8))
        assert spans_of([w for w in windows if len(w.ids)]) == ((0.0, 240.0),)
        assert len(windows) == 80

    @pytest.mark.parametrize("gap_s", [0.0, 0.02, 2.0])
    def test_silence_between_tokens_belongs_to_none_of_them(self, gap_s, path):
        spans, at_s = [], 0.5
        for count in (1, 3, 2):
            for _ in range(count):
                spans.append((at_s, at_s + 0.2))
                at_s = round(at_s + 0.2, 2)
            at_s += gap_s
        whole = TokenString(tuple(range(6)), tuple(spans), 12.0, (), "eos", "vq", MODEL.sha256, 512)
        store = Store(path)
        store.claim(replace(MODEL, methods={"vq": 512}))
        store.add(recording(store, "a.wav", duration_s=12.0), {"vq": cut(whole)})
        kept = store.windows(store.recordings()[0].id, "vq")
        assert np.allclose(spans_of(kept), spans, atol=1e-9)
        assert tuple(int(i) for window in kept for i in window.ids) == whole.ids

    def test_nothing_heard_is_a_window_without_tokens(self):
        (window,) = cut(TokenString((), (), 2.0, (), "eos", "vq", MODEL.sha256, 8))
        assert len(window.ids) == 0 and spans_of([window]) == ()


class TestKeeping:
    def test_what_was_added_is_read_back(self, path):
        store = filled(path)
        assert [r.path.name for r in store.recordings()] == ["a.wav", "b.wav"]
        kept = store.recordings()[1]
        windows = store.windows(kept.id, "vq")
        assert tuple(int(i) for w in windows for i in w.ids) == string(0, 7.5, "vq").ids
        assert np.allclose(spans_of(windows), string(0, 7.5, "vq").spans_s, atol=0.005)

    def test_packed_strings_go_by_path_and_time(self, path):
        packed = filled(path).packed("pairalign")
        assert packed.tokens.tolist() == [*string(1, 7.5).ids, *string(0, 7.5).ids]
        assert packed.first_window.tolist() == [0, 3, 6]
        assert packed.window_edges[-1] == len(packed.tokens)

    def test_an_empty_archive_is_packed_as_nothing(self, path):
        packed = Store(path).packed("pairalign")
        assert len(packed.tokens) == 0 and packed.window_edges.tolist() == [0] and packed.first_window.tolist() == [0]

    def test_a_changed_file_replaces_what_it_was(self, path):
        store = filled(path)
        store.add(recording(store, "a.wav", "new", 2.0), {m: cut(string(9, 2.0, m)) for m in MODEL.methods})
        assert len(store.recordings()) == 2
        assert store.totals()["pairalign"][0] == 3 + 1

    def test_removing_takes_the_windows_along(self, path):
        store = filled(path)
        store.remove([store.recordings()[0].id])
        assert [r.path.name for r in store.recordings()] == ["b.wav"]
        assert store.totals()["vq"][0] == 3

    def test_vacuum_shrinks_the_file(self, path):
        store = filled(path, tuple(f"{k}.wav" for k in range(150)))
        before = path.stat().st_size
        store.remove([r.id for r in store.recordings()])
        store.vacuum()
        assert path.stat().st_size < before / 2

    def test_every_change_has_a_revision(self, path):
        store = filled(path)
        before = store.revision()
        store.remove([store.recordings()[0].id])
        assert store.revision() > before

    def test_archive_and_recordings_move_together(self, path, tmp_path):
        filled(path)
        moved = tmp_path / "elsewhere"
        moved.mkdir()
        path.rename(moved / "talks.db")
        assert Store(moved / "talks.db").recordings()[0].path == moved / "a.wav"

    def test_a_failed_addition_leaves_nothing(self, path):
        store = filled(path)
        broken = [replace(cut(string(3, 2.0))[0], start_s=None)]
        with pytest.raises(ArchiveError):
            store.add(recording(store, "c.wav"), {"pairalign": cut(string(3, 2.0)), "vq": broken})
        assert len(store.recordings()) == 2


class TestRefusing:
    def test_strings_of_another_model(self, path):
        store = filled(path)
        with pytest.raises(ArchiveError, match="checkpoint test"):
            store.claim(replace(MODEL, sha256="cd" * 32))

    def test_fewer_methods_than_the_archive_keeps(self, path):
        store = filled(path)
        with pytest.raises(ArchiveError, match="would leave gaps"):
            store.claim(replace(MODEL, methods={"vq": 512}))

    def test_two_writers(self, path):
        store, other = filled(path), Store(path)
        with store.writer(), pytest.raises(ArchiveError, match="being added by somebody else"), other.writer():
            pass
        with other.writer():  # free again
            pass

    def test_readers_are_welcome_while_one_writes(self, path):
        store = filled(path)
        with store.writer():
            assert len(Store(path).packed("vq").recording_ids) == 2

    def test_a_folder_or_a_missing_file(self, path, tmp_path):
        with pytest.raises(ArchiveError, match="is a folder"):
            Store(tmp_path)
        with pytest.raises(ArchiveError, match="no such archive"):
            Store(path, create=False)
        with pytest.raises(ArchiveError, match="no such folder"):
            Store(tmp_path / "missing" / "a.db")

    def test_a_file_that_is_no_database(self, path):
        path.write_bytes(b"these are not the bytes you are looking for" * 100)
        with pytest.raises(ArchiveError, match="damaged or no archive"):
            Store(path)

    def test_somebody_elses_database(self, path):
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE songs (title TEXT)")
        with pytest.raises(ArchiveError, match="not an archive of recordings"):
            Store(path)

    def test_a_newer_version(self, path):
        filled(path)
        with sqlite3.connect(path) as db:
            db.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
        with pytest.raises(ArchiveError, match="newer version"):
            Store(path)

    def test_a_damaged_page(self, path):
        filled(path, tuple(f"{k}.wav" for k in range(40)))
        data = bytearray(path.read_bytes())
        data[8192:20480] = b"\xff" * (20480 - 8192)
        path.write_bytes(bytes(data))
        with pytest.raises(ArchiveError, match="damaged"):
            Store(path).check()

    def test_a_string_without_its_times(self, path):
        store = filled(path)
        with sqlite3.connect(path) as db:
            db.execute("UPDATE windows SET edges_cs = x'0000'")
        with pytest.raises(ArchiveError, match="damaged"):
            store.windows(store.recordings()[0].id, "vq")


class TestMigration:
    def test_an_archive_of_the_first_version_keeps_its_recordings(self, path):
        with sqlite3.connect(path, isolation_level=None) as db:
            db.executescript(schema.MIGRATIONS[0])
            db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
            db.execute("PRAGMA user_version = 1")
            db.execute("INSERT INTO meta VALUES ('model', 'test')")
            db.execute("INSERT INTO methods VALUES (1, 'vq', ?, 512)", [MODEL.sha256])
            db.execute("INSERT INTO recordings VALUES (5, 'hash', 'old.wav', 1.5)")
            db.execute("INSERT INTO windows VALUES (1, 5, 0, 0.0, 1.5, x'0100', x'00009600')")
        store = Store(path)
        (kept,) = store.recordings()
        assert (kept.id, kept.path.name, kept.size_bytes) == (5, "old.wav", -1)
        (window,) = store.windows(5, "vq")
        assert window.ids.tolist() == [1] and spans_of([window]) == ((0.0, 1.5),)
        with sqlite3.connect(path) as db:
            assert db.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)

    def test_a_step_that_fails_is_not_taken_by_half(self, path, monkeypatch):
        Store(path)
        monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "CREATE TABLE more (x); SELECT * FROM nowhere;"))
        monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
        with pytest.raises(ArchiveError):
            Store(path)
        with sqlite3.connect(path) as db:
            assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'more'").fetchone() == (0,)
            assert db.execute("PRAGMA user_version").fetchone() == (schema.VERSION - 1,)
