"""Baselines: byte pairs by the textbook, MFCC, fitting to a rate, and their way through a checkpoint."""

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

import pairalign
from pairalign.audio import write_audio
from pairalign.checkpoint import read_checkpoint, save_checkpoint
from pairalign.evaluation import fit_baselines as script
from pairalign.evaluation.baselines import (
    ceiling_of_views,
    fit_baselines,
    frames_between,
    merges_for,
    missing_baselines,
)
from pairalign.evaluation.protocols import Trials
from pairalign.mfcc import MFCC_SIZE, mfcc
from pairalign.model import bpe
from pairalign.model.baselines import split_baselines
from tests.conftest import babble


def ids(text: str, alphabet: str) -> list[int]:
    return [alphabet.index(c) for c in text]


class TestBytePairs:
    def test_the_example_of_gage_aaabdaaabac(self):
        merges = list(islice(bpe.learn_merges([ids("aaabdaaabac", "abcd")], 4), 3))
        assert merges == [(0, 0), (0, 1), (4, 5)]  # Z=aa, Y=ab, X=ZY
        merged = bpe.apply_merges(ids("aaabdaaabac", "abcd"), np.array(merges), 4)
        assert merged.tolist() == [6, 3, 6, 0, 2]  # XdXac

    def test_the_example_of_sennrich_low_lower_newest_widest(self):
        alphabet = "_deilnorstw"
        words = [("low_", 5), ("lower_", 2), ("newest_", 6), ("widest_", 3)]
        strings = [ids(word, alphabet) for word, count in words for _ in range(count)]
        shown = list(alphabet)
        for left, right in islice(bpe.learn_merges(strings, len(alphabet)), 4):
            shown.append(shown[left] + shown[right])
        # e s, es t, est _ and l o have 9, 9, 9 and 7 occurrences; equal counts go by ids, so t _ comes before es t
        assert shown[-4:] == ["es", "t_", "est_", "lo"]

    @pytest.mark.parametrize("run", range(1, 8))
    def test_equal_neighbours_merge_from_the_left_without_overlap(self, run: int):
        flat = bpe.flatten([[0] * run, [1, 0, 0, 0]])
        merged = bpe.merge_pair(flat, 0, 0, 2).tolist()
        assert merged == [2] * (run // 2) + [0] * (run % 2) + [-1, 1, 2, 0, -1]

    def test_merges_come_in_the_order_they_were_learned_and_can_be_undone(self):
        rng = np.random.default_rng(0)
        strings = [rng.integers(0, 5, n).tolist() for n in rng.integers(0, 60, 40)]
        merges = np.array(list(islice(bpe.learn_merges(strings, 5), 60)))
        width = bpe.widths(merges, 5)
        for string in [*strings, rng.integers(0, 5, 300).tolist()]:
            one_by_one = np.array(string, dtype=np.int64)
            for m, (left, right) in enumerate(merges.tolist()):
                one_by_one = bpe.merge_pair(one_by_one, left, right, 5 + m)
            merged = bpe.apply_merges(string, merges, 5)
            assert merged.tolist() == one_by_one.tolist()
            assert bpe.expand(merged, merges, 5) == string
            assert width[merged].sum() == len(string)

    def test_learning_ends_when_no_pair_occurs_twice(self):
        assert list(bpe.learn_merges([[0, 1, 2], [2, 1, 0]], 3)) == []
        assert list(bpe.learn_merges([], 3)) == []

    def test_the_number_of_merges_is_that_of_the_wanted_length(self):
        rng = np.random.default_rng(0)
        steps = rng.permuted(np.tile(np.arange(20), (20, 1)), axis=1)[:, :4]  # few followers for each token
        strings = []
        for _ in range(120):
            string = [int(rng.integers(20))]
            while len(string) < 60:
                string.append(int(steps[string[-1], rng.integers(4)]))
            strings.append(string)
        merges = merges_for(strings[:80], strings[80:], 20, tokens=0.5 * 40 * 60)
        count = sum(len(bpe.apply_merges(s, merges.numpy(), 20)) for s in strings[80:])
        assert count == pytest.approx(0.5 * 40 * 60, rel=0.01)
        assert len(merges_for(strings[:80], strings[80:], 20, tokens=1e6)) == 0


class TestMfcc:
    def test_frames_are_normalised_and_padding_does_not_matter(self):
        waves = [torch.from_numpy(babble(s, seed=k)) for k, s in enumerate((1.0, 2.13))]
        lengths = torch.tensor([len(w) for w in waves])
        together, frames = mfcc(torch.nn.utils.rnn.pad_sequence(waves, batch_first=True) + 0.0, lengths)
        assert together.shape == (2, 107, MFCC_SIZE) and frames.tolist() == [50, 107]
        for row, wave, n in zip(together, waves, frames.tolist(), strict=True):
            alone, _ = mfcc(wave[None], torch.tensor([len(wave)]))
            torch.testing.assert_close(row[:n], alone[0], atol=1e-3, rtol=1e-3)
            torch.testing.assert_close(row[:n].mean(0), torch.zeros(MFCC_SIZE), atol=1e-4, rtol=0)
            torch.testing.assert_close(row[:n].std(0, correction=0), torch.ones(MFCC_SIZE), atol=1e-3, rtol=0)
        assert not together[0, 50:].any()

    def test_loudness_does_not_matter_and_a_warp_does(self):
        wave, length = torch.from_numpy(babble(1.0))[None], torch.tensor([16_000])
        same, _ = mfcc(wave * 0.3, length)
        warped, _ = mfcc(wave, length, torch.tensor([1.1]))
        found, _ = mfcc(wave, length)
        torch.testing.assert_close(found, same, atol=0.02, rtol=0)
        assert (found - warped).abs().mean() > 0.05


class TestStrings:
    def test_raw_codes_collapse_to_vq_and_byte_pairs_expand_to_it(self, fitted_tokenizer):
        wave = babble(7.7, seed=3)
        vq, raw, merged = (fitted_tokenizer.tokenize(wave, m) for m in ("vq", "vq_raw", "bpe"))
        changes = [k for k, token in enumerate(raw.ids) if k == 0 or token != raw.ids[k - 1]]
        assert tuple(raw.ids[k] for k in changes) == vq.ids and len(raw) == 385
        merges = fitted_tokenizer.baselines.merges
        assert tuple(bpe.expand(merged.ids, merges, 32)) == vq.ids and len(merged) < len(vq)
        assert merged.vocab_size == 32 + len(merges) and max(merged.ids) >= 32
        edges = {edge for span in vq.spans_s for edge in span}
        assert {edge for span in merged.spans_s for edge in span} <= edges
        assert merged.spans_s[0][0] == vq.spans_s[0][0] and merged.spans_s[-1][1] == vq.spans_s[-1][1]

    def test_features_of_a_long_recording_have_a_row_per_frame(self, fitted_tokenizer):
        for kind, size in (("encoder", 16), ("mfcc", MFCC_SIZE)):
            (frames,) = fitted_tokenizer.frame_features([babble(7.7)], kind)
            assert frames.shape == (385, size) and np.isfinite(frames).all()
        with pytest.raises(ValueError, match="use one of encoder, mfcc"):
            fitted_tokenizer.frame_features([babble(1.0)], "whale")

    @pytest.mark.parametrize("method", ["viterbi_cost", "bpe", "mfcc"])
    def test_a_checkpoint_without_them_says_how_to_add_them(self, tiny_tokenizer, method: str):
        with pytest.raises(ValueError, match=f"holds no baseline '{method}'.*fit_baselines"):
            tiny_tokenizer.tokenize(babble(1.0), method)
        assert missing_baselines(tiny_tokenizer) == ("viterbi_cost", "bpe", "mfcc")

    def test_frames_of_a_word_are_those_whose_middle_it_holds(self):
        frames = np.arange(10)[:, None]
        assert frames_between(frames, 0.03, 0.07).ravel().tolist() == [1, 2]
        assert frames_between(frames, 0.04, 0.08).ravel().tolist() == [2, 3]
        assert frames_between(frames, 0.052, 0.055).ravel().tolist() == [3]
        assert frames_between(frames, 5.0, 6.0).ravel().tolist() == [9]

    def test_a_clean_copy_is_its_own_nearest_by_warping(self, tiny_tokenizer):
        waves = [babble(1.0, seed=k) for k in range(4)]
        nobody = np.eye(4, dtype=bool)
        trials = Trials(waves, waves, waves, [1.0] * 4, [1.0] * 4, [None] * 4, [0, 1, 2, 3], nobody, nobody[0])
        for name in ("mfcc_dtw", "encoder_dtw"):
            assert ceiling_of_views(tiny_tokenizer, trials, name)["recall_1"].value == 1.0


class Slow:
    """The tiny tokenizer, with generated strings at a known rate: every third code of VQ."""

    def __init__(self, tokenizer: pairalign.Tokenizer) -> None:
        self.tokenizer = tokenizer

    def __getattr__(self, name: str):
        return getattr(self.tokenizer, name)

    def tokenize_batch(self, waves, method="pairalign"):
        found = self.tokenizer.tokenize_batch(waves, method="vq")
        return found if method == "vq" else [s.ids[::3] for s in found]


def test_the_rate_of_the_models_own_strings_is_reached(tiny_tokenizer):
    waves = [babble(2.0, seed=k) for k in range(30)]
    found = fit_baselines(Slow(tiny_tokenizer), waves, seed=0)
    fitted = pairalign.Tokenizer(tiny_tokenizer.model, tiny_tokenizer.sidecar, found)
    for method in ("viterbi", "viterbi_cost", "bpe"):
        rate_hz = sum(map(len, fitted.tokenize_batch(waves, method))) / 60
        assert rate_hz == pytest.approx(found.rate_hz, rel=0.03), method
    assert found.mfcc_codes.shape == (32, MFCC_SIZE)
    with pytest.raises(ValueError, match="at least one"):
        fit_baselines(tiny_tokenizer, [], 0)


class TestCheckpoint:
    @pytest.fixture
    def corpus(self, tmp_path: Path) -> Path:
        for k in range(5):
            write_audio(tmp_path / f"{k}.wav", babble(1.5, seed=k))
        rows = [f"{k}.wav,{'dev' if k == 4 else 'train'},s{k}" for k in range(5)]
        (tmp_path / "manifest.csv").write_text("\n".join(["path,split,speaker", *rows]))
        return tmp_path

    def test_baselines_travel_with_the_weights(self, tiny_checkpoint: Path, corpus: Path):
        out = corpus / "final.safetensors"
        found = script.add_baselines(tiny_checkpoint, corpus, out, segments=4)
        before, after = pairalign.load(tiny_checkpoint, device="cpu"), pairalign.load(out, device="cpu")
        assert after.sha256 != before.sha256 and before.baselines is None
        assert after.baselines.viterbi_penalty == found.viterbi_penalty and after.baselines.rate_hz == found.rate_hz
        assert torch.equal(after.baselines.bpe_merges, found.bpe_merges)
        assert torch.equal(after.baselines.mfcc_codes, found.mfcc_codes)
        assert torch.equal(after.baselines.code_cost, found.code_cost)
        assert all(torch.equal(a, b) for a, b in zip(before.model.parameters(), after.model.parameters(), strict=True))
        note = json.loads(out.with_suffix(".json").read_text())["recipe"]["baselines"]
        assert note["segments"] == 4 and note["bpe_merges"] == len(found.bpe_merges)
        for method in ("viterbi_cost", "bpe", "mfcc"):
            assert len(after.tokenize(babble(1.0), method))

    def test_the_checkpoint_read_is_not_overwritten(self, tiny_checkpoint: Path, corpus: Path):
        with pytest.raises(pairalign.CheckpointError, match="give another name"):
            script.add_baselines(tiny_checkpoint, corpus, tiny_checkpoint)

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("bpe_merges", None, "must be viterbi_penalty"),
            ("bpe_merges", torch.zeros(3, dtype=torch.int64), r"must be \(M, 2\)"),
            ("bpe_merges", torch.tensor([[0, 32]]), "do not exist"),
            ("mfcc_codes", torch.zeros(4, MFCC_SIZE), "must be"),
            ("code_cost", torch.zeros(4), "must be"),
        ],
    )
    def test_damaged_baselines_are_refused(
        self, fitted_tokenizer, tiny_checkpoint: Path, tmp_path: Path, name: str, value, message: str
    ):
        extra = fitted_tokenizer.baselines.to_tensors() | {f"baseline.{name}": value}
        extra = {key: tensor for key, tensor in extra.items() if tensor is not None}
        with pytest.raises(ValueError, match=message):
            split_baselines(extra, 32)
        weights, sidecar = read_checkpoint(tiny_checkpoint)
        save_checkpoint(tmp_path / "odd.safetensors", {**weights, **extra}, sidecar)
        with pytest.raises(pairalign.CheckpointError):
            pairalign.load(tmp_path / "odd.safetensors", device="cpu")
