"""Streams: what is committed is the recording's string, whatever the pieces; silence gives nothing."""

import copy
from pathlib import Path

import numpy as np
import pytest

from pairalign import load
from pairalign.audio import read_audio
from pairalign.resample import resample_blocks
from pairalign.streaming import Stream
from tests.conftest import RATE_HZ, babble

EXAMPLES = Path(__file__).resolve().parents[2] / "app" / "examples"


@pytest.fixture(scope="module")
def tokenizer():
    """The shipped `tiny`: small, but trained, so that its strings are no longer than speech needs."""
    return load("tiny", device="cpu")


def quiet(duration_s: float, seed: int = 0) -> np.ndarray:
    """A room with nobody in it, (T,)."""
    return np.random.default_rng(seed).normal(0, 3e-4, int(duration_s * RATE_HZ)).astype(np.float32)


def spoken(name: str) -> np.ndarray:
    return read_audio(EXAMPLES / f"{name}.ogg")


def feed(tokenizer, wave: np.ndarray, piece_s: float, **options):
    """All updates of a stream, its end among them, and the stream."""
    stream, size = Stream(**options), round(piece_s * options.get("rate_hz", RATE_HZ))
    updates = []
    for start in range(0, len(wave), size):
        stream.add(wave[start : start + size])
        updates.append(stream.update(tokenizer))
    return [*updates, stream.finish(tokenizer)], stream


def committed(updates) -> list:
    return [token for update in updates for token in update.committed]


RECORDINGS = {
    "short": lambda: spoken("harbour_a")[: round(1.3 * RATE_HZ)],
    "one window": lambda: spoken("harbour_a"),
    "just two": lambda: spoken("slow"),
    "exactly 5 s": lambda: babble(5.0, 3),
    "long": lambda: babble(9.7, 4),
    "with pauses": lambda: np.concatenate([quiet(4), spoken("harbour_a"), quiet(7), spoken("slow"), quiet(2.3)]),
}


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize("piece_s", [0.5, 6.0])
def test_committed_tokens_are_those_of_the_recording(tokenizer, name, piece_s):
    wave = RECORDINGS[name]()
    found = committed(feed(tokenizer, wave, piece_s)[0])
    wanted = tokenizer.tokenize(wave)
    assert tuple(token.id for token in found) == wanted.ids
    np.testing.assert_allclose([(token.start_s, token.end_s) for token in found], wanted.spans_s, atol=1e-6)


def test_pieces_of_any_length_give_the_same_tokens(tokenizer):
    wave = babble(7.0, 1)
    pieces = [committed(feed(tokenizer, wave, piece_s)[0]) for piece_s in (0.5, 0.313, 2.2)]
    ids = [[token.id for token in tokens] for tokens in pieces]
    assert ids[0] == ids[1] == ids[2] != []


