"""The clips of a fine-tuning run: cut where it is quiet, some held out, bad files named."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from pairalign.training import clips
from pairalign.training.corpora import DataError, read_manifest
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
