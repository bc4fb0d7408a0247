"""Corpora, their layouts and the times of words: mistakes are named."""

from pathlib import Path

import numpy as np
import pytest

from pairalign import cli
from pairalign.training import data
from pairalign.training.data import DataError
from pairalign.training.finetune import runs_folder
from tests.unit.conftest import write


class TestManifest:
    def test_columns_are_read_and_paths_are_relative_to_the_file(self, corpus: Path) -> None:
        utterances = data.read_manifest(corpus / "manifest.csv")
        assert len(utterances) == 12
        assert utterances[2] == data.Utterance(
            corpus / "audio/2.wav", "train", "speaker2", pytest.approx(1.8), "ONE TWO", ""
        )

    def test_a_folder_with_a_manifest_uses_it(self, corpus: Path) -> None:
        assert data.read_manifest(corpus) == data.read_manifest(corpus / "manifest.csv")

    def test_only_path_is_required_and_a_byte_order_mark_is_ignored(self, tmp_path: Path) -> None:
        for k in range(3):
            write(tmp_path / f"{k}.wav")
        (tmp_path / "list.csv").write_bytes("\ufeffpath\n0.wav\n1.wav\n2.wav\n".encode())
        utterances = data.read_manifest(tmp_path / "list.csv")
        assert [u.speaker for u in utterances] == ["", "", ""]
        assert {u.split for u in utterances} == {"train", "dev"}

    def test_splits_follow_speakers_and_stay_put(self, tmp_path: Path) -> None:
        for k in range(60):
            write(tmp_path / f"{k}.wav", 0.2)
        rows = [f"{k}.wav,person{k % 30}" for k in range(60)]
        (tmp_path / "a.csv").write_text("\n".join(["path,speaker", *rows]))
        (tmp_path / "b.csv").write_text("\n".join(["path,speaker", *reversed(rows[:40])]))
        a = {u.path: (u.split, u.speaker) for u in data.read_manifest(tmp_path / "a.csv")}
        b = {u.path: (u.split, u.speaker) for u in data.read_manifest(tmp_path / "b.csv")}
        dev = {speaker for split, speaker in a.values() if split == "dev"}
        train = {speaker for split, speaker in a.values() if split == "train"}
        assert dev and train and not dev & train
        assert all(a[path] == b[path] for path in b)

    @pytest.mark.parametrize("n", [1, 2, 5])
    def test_there_is_always_a_dev_recording(self, tmp_path: Path, n: int) -> None:
        for k in range(n):
            write(tmp_path / f"{k}.flac", 0.2)
        splits = [u.split for u in data.read_manifest(tmp_path)]
        assert "dev" in splits
        assert n == 1 or "train" in splits

    def test_one_speaker_alone_is_divided_by_recording(self, tmp_path: Path) -> None:
        rows = ["path,speaker"] + [f"{k}.wav,me" for k in range(20)]
        for k in range(20):
            write(tmp_path / f"{k}.wav", 0.2)
        (tmp_path / "list.csv").write_text("\n".join(rows))
        assert {u.split for u in data.read_manifest(tmp_path / "list.csv")} == {"train", "dev"}

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "no column 'path'"),
            (b"file,speaker\na.wav,x\n", "no column 'path' in the header \\(found: file, speaker\\)"),
            (b"path;speaker\na.wav;x\n", "Use commas"),
            (b"path\n", "no rows"),
            (b"path\nmissing.wav\na.wav\n", "1 of 2 recordings do not exist.*missing.wav \\(line 2\\)"),
            (b"path,speaker\n,x\n", "line 2: the path is empty"),
            (b"path\na.wav\na.wav\n", "a.wav is listed more than once"),
            (b"path,duration_s\na.wav,long\n", "line 2: duration_s is 'long'"),
            (b"path,duration_s\na.wav,nan\n", "duration_s is 'nan'"),
            (b"\xff\xfe\x00\x01", "not a UTF-8"),
            (b"path\n" + b"x" * 200_000 + b"\n", "not a readable CSV"),
            (b'path,transcript\na.wav,"said\nb.wav,x\n', "line 2: not a readable CSV .*never closed"),
            (b'path,transcript\n\na.wav,"said\nb.wav,"x" y\n', "line 3: not a readable CSV .*written twice"),
            (b'path,transcript\na.wav,"said\nb.wav,x"\nc.wav,y\n', "line 2: the cell of 'transcript' .*several lines"),
            (b'path,notes\nb.wav,"said\na.wav,x"\nc.wav,y\n', "line 2: the cell of 'notes' .*several lines"),
            (b'path,"transcript\na.wav,x"\n', "line 1: a cell of the header spans several lines"),
            (b"path,speaker\na.wav,x,y\n", "line 2: the header has 2 cells, this row 3"),
            (b"path,speaker,transcript\na.wav,x\n", "line 2: the header has 3 cells, this row 2"),
            (b"path,speaker,path\na.wav,x,a.wav\n", "the column 'path' is there twice"),
            (b"path\tspeaker\na.wav\tx\n", "separated by tabs. Use commas"),
            (b"sep=;\npath;speaker\na.wav;x\n", "separated by semicolons. Use commas"),
            ("path\na.wav\n".encode("utf-16"), "UTF-16.*Save it as CSV UTF-8"),
            (b"path,speaker\na.wav,x\nb.wav,caf\xe9\n", "line 3: not a UTF-8 text file"),
            (b"path,speaker\na.wav,x\0y\n", "line 2: there is a NUL"),
        ],
    )
    def test_mistakes_are_named(self, tmp_path: Path, content: bytes, message: str) -> None:
        write(tmp_path / "a.wav", 0.2)
        (tmp_path / "list.csv").write_bytes(content)
        with pytest.raises(DataError, match=message):
            data.read_manifest(tmp_path / "list.csv")

    def test_quotes_commas_line_ends_and_empty_rows_as_spreadsheets_write_them(self, tmp_path: Path) -> None:
        for name in ("a, b.wav", "c.wav", "d.wav"):
            write(tmp_path / name, 0.2)
        rows = [
            "path,transcript,notes,",
            '"a, b.wav","He said ""no"", twice","of\ntwo lines",',
            'c.wav,5" wide,,,',
            ",,,",
            "",
        ]
        for end in ("\n", "\r\n", "\r"):
            (tmp_path / "list.csv").write_text(end.join([*rows, "d.wav,it's,x,", ""]), newline="")
            found = {u.path.name: u.transcript for u in data.read_manifest(tmp_path / "list.csv")}
            assert found == {"a, b.wav": 'He said "no", twice', "c.wav": '5" wide', "d.wav": "it's"}

    def test_what_is_no_manifest_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="no such file or folder"):
            data.read_manifest(tmp_path / "nowhere.csv")
        with pytest.raises(DataError, match="no audio found"):
            data.read_manifest(tmp_path)
        with pytest.raises(DataError, match="is a recording, not a manifest"):
            data.read_manifest(write(tmp_path / "a.wav", 0.2))

    def test_an_unknown_split_lists_the_splits_there_are(self, corpus: Path) -> None:
        with pytest.raises(DataError, match="no recordings in split 'test'. Splits found: train"):
            data.of_split(data.read_manifest(corpus), "test")