def test_what_is_committed_holds_wherever_the_stream_ends(tokenizer):
    wave = babble(8.0, 5)
    updates = feed(tokenizer, wave, 0.5)[0]
    ends = range(6, 16, 2)
    for pieces, ended in zip(ends, tokenizer.tokenize_batch([wave[: k * RATE_HZ // 2] for k in ends]), strict=True):
        before = tuple(token.id for token in committed(updates[:pieces]))
        assert before == ended.ids[: len(before)]
        assert before or pieces < 7


def test_a_stream_at_another_rate_is_the_resampled_recording(tokenizer):
    wave = np.interp(np.arange(4 * 44_100) / 44_100, np.arange(4 * RATE_HZ) / RATE_HZ, babble(4.0, 6))
    wave = wave.astype(np.float32)
    updates, stream = feed(tokenizer, wave, 0.5, rate_hz=44_100)
    resampled = np.concatenate(list(resample_blocks([wave], 44_100, RATE_HZ)))
    wanted = tokenizer.tokenize(resampled)
    assert tuple(token.id for token in committed(updates)) == wanted.ids
    np.testing.assert_array_equal(stream.audio(30), resampled)


def test_integers_and_channels_are_the_same_sound(tokenizer):
    wave = (babble(4.0, 7) * 32_767).astype(np.int16)
    plain = committed(feed(tokenizer, wave.astype(np.float32) / 32_768, 0.5)[0])
    stereo = committed(feed(tokenizer, np.stack([wave, wave], axis=1), 0.5)[0])
    assert plain == stereo and plain


@pytest.mark.parametrize("level", [0.0, 3e-4, 1e-2])
def test_silence_and_faint_noise_give_no_tokens_at_all(tokenizer, level):
    wave = np.random.default_rng(1).normal(0, level, 12 * RATE_HZ).astype(np.float32)
    updates, stream = feed(tokenizer, wave, 0.5)
    assert all(update.committed == update.tentative == () for update in updates)
    assert stream.revision_rate == 0.0 and not stream.hears()


def test_silence_is_not_decoded(tokenizer, monkeypatch):
    monkeypatch.setattr(tokenizer, "pieces", lambda *_: pytest.fail("silence was decoded"))
    feed(tokenizer, quiet(10), 0.5)
    with pytest.raises(pytest.fail.Exception, match="was decoded"):  # so speech would have been noticed
        feed(tokenizer, babble(4.0), 0.5)


def test_speech_after_silence_keeps_its_beginning(tokenizer):
    speech = spoken("harbour_a")
    begins_s = 7.3
    found = committed(feed(tokenizer, np.concatenate([quiet(begins_s), speech]), 0.5)[0])
    first_sound_s = begins_s + np.argmax(np.abs(speech) > 0.02 * np.abs(speech).max()) / RATE_HZ
    assert found[0].start_s <= first_sound_s


def test_committed_tokens_stand_in_order_and_never_come_back(tokenizer):
    updates, stream = feed(tokenizer, babble(12.0, 8), 0.5)
    starts = [token.start_s for token in committed(updates)]
    assert starts == sorted(starts) and len(starts) == stream.committed_count
    for update in updates:
        so_far = committed(updates[: updates.index(update) + 1])
        if so_far and update.tentative:
            assert update.tentative[0].start_s >= so_far[-1].end_s - 1e-9


def test_tokens_are_final_two_and_a_half_seconds_after_they_were_said(tokenizer):
    for update in feed(tokenizer, babble(12.0, 9), 0.5)[0][7:-1]:
        middle_s = [(token.start_s + token.end_s) / 2 for token in update.tentative]
        # the last token before a seam waits for the one that follows it, a window for the frames after it
        assert all(update.now_s - middle <= 2.5 + 0.05 for middle in middle_s[1:])


def test_tokens_are_final_soon_after_speech_has_stopped(tokenizer):
    wave = np.concatenate([spoken("harbour_a"), quiet(1.5)])
    updates = feed(tokenizer, wave, 0.25)[0]
    assert updates[-1].committed == updates[-2].tentative == ()
    assert tuple(token.id for token in committed(updates)) == tokenizer.tokenize(wave).ids != ()


def test_revisions_are_counted_and_marked(tokenizer):
    updates, stream = feed(tokenizer, babble(9.0, 10), 0.5)
    shown = revised = 0
    for before, after in zip(updates[:-1], updates[1:], strict=True):
        kept = [token.id for token in before.tentative]
        now = [*after.committed, *after.tentative]
        shown += len(kept)
        if [token.id for token in now][: len(kept)] == kept:
            assert not any(token.revised for token in now), "what is only new was not revised"
        else:
            revised += 1
    assert stream.shown_count == shown and 0 < stream.revision_rate < 1 and revised > 0


def test_the_state_is_bounded_and_can_be_copied(tokenizer):
    stream = Stream(keep_s=12)
    for _ in range(10):
        stream.add(np.concatenate([babble(0.5, 11), quiet(3.5)]))
        stream.update(tokenizer)
    assert stream.duration_s == 40 and len(stream.audio(1e6)) == 12 * RATE_HZ
    assert len(stream._wave) < 15 * RATE_HZ and len(stream._levels) < 15 * 50
    twin = copy.deepcopy(stream)
    more = babble(3.0, 12)
    for one in (stream, twin):
        one.add(more)
    assert stream.finish(tokenizer) == twin.finish(tokenizer)


def test_the_last_seconds_are_what_came_in():
    stream, wave = Stream(), babble(5.0, 13)
    stream.add(wave)
    np.testing.assert_array_equal(stream.audio(2.0), wave[-2 * RATE_HZ :])
    with pytest.raises(ValueError, match="above 0"):
        stream.audio(0)
    with pytest.raises(ValueError, match="no sound yet"):
        Stream().audio(1)


def test_a_stream_that_ended_takes_nothing_and_says_nothing_more(tokenizer):
    updates, stream = feed(tokenizer, babble(4.0, 14), 0.5)
    assert updates[-1].tentative == () and stream.finish(tokenizer).committed == ()
    with pytest.raises(ValueError, match="has ended"):
        stream.add(babble(1.0))


@pytest.mark.parametrize("samples", [np.zeros((2, 2, 2), np.float32), np.array([0.0, np.nan], np.float32), ["a"]])
def test_what_is_no_sound_is_refused(samples):
    with pytest.raises(ValueError):
        Stream().add(samples)


@pytest.mark.parametrize(("options", "said"), [({"rate_hz": 100}, "sample rate"), ({"keep_s": 1}, "keep_s is 1")])
def test_impossible_options_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        Stream(**options)
