"""Phones as weak supervision: reading a lexicon, and which frame gets which phone."""

import numpy as np
import pytest
import torch

from pairalign.training.corpora import DataError, Word
from pairalign.training.data import Segments
from pairalign.training.phones import UNKNOWN, build_phone_index, phone_labels, read_lexicon


def _segment(utterance=0, start_s=0.0, frames=50):
    return Segments(
        torch.zeros(1, frames * 320),
        torch.tensor([frames * 320]),
        torch.tensor([utterance]),
        torch.tensor([start_s], dtype=torch.float64),
    )


def _index():
    return build_phone_index([Word(0, 0.2, 0.6, "Cat"), Word(0, 0.8, 0.9, "xyzzy")], {"cat": ("K", "AE", "T")})


def test_lexicon_in_the_format_of_cmudict(tmp_path):
    path = tmp_path / "lexicon"
    path.write_text(";;; a comment\nHELLO  HH AH0 L OW1 # note\nhello(2) HH EH0 L OW1\n\nA AH0\n", encoding="utf-8")
    assert read_lexicon(path) == {"hello": ("HH", "AH", "L", "OW"), "a": ("AH",)}


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00", b"WORD\n"])
def test_an_unusable_lexicon_is_the_users_mistake(tmp_path, content):
    path = tmp_path / "lexicon"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="lexicon"):
        read_lexicon(path)


def test_a_lexicon_without_any_of_the_words_is_refused():
    with pytest.raises(DataError, match="another language"):
        build_phone_index([Word(0, 0.0, 0.5, "hallo")], {"hello": ("HH",)})


def test_at_first_phones_are_spread_evenly_over_their_word():
    index = _index()
    assert index.names == ("SIL", "AE", "K", "T")
    labels = phone_labels(index, _segment(), torch.zeros(1, 50, 4), torch.tensor([50]), aligned=False)[0].tolist()
    assert labels[10:30] == [2] * 6 + [1] * 7 + [3] * 7
    assert labels[:8] == [0] * 8 and labels[8:10] == [UNKNOWN] * 2  # silence, but not right beside a word
    assert labels[40:45] == [UNKNOWN] * 5  # the lexicon does not know xyzzy
    assert labels[32:38] == [0] * 6 and labels[47:] == [0] * 3


def test_later_phones_lie_where_the_teacher_hears_them():
    index = _index()
    truth = [2] * 2 + [1] * 15 + [3] * 3
    scores = torch.full((1, 50, 4), -9.0)
    scores[0, torch.arange(10, 30), torch.tensor(truth)] = 0.0
    labels = phone_labels(index, _segment(), scores, torch.tensor([50]), aligned=True)[0].tolist()
    assert labels[10:30] == truth


def test_a_word_cut_by_the_segment_is_not_labelled():
    labels = phone_labels(_index(), _segment(start_s=0.3), torch.zeros(1, 20, 4), torch.tensor([20]), aligned=True)
    assert np.array_equal(labels[0, :15], [UNKNOWN] * 15)


def test_a_recording_without_word_times_teaches_nothing():
    labels = phone_labels(_index(), _segment(utterance=7), torch.zeros(1, 20, 4), torch.tensor([20]), aligned=True)
    assert (labels == UNKNOWN).all()
