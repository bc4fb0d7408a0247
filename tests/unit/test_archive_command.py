"""`index` and `search` as they are called: which recordings are meant, what is left behind, what is said."""

import dataclasses
import json
import shutil
import time
from pathlib import Path

import pytest
import soundfile

from pairalign import Archive
from pairalign.archive import index_command, search
from pairalign.archive.naming import containing, named
from pairalign.archive.record import Recording
from pairalign.cli import main
from tests.unit.archive_help import DecodersHere, ReadingTokenizer, clip, write_clip

NAMES = (
    "take [1].wav",
    "take 1.wav",
    "what?.wav",
    "whats.wav",
    "a.mp3.wav",
    "more/a.wav",
    "a.wav",
    "star*.wav",
    "stars.wav",
)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A tokenizer that takes no time to load, and decoders in this process."""
    monkeypatch.setattr("pairalign.tokenizer.load", lambda checkpoint, device: ReadingTokenizer())
    monkeypatch.setattr("pairalign.archive.ingest.Decoders", DecodersHere)


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """A folder of clips with names that look like patterns, and an archive of them; they move together."""
    place = tmp_path_factory.mktemp("template")
    for k, name in enumerate(NAMES):
        write_clip(place / "talks" / name, k)
    with pytest.MonkeyPatch.context() as patch, Archive.open(place / "talks.db", ReadingTokenizer()) as archive:
        patch.setattr("pairalign.archive.ingest.Decoders", DecodersHere)
        archive.add_folder(place / "talks")
    return place


@pytest.fixture
def talks(template, tmp_path, monkeypatch) -> Path:
    """A copy of the clips and their archive, beside each other in the working folder."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "talks"


def kept(talks: Path) -> set[str]:
    with Archive.open(talks.parent / "talks.db") as archive:
        return {one.path.relative_to(talks).as_posix() for one in archive.recordings()}


def call(capsys, *arguments: str, status: int = 0) -> tuple[dict, str]:
    """The JSON document and what stands on stderr."""
    assert main([*arguments, "--archive", "talks.db", "--json"]) == status
    out, err = capsys.readouterr()
    return json.loads(out or "{}"), err


class TestNames:
    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("take [1].wav", {"take [1].wav"}),
            ("talks/take [1].wav", {"take [1].wav"}),
            ("./talks/../talks/take [1].wav", {"take [1].wav"}),
            ("what?.wav", {"what?.wav"}),
            ("star*.wav", {"star*.wav"}),
            ("talks/a.wav", {"a.wav"}),
            ("more/a.wav", {"more/a.wav"}),
            ("talks/more", {"more/a.wav"}),
            ("*take [[]1*", set()),
            ("*take [1]*", {"take [1].wav"}),
            ("*/sta*", {"star*.wav", "stars.wav"}),
            ("talks/wha*", {"what?.wav", "whats.wav"}),
        ],
    )
    def test_what_is_removed_and_listed(self, talks, capsys, name, meant):
        document, err = call(capsys, "index", "--remove", name)
        assert {Path(path).relative_to(talks).as_posix() for path in document["removed"]} == meant
        assert kept(talks) == set(NAMES) - meant
        assert all(f"taken out {talks / one}" in err for one in meant)

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("take [2].wav", "no recording take"),
            ("whats?.wav", "no recording"),
            ("a.wav", "2 recordings"),
            ("", "no rec"),
        ],
    )
    def test_what_names_none_or_several_removes_nothing(self, talks, capsys, name, words):
        _, err = call(capsys, "index", "--remove", name, status=2)
        assert words in err and err.count("\n") == 1
        assert kept(talks) == set(NAMES)

    @pytest.mark.parametrize("name", ["take [1].wav", "talks/take [1].wav", "*take [1]*"])
    def test_a_search_is_held_to_the_named_recordings(self, talks, capsys, name):
        document, _ = call(capsys, "search", "talks/take 1.wav", "--recordings", name)
        assert [Path(hit["path"]).name for hit in document["hits"]] == ["take [1].wav"]

    def test_a_part_of_the_path_is_looked_for_as_it_is_written(self):
        recordings = [Recording(k, Path("/t") / name, str(k), 1.0, 1, 1) for k, name in enumerate(NAMES)]

        def ids(text: str) -> list[int]:
            return [one.id for one in containing(recordings, text, Path("/t"))]

        assert ids("[1]") == [0] and ids("t?") == [2] and ids("take") == [0, 1] and ids("/t") == []
        assert ids("more/") == [5] and ids("*take [1]*") == [0] and ids("nothing") == []
        assert named(recordings, "a\0b", Path("/t")) == [] == named(recordings, "\udcff*", Path("/t"))