@pytest.mark.parametrize("command", ["index", "train", "finetune", "evaluate"])
def test_a_lost_quote_ends_every_command_with_the_row(
    command: str, tmp_path: Path, tiny_checkpoint: Path, capsys
) -> None:
    for k in range(4):
        write(tmp_path / f"{k}.wav", 0.2)
    (tmp_path / "manifest.csv").write_text('path,transcript\n0.wav,yes\n1.wav,"well\n2.wav,no\n3.wav,"so" he said\n')
    manifest = str(tmp_path / "manifest.csv")
    arguments = {
        "index": [manifest, "--archive", str(tmp_path / "a.db"), "--checkpoint", str(tiny_checkpoint)],
        "train": ["--manifest", manifest, "--out", str(tmp_path / "run")],
        "finetune": ["--manifest", str(tmp_path), "--name", "quoted", "--init", str(tiny_checkpoint)],
        "evaluate": ["--manifest", manifest, "--checkpoint", str(tiny_checkpoint)],
    }
    assert cli.main([command, *arguments[command], "--json"]) == cli.EXIT_USER
    told = capsys.readouterr()
    assert "manifest.csv, line 3: not a readable CSV" in told.err.splitlines()[-1] and not told.out
    assert "quoted" not in [path.name for path in runs_folder().glob("*")], "the name of the run stays free"


