"""The decoded bank and the batches: data order depends on nothing but (seed, step)."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from pairalign.audio import SAMPLE_RATE_HZ
from pairalign.training import data
from pairalign.training.bank import without_copies
from pairalign.training.data import DataError
from tests.unit.conftest import tone, write


@pytest.fixture
def bank(corpus: Path) -> data.AudioBank:
    return data.load_bank(data.read_manifest(corpus))


class TestBank:
    def test_waves_are_the_recordings(self, bank: data.AudioBank) -> None:
        assert np.abs(bank.wave(3) - tone(2.2, seed=3)).max() < 2e-4
        assert len(bank.wave(3, 0.5, 0.75)) == 4000
        assert np.array_equal(bank.wave(3, 0.5, 0.75), bank.wave(3)[8000:12000])
        assert len(bank.wave(3, 2.0, 9.0)) == 3200 and len(bank.wave(3, 9.0, 10.0)) == 0

    def test_unreadable_recordings_are_listed_not_fatal(self, tmp_path: Path) -> None:
        write(tmp_path / "a.wav")
        (tmp_path / "b.wav").write_bytes(b"RIFF broken")
        bank = data.load_bank(data.read_manifest(tmp_path), tmp_path / "cache")
        assert [item.path.name for item in bank.skipped] == ["b.wav"] and bank.skipped[0].reason
        assert bank.durations_s.tolist() == [1.0, 0.0]
        batch = data.augmentation_batch(bank, [0, 1], step=0, seed=0, batch_size=2)
        assert batch.utterance_ids.tolist() == [0, 0]

    def test_nothing_readable_is_a_mistake(self, tmp_path: Path) -> None:
        (tmp_path / "b.wav").write_bytes(b"RIFF broken")
        with pytest.raises(DataError, match="none of the 1 recordings can be read"):
            data.load_bank(data.read_manifest(tmp_path))

    def test_the_cache_is_used_until_a_file_changes(self, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        utterances, cache = data.read_manifest(corpus), corpus / "cache"
        first = data.load_bank(utterances, cache)
        with monkeypatch.context() as patch:
            patch.setattr("pairalign.training.bank.read_audio", lambda path: pytest.fail("decoded again"))
            again = data.load_bank(utterances, cache)
        assert all(np.array_equal(first.wave(i), again.wave(i)) for i in range(12))
        write(corpus / "audio/5.wav", 1.5, seed=99)
        assert data.load_bank(utterances, cache).durations_s[5] == 1.5
        assert not list(cache.glob("*.part"))

    def test_an_interrupted_decode_leaves_no_cache(self, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupt(done: int, total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            data.load_bank(data.read_manifest(corpus), corpus / "cache", interrupt)
        assert not list((corpus / "cache").iterdir())

    def test_copies_of_what_is_learned_from_are_not_held_out(self, tmp_path: Path) -> None:
        paths = [write(tmp_path / f"{k}.wav", 0.5 + 0.1 * (k == 3), seed=k) for k in range(4)]
        paths.append(shutil.copy(paths[0], tmp_path / "copy.wav"))
        bank = data.load_bank([data.Utterance(Path(path)) for path in paths])
        assert without_copies(bank, [2, 3, 4], [0, 1]) == [2, 3]
        assert bank.content(0) == bank.content(4) != bank.content(1)

    def test_silence_is_not_active(self, tmp_path: Path) -> None:
        wave = np.concatenate([np.zeros(SAMPLE_RATE_HZ, np.float32), tone(1.0)])
        soundfile.write(tmp_path / "a.wav", wave, SAMPLE_RATE_HZ)
        bank = data.load_bank(data.read_manifest(tmp_path))
        assert bank.active_share(0, 0.0, 1.0) == 0.0
        assert bank.active_share(0, 1.0, 2.0) > 0.5
        assert len(bank.active(0)) == 100


def equal(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    return all(equal(value, vars(b)[name]) for name, value in vars(a).items())


class TestAugmentationBatch:
    def test_order_is_a_function_of_seed_and_step(self, bank: data.AudioBank) -> None:
        def batch(step: int, seed: int) -> data.Segments:
            return data.augmentation_batch(bank, range(12), step, seed, batch_size=4)

        torch.manual_seed(1)
        np.random.seed(1)
        first = batch(7, 3)
        batch(8, 3)
        assert equal(first, batch(7, 3))
        assert not equal(first, batch(8, 3)) and not equal(first, batch(7, 4))

    def test_processes_share_one_batch(self, bank: data.AudioBank) -> None:
        whole = data.augmentation_batch(bank, range(12), 5, 0, batch_size=6)
        halves = [data.augmentation_batch(bank, range(12), 5, 0, batch_size=3, rank=r, world=2) for r in (0, 1)]
        assert whole.utterance_ids[0::2].tolist() == halves[0].utterance_ids.tolist()
        assert whole.lengths[1::2].tolist() == halves[1].lengths.tolist()

    def test_segments_are_cut_from_their_recordings_and_padded_with_zeros(self, bank: data.AudioBank) -> None:
        for step in range(30):
            batch = data.augmentation_batch(bank, range(4, 12), step, 0, batch_size=4)
            assert batch.wave.dtype == torch.float32 and batch.wave.shape == (4, int(batch.lengths.max()))
            assert len(set(batch.utterance_ids.tolist())) == 4
            seconds = batch.lengths / SAMPLE_RATE_HZ
            assert seconds.min() >= 0.4 - 1e-3 and seconds.max() <= 3.0 + 1e-3
            assert seconds.max() / seconds.min() <= 1.25 / 0.75 + 1e-3
            for k in range(4):
                i, start_s, n = int(batch.utterance_ids[k]), float(batch.start_s[k]), int(batch.lengths[k])
                source = bank.wave(i, start_s, start_s + n / SAMPLE_RATE_HZ)
                assert np.array_equal(batch.wave[k, :n].numpy(), source[:n])
                assert not batch.wave[k, n:].any()

    def test_all_durations_occur(self, bank: data.AudioBank) -> None:
        lengths = [data.augmentation_batch(bank, range(12), s, 0, 4).lengths.max() for s in range(200)]
        assert min(lengths) < 0.7 * SAMPLE_RATE_HZ
        assert np.mean([n == 3 * SAMPLE_RATE_HZ for n in lengths]) > 0.15

    def test_speech_is_preferred_to_silence(self, tmp_path: Path) -> None:
        wave = np.concatenate([np.zeros(8 * SAMPLE_RATE_HZ, np.float32), tone(8.0)])
        soundfile.write(tmp_path / "a.wav", wave, SAMPLE_RATE_HZ)
        bank = data.load_bank(data.read_manifest(tmp_path))
        batches = [data.augmentation_batch(bank, [0], s, 0, 4, max_s=1.0) for s in range(20)]
        assert np.mean([(batch.wave.square().mean(1) > 1e-4).float().mean() for batch in batches]) > 0.85

    def test_nothing_to_draw_from_is_named(self, bank: data.AudioBank) -> None:
        with pytest.raises(DataError, match="no recordings to train on"):
            data.augmentation_batch(bank, [], 0, 0, 4)


class TestRealizationBatch:
    @pytest.fixture
    def index(self, corpus: Path, bank: data.AudioBank) -> data.WordIndex:
        return data.build_word_index(data.words_for(bank.utterances, corpus / "words.csv"), bank, range(12))

    def test_short_words_and_words_of_one_speaker_are_left_out(self, index: data.WordIndex) -> None:
        assert index.types == ("one", "two")
        assert index.shares == pytest.approx([0.5, 0.5])

    def test_the_square_root_of_the_count_decides(self, bank: data.AudioBank) -> None:
        words = [data.Word(i, 0.1, 0.5, "often") for i in range(9)] + [data.Word(i, 0.5, 0.9, "rare") for i in range(4)]
        assert data.build_word_index(words, bank, range(12)).shares == pytest.approx([0.6, 0.4])

    def test_pairs_are_the_same_word_by_two_speakers(self, bank: data.AudioBank, index: data.WordIndex) -> None:
        speaker = [utterance.speaker for utterance in bank.utterances]
        for step in range(20):
            pairs = data.realization_batch(bank, index, step, 0, n_pairs=6)
            for a, b in zip(pairs.a.utterance_ids, pairs.b.utterance_ids, strict=True):
                assert speaker[a] != speaker[b]
            for lengths, span in ((pairs.a.lengths, pairs.span_a_s), (pairs.b.lengths, pairs.span_b_s)):
                seconds = lengths / SAMPLE_RATE_HZ
                assert seconds.min() >= 0.4 - 1e-3 and seconds.max() <= 1.6 + 1e-3
                assert (span[:, 0] >= 0).all() and (span[:, 1] <= seconds + 1e-4).all()
                width = torch.tensor([0.35 if index.types[w] == "one" else 0.3 for w in pairs.word_ids])
                assert torch.allclose(span[:, 1] - span[:, 0], width, atol=1e-3)

    def test_the_span_is_where_the_word_is(self, bank: data.AudioBank, index: data.WordIndex) -> None:
        pairs = data.realization_batch(bank, index, 0, 0, n_pairs=8)
        for k in range(8):
            word_s = 0.1 if index.types[pairs.word_ids[k]] == "one" else 0.5
            start = round(float(pairs.span_a_s[k, 0]) * SAMPLE_RATE_HZ)
            expected = bank.wave(int(pairs.a.utterance_ids[k]), word_s, word_s + 0.3)
            nearby = [pairs.a.wave[k, max(0, start + d) :].numpy()[: len(expected)] for d in (-1, 0, 1)]
            assert any(np.array_equal(found, expected[: len(found)]) for found in nearby)

    def test_order_is_a_function_of_seed_and_step(self, bank: data.AudioBank, index: data.WordIndex) -> None:
        first = data.realization_batch(bank, index, 7, 3, n_pairs=4)
        assert equal(first, data.realization_batch(bank, index, 7, 3, n_pairs=4))
        assert not equal(first, data.realization_batch(bank, index, 8, 3, n_pairs=4))

    def test_without_pairs_the_mistake_is_named(self, bank: data.AudioBank) -> None:
        index = data.build_word_index([data.Word(0, 0.1, 0.5, "alone")], bank, range(12))
        with pytest.raises(DataError, match="no word is spoken by two speakers"):
            data.realization_batch(bank, index, 0, 0, 4)


class TestEvaluationSegments:
    def test_full_length_first_one_per_recording_always_the_same(self, bank: data.AudioBank) -> None:
        segments = data.evaluation_segments(bank, range(12), 7, seed=1)
        assert equal(segments, data.evaluation_segments(bank, range(12), 7, seed=1))
        assert len(set(segments.utterance_ids.tolist())) == 7
        assert (segments.lengths == 3 * SAMPLE_RATE_HZ).all()  # recordings 5 to 11 are 3 s and longer

    def test_shorter_recordings_fill_up(self, bank: data.AudioBank) -> None:
        segments = data.evaluation_segments(bank, range(12), 100)
        assert len(segments.lengths) == 12
        assert segments.utterance_ids[7:].tolist() == [4, 3, 2, 1, 0]

    def test_room_is_left_for_a_shift(self, bank: data.AudioBank) -> None:
        segments = data.evaluation_segments(bank, range(6, 12), 6)
        ends_s = segments.start_s.numpy() + 3.0
        assert (ends_s + 0.1 <= bank.durations_s[segments.utterance_ids.numpy()] + 1e-6).all()

    def test_a_segment_does_not_depend_on_the_others(self, bank: data.AudioBank) -> None:
        few = data.evaluation_segments(bank, [8], 1, seed=5)
        many = data.evaluation_segments(bank, range(12), 12, seed=5)
        assert few.start_s[0] == many.start_s[many.utterance_ids == 8][0]

    def test_silence_is_left_out(self, tmp_path: Path) -> None:
        for k in range(3):
            wave = np.concatenate([tone(0.5), np.zeros(30 * SAMPLE_RATE_HZ, np.float32)]) if k == 1 else tone(4.0, k)
            soundfile.write(tmp_path / f"{k}.wav", wave, SAMPLE_RATE_HZ)
        bank = data.load_bank(data.read_manifest(tmp_path))
        seed = next(s for s in range(20) if 1 not in data.evaluation_segments(bank, range(3), 3, seed=s).utterance_ids)
        assert data.evaluation_segments(bank, range(3), 2, seed=seed).utterance_ids.tolist() in ([0, 2], [2, 0])

    def test_nothing_long_enough_is_named(self, bank: data.AudioBank) -> None:
        with pytest.raises(DataError, match="nothing to evaluate"):
            data.evaluation_segments(bank, [], 3)