class TestWhatIsLeft:
    @pytest.mark.parametrize(
        "arguments",
        [
            ["talks", "--method", "morse"],
            ["talks", "--method", ","],
            ["talks", "--checkpoint", "nosuch"],
            ["talks", "--checkpoint", "nosuch.safetensors"],
            ["talks", "--workers", "0"],
            ["talks", "--split", "nosuch"],
            ["empty"],
            ["nowhere"],
            ["talks/a.wav", "--prune"],
            ["--shards", "empty"],
            ["--prune"],
        ],
    )
    def test_no_file_where_the_command_fails(self, talks, capsys, arguments):
        Path("empty").mkdir()
        before = sorted(Path().iterdir())
        assert main(["index", *arguments, "--archive", "new.db"]) == 2
        assert capsys.readouterr().err.count("\n") == 1
        assert sorted(Path().iterdir()) == before

    def test_no_file_where_nothing_could_be_added(self, talks, capsys):
        Path("bad").mkdir()
        for k in range(100):
            Path(f"bad/{k}.wav").touch()
        assert main(["index", "bad", "--archive", "new.db", "--json"]) == 0
        assert len(json.loads(capsys.readouterr().out)["skipped"]) == 100
        assert not list(Path().glob("new.db*"))

    def test_an_archive_that_was_there_stays(self, talks, capsys):
        assert main(["index", "nowhere", "--archive", "talks.db"]) == 2
        assert kept(talks) == set(NAMES)


class TestWhatIsSaid:
    def test_prune_takes_out_what_is_gone_and_lists_it(self, talks, capsys):
        (talks / "a.wav").unlink()
        document, _ = call(capsys, "index", "talks")
        assert document["removed"] == [] and "a.wav" in kept(talks)
        document, err = call(capsys, "index", "talks", "--prune")
        assert document["removed"] == [str(talks / "a.wav")] and "the file is gone" in err
        assert "a.wav" not in kept(talks)

    def test_files_that_are_away_are_told_by_info_and_by_a_search(self, talks, capsys):
        talks.rename("elsewhere")
        document, err = call(capsys, "index", "--info")
        assert document["missing"] == len(NAMES) and f"{len(NAMES)} of {len(NAMES)} recordings are not where" in err
        document, err = call(capsys, "search", "elsewhere/a.wav", "--top", "2")
        assert all(hit["missing"] for hit in document["hits"]) and "2 of 2 hits" in err
        document, _ = call(capsys, "index", "elsewhere")
        assert (document["moved"], document["known"], document["recordings"]) == (len(NAMES), len(NAMES), 0)
        document, err = call(capsys, "search", "elsewhere/a.wav", "--top", "2")
        assert not any("missing" in hit for hit in document["hits"]) and not err

    def test_the_mode_fits_the_query_and_is_told(self, talks, capsys):
        assert call(capsys, "search", "talks/a.wav")[0]["mode"] == "whole"
        assert call(capsys, "search", "talks/a.wav", "--mode", "contains")[0]["mode"] == "contains"
        soundfile.write("long.wav", [*clip(3), *[0.1] * 56_000], 16_000)
        assert call(capsys, "search", "long.wav")[0]["mode"] == "contains"
        assert main(["search", "long.wav", "--archive", "talks.db"]) == 0
        assert "mode contains: the nearest stretch of each recording" in capsys.readouterr().out
        assert "'contains'" in call(capsys, "search", "long.wav", "--mode", "whole", status=2)[1]

    def test_compiling_is_told_and_not_counted(self, talks, capsys, monkeypatch):
        monkeypatch.setattr("pairalign.archive.search_command.COMPILING_S", 0.0)
        monkeypatch.setattr(Archive, "_compiles", lambda *_: True)
        monkeypatch.setattr(search, "compile_loops", lambda: time.sleep(1.0))
        document, err = call(capsys, "search", "talks/a.wav")
        assert "compiling the search, once per installation" in err
        assert document["hits"][0]["distance"] == 0 and document["elapsed_ms"] < 1000

    def test_a_small_archive_compiles_nothing(self, talks, capsys, monkeypatch):
        monkeypatch.setattr(search, "compile_loops", lambda: pytest.fail("nothing to compile"))
        assert call(capsys, "search", "talks/a.wav")[1] == ""

    def test_sound_without_tokens_is_kept_and_never_near(self, talks, capsys, monkeypatch):
        class Deaf(ReadingTokenizer):
            def tokenize(self, audio, method="pairalign", sample_rate=None):
                return dataclasses.replace(super().tokenize(audio, method), ids=(), spans_s=())

        with Archive.open("deaf.db", Deaf()) as archive:
            archive.add_files(["talks/a.wav"])
        with Archive.open("deaf.db", ReadingTokenizer()) as archive:
            archive.add_files(["talks/stars.wav"])
            for mode in search.MODES:
                near, far = archive.search("talks/stars.wav", mode=mode)
                assert (near.distance, near.path.name) == (0, "stars.wav")
                assert (far.distance, far.normalized, len(far.string)) == (4, 1.0, 0)
        monkeypatch.setattr("pairalign.tokenizer.load", lambda checkpoint, device: Deaf())
        assert "the query has no tokens" in call(capsys, "search", "talks/a.wav", status=2)[1]


def test_missing_words_count():
    assert index_command.missing_words(3, 10).startswith("3 of 10 recordings are not where they were")
