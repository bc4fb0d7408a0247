"""The clips of a fine-tuning run: cut where it is quiet, some held out, bad files named."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pairalign.training import clips
from pairalign.training.corpora import DataError, read_manifest
from pairalign.training.held_out import Said, hold_out
from tests.conftest import babble


def test_clips_are_cut_held_out_and_bad_files_named(recordings: Path, tmp_path: Path):
    found = clips.make_clips(recordings, tmp_path / "clips")
    assert found.recordings == 4 and found.speakers == ("speaker0", "speaker1")
    assert [name for name, _ in found.skipped] == ["broken.wav", "nan.wav"]
    assert "NaN" in dict(found.skipped)["nan.wav"]
    assert found.train_s + found.held_out_s == pytest.approx(20.0, abs=0.1)
    utterances = read_manifest(tmp_path / "clips")
    assert all(u.duration_s <= clips.LONGEST_CLIP_S for u in utterances)
    held = [u for u in utterances if u.split == "dev"]
    assert len(held) == found.held_out >= 2 and {u.speaker for u in held} == {"speaker0", "speaker1"}


def test_one_recording_is_held_out_by_time(tmp_path: Path):
    soundfile.write(tmp_path / "talk.wav", babble(40.0), 16_000)
    clips.make_clips(tmp_path, tmp_path / "clips")
    splits = [u.split for u in read_manifest(tmp_path / "clips" / "manifest.csv")]
    assert splits == sorted(splits, reverse=True), "train first, then dev: the end of the recording"
    assert splits.count("dev") >= 2


def test_too_little_says_how_much_is_needed(tmp_path: Path):
    data = tmp_path / "data"
    data.mkdir()
    soundfile.write(data / "short.wav", babble(6.0), 16_000)
    with pytest.raises(DataError, match=r"6 s of sound .* at least 15 s"):
        clips.make_clips(data, tmp_path / "clips")
    soundfile.write(data / "short.wav", np.full(32_000, np.nan, np.float32), 16_000, subtype="FLOAT")
    with pytest.raises(DataError, match="None of the 1 recordings"):
        clips.make_clips(data, tmp_path / "clips")


def test_cuts_are_made_where_it_is_quiet():
    wave = babble(9.0)
    wave[48_000:51_200] = 0.0  # a pause from 3.0 to 3.2 s
    first, second = clips.cut_places(wave)[:2]
    assert 48_000 <= first[1] <= 51_200 and second[0] == first[1]
    assert clips.cut_places(wave)[-1][1] == len(wave)


def a_class(words: int, speakers: int) -> list[Said]:
    """As a class is recorded: every speaker says the list in its order."""
    return [Said(f"s{s}", f"word {w}", f"{s}/{w}") for s in range(speakers) for w in range(words)]


@pytest.mark.parametrize("speakers", [2, 3, 5, 8])
@pytest.mark.parametrize("words", [3, 4, 5, 6, 7])
def test_the_held_out_clips_of_a_small_class_say_different_words_by_all_speakers(words: int, speakers: int):
    clips = a_class(words, speakers)
    held = [clips[index] for index in hold_out(clips)]
    assert len({clip.text for clip in held}) >= min(words, speakers), "spread over words"
    assert {clip.speaker for clip in held} == {clip.speaker for clip in clips}
    assert len(held) == max(speakers, round(0.2 * len(clips)))
    learned = {clip.text for clip in clips if clip not in held}
    assert len(learned) >= words - 1, "no word is lost to learning but by chance of two speakers"


def test_a_larger_class_holds_out_pairs_of_speakers_too():
    clips = a_class(10, 3)
    held = [clips[index] for index in hold_out(clips)]
    said = [clip.text for clip in held]
    assert len(held) == 6 and len(set(said)) == 4 and max(map(said.count, said)) == 2


@pytest.mark.parametrize(
    ("clips", "wanted"),
    [
        (a_class(5, 1), {"word 4", "word 3"}),  # one speaker
        (a_class(1, 20), {"word 0"}),  # one word by many
        ([Said("", "", str(k)) for k in range(10)], {""}),  # nothing is known
        ([Said("a", "x", str(k)) for k in range(2)], {"x"}),
    ],
)
def test_something_is_held_out_and_something_learned_from_whatever_there_is(clips: list[Said], wanted: set[str]):
    held = hold_out(clips)
    assert {clips[index].text for index in held} == wanted
    assert 1 <= len(held) == max(2, round(0.2 * len(clips))) - (len(clips) == 2)


def test_copies_of_a_clip_are_on_one_side_and_counted_once(tmp_path: Path):
    data = tmp_path / "data"
    data.mkdir()
    for k in range(6):
        soundfile.write(data / f"{k}.wav", babble(3.0, seed=k), 16_000)
    for k in (0, 5, 5, 5):
        shutil.copy(data / f"{k}.wav", data / f"copy {len(list(data.iterdir()))} of {k}.wav")
    wave, _ = soundfile.read(data / "4.wav", dtype="int16")
    soundfile.write(data / "other format.flac", wave, 16_000)
    found = clips.make_clips(data, tmp_path / "clips")
    utterances = read_manifest(tmp_path / "clips")
    samples = {u.path: soundfile.read(u.path, dtype="int16")[0].tobytes() for u in utterances}
    learned, held = ([samples[u.path] for u in utterances if u.split == split] for split in ("train", "dev"))
    assert not set(learned) & set(held) and len(set(held)) == len(held) == found.held_out
    assert found.copies == 5 and any("5 clips are copies of others" in note for note in found.notes())
    assert found.clips == len(learned) + len(held) < len(utterances)


def test_recordings_that_are_all_the_same_are_refused_with_that_reason(tmp_path: Path):
    data = tmp_path / "data"
    data.mkdir()
    for k in range(9):
        soundfile.write(data / f"{k}.wav", babble(3.0), 16_000)
    with pytest.raises(DataError, match=r"27 s of sound in 9 clips.*8 clips are copies of others"):
        clips.make_clips(data, tmp_path / "clips")


def test_what_became_no_clip_is_told_by_reason(tmp_path: Path):
    data = tmp_path / "data"
    (data / "closed").mkdir(parents=True)
    for k in range(3):
        soundfile.write(data / f"short{k}.wav", babble(0.3, seed=k), 16_000)
    quiet = np.full(32_000, 0.002, np.float32) * np.sign(babble(2.0))
    soundfile.write(data / "quiet.wav", quiet, 16_000)
    (data / "song.wma").write_bytes(b"x")
    os.mkfifo(data / "pipe.wav")
    soundfile.write(data / "bad.wav", np.full(32_000, np.nan, np.float32), 16_000, subtype="FLOAT")
    with pytest.raises(DataError) as caught:
        clips.make_clips(data, tmp_path / "clips")
    for reason in ("0 s of sound in 0 clips", "3 shorter than 0.5 s and 1 without any sound", "song.wma was left out",
                   "pipe.wav was left out: it is no file", "bad.wav was left out"):  # fmt: skip
        assert reason in str(caught.value)


def test_recordings_of_the_split_test_are_left_alone_and_that_is_told(tmp_path: Path):
    for k in range(2):
        soundfile.write(tmp_path / f"{k}.wav", babble(2.0, seed=k), 16_000)
    (tmp_path / "list.csv").write_text("path,split\n0.wav,test\n1.wav,test\n")
    with pytest.raises(DataError, match="None of the 2 recordings can be used. 2 recordings are of the split test"):
        clips.make_clips(tmp_path / "list.csv", tmp_path / "clips")