class TestLayouts:
    def test_librispeech(self, tmp_path: Path) -> None:
        for split, speaker in (("train-clean-100", "84"), ("dev-clean", "85"), ("test-other", "86")):
            chapter = tmp_path / "LibriSpeech" / split / speaker / "121123"
            write(chapter / f"{speaker}-121123-0000.flac", 0.2)
            (chapter / f"{speaker}-121123.trans.txt").write_text(f"{speaker}-121123-0000 GO ON PLEASE\n")
        found = {u.speaker: u for u in data.read_manifest(tmp_path)}
        assert {speaker: u.split for speaker, u in found.items()} == {"84": "train", "85": "dev", "86": "test"}
        assert found["85"].transcript == "GO ON PLEASE" and found["85"].corpus == "librispeech"

    def test_librispeech_training_part_alone_gives_up_some_speakers(self, tmp_path: Path) -> None:
        for speaker in range(20):
            write(tmp_path / f"train-clean-5/{speaker}/7/{speaker}-7-0000.flac", 0.2)
        assert {u.split for u in data.read_manifest(tmp_path)} == {"train", "dev"}

    def test_timit_with_its_word_times(self, tmp_path: Path) -> None:
        for k, name in enumerate(("TRAIN/DR1/FCJF0/SA1", "TRAIN/DR2/MABC0/SX9", "TEST/DR8/MJLN0/SI1")):
            base = tmp_path / "TIMIT" / name
            write(base.with_suffix(".WAV"), 0.5, seed=k, format="NIST", subtype="PCM_16")
            base.with_suffix(".WRD").write_text("1600 3200 she\n3200 4800 had\n")
            base.with_suffix(".TXT").write_text("0 8000 She had.\n")
        write(tmp_path / "TIMIT/TRAIN/DR1/FCJF0/SA1.WAV.wav", 0.5)  # the second copy some mirrors carry
        utterances = data.read_manifest(tmp_path)
        assert sorted(u.speaker for u in utterances) == ["FCJF0", "MABC0", "MJLN0"]
        assert sorted(u.split for u in utterances) == ["dev", "test", "train"]
        assert utterances[0].transcript == "She had."
        words = data.words_for(utterances)
        assert len(words) == 6
        assert (words[0].start_s, words[0].end_s, words[0].text) == (0.1, 0.2, "she")
        assert np.allclose(data.load_bank(utterances).durations_s, 0.5)

    @pytest.mark.parametrize("layout", ["TIMIT/TRAIN/DR1/FAAA0/SA1.WAV", "timit/train/dr1/faaa0/sa1.wav"])
    @pytest.mark.parametrize("depth", range(5))
    def test_a_layout_is_the_same_from_wherever_it_is_looked_at(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, depth: int
    ) -> None:
        audio = write(tmp_path / layout, 0.5)
        audio.with_suffix(".WRD").write_text("1600 3200 she\n")
        folder = (tmp_path / layout).parents[depth]
        (tmp_path / "link").symlink_to(folder)
        monkeypatch.chdir(folder)
        for given in (
            folder,
            f"{folder}/",
            ".",
            "./",
            f"../{folder.name}",
            tmp_path / "link",
            "../" * (4 - depth) + "link",
        ):
            (found,) = data.read_manifest(given)
            assert (found.corpus, found.speaker) == ("timit", "FAAA0"), given
            assert found.path.samefile(audio) and [word.text for word in data.words_for([found])] == ["she"], given

    def test_librispeech_is_known_from_inside_a_chapter(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        chapter = tmp_path / "dev-clean" / "84" / "121"
        write(chapter / "84-121-0000.flac", 0.2)
        (chapter / "84-121.trans.txt").write_text("84-121-0000 GO ON\n")
        monkeypatch.chdir(chapter)
        (found,) = data.read_manifest(".")
        assert (found.corpus, found.speaker, found.split, found.transcript) == ("librispeech", "84", "dev", "GO ON")

    def test_a_broken_timit_word_file_is_named(self, tmp_path: Path) -> None:
        path = write(tmp_path / "TRAIN/DR1/FCJF0/SA1.WAV", 0.2, format="NIST", subtype="PCM_16")
        path.with_suffix(".WRD").write_text("100 she\n")
        with pytest.raises(DataError, match="SA1.WRD, line 1"):
            data.words_for(data.read_manifest(tmp_path))

    def test_hidden_files_are_not_audio(self, tmp_path: Path) -> None:
        write(tmp_path / "._a.wav", 0.2)
        write(tmp_path / "b.wav", 0.2)
        assert [u.path.name for u in data.read_manifest(tmp_path)] == ["b.wav"]


class TestWords:
    def test_words_point_at_their_utterance(self, corpus: Path) -> None:
        utterances = data.read_manifest(corpus)[3:]
        words = data.read_words(corpus / "words.csv", utterances)
        assert len(words) == 27
        assert words[1] == data.Word(0, 0.5, 0.8, "two")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("path,start_s,word\n", "no column 'end_s'"),
            ("path,start_s,end_s,word\naudio/0.wav,0.5,0.2,x\n", "line 2: the word 'x' ends at 0.2 s, before"),
            ("path,start_s,end_s,word\naudio/0.wav,zero,0.2,x\n", "start_s is 'zero'"),
            ("path,start_s,end_s,word\nother.wav,0.1,0.2,x\n", "no word belongs to a recording"),
            ('path,start_s,end_s,word\naudio/0.wav,0.1,0.2,"x\naudio/1.wav,0.1,0.2,y"\n', "line 2: the cell of 'word'"),
            ("path,start_s,end_s,word\naudio/0.wav,0.1,0.2\n", "line 2: the header has 4 cells, this row 3"),
        ],
    )
    def test_mistakes_are_named(self, corpus: Path, content: str, message: str) -> None:
        (corpus / "bad.csv").write_text(content)
        with pytest.raises(DataError, match=message):
            data.read_words(corpus / "bad.csv", data.read_manifest(corpus))
