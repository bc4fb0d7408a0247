"""Likelihoods of strings under recordings, and attention maps: against the decoder asked directly, and the mistakes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import pairalign
from pairalign.decoding import DecodingOptions
from pairalign.gate import passages
from pairalign.likelihood import attention_map, log_likelihoods
from tests.conftest import RATE_HZ, babble

GREEDY = DecodingOptions(evidence=0.0)


@pytest.fixture(scope="module")
def waves() -> list[np.ndarray]:
    # with a little noise: the tokenizer cuts off digital silence at the ends, which a likelihood counts in
    hiss = np.random.default_rng(0)
    every = [babble(duration_s, seed=k) for k, duration_s in enumerate((0.5, 2.9, 1.3))]
    every = [(wave + 1e-3 * hiss.standard_normal(len(wave))).astype(np.float32) for wave in every]
    assert all(passages(wave) == [(0, len(wave))] for wave in every)
    return every


@pytest.fixture(scope="module")
def strings(tiny_tokenizer: pairalign.Tokenizer, waves: list[np.ndarray]) -> list[pairalign.TokenString]:
    return tiny_tokenizer.tokenize_batch(waves, options=GREEDY) + tiny_tokenizer.tokenize_batch(waves, "vq")


def test_those_of_a_written_string_are_those_it_was_written_with(tiny_tokenizer, waves, strings) -> None:
    decoder = tiny_tokenizer.model.decoder
    found = log_likelihoods(tiny_tokenizer, strings, waves)
    assert found.shape == (6, 3) and (found < 0).all()
    for k in range(3):
        ids = torch.tensor([[decoder.bos_id, *strings[k].ids]])
        logits, _ = decoder(ids, tiny_tokenizer.condition(waves[k]))
        eos = float(logits[0, -1].log_softmax(-1)[decoder.eos_id])
        expected = (sum(strings[k].log_probs) + eos) / (len(strings[k]) + 1)
        assert found[k, k] == pytest.approx(expected, abs=1e-4)


def test_batching_changes_nothing(tiny_tokenizer, waves, strings) -> None:
    many = (strings * 20)[:100]  # more than one batch, of lengths from a few tokens to over a hundred
    together = log_likelihoods(tiny_tokenizer, many, waves)
    for s, string in enumerate(strings):
        for c, wave in enumerate(waves):
            (alone,) = log_likelihoods(tiny_tokenizer, [string], [wave])[0]
            assert np.allclose(together[s :: len(strings), c], alone, atol=1e-4)


def test_an_empty_string_costs_its_eos(tiny_tokenizer, waves, strings) -> None:
    decoder = tiny_tokenizer.model.decoder
    empty = replace(strings[0], ids=(), spans_s=(), log_probs=())
    logits, _ = decoder(torch.tensor([[decoder.bos_id]]), tiny_tokenizer.condition(waves[0]))
    expected = float(logits[0, 0].log_softmax(-1)[decoder.eos_id])
    assert log_likelihoods(tiny_tokenizer, [empty], waves[:1])[0, 0] == pytest.approx(expected, abs=1e-4)


def test_nothing_gives_nothing(tiny_tokenizer, waves, strings) -> None:
    assert log_likelihoods(tiny_tokenizer, [], waves).shape == (0, 3)
    assert log_likelihoods(tiny_tokenizer, strings, []).shape == (6, 0)


def test_condition_gain_is_the_difference_of_two(tiny_tokenizer, waves, strings) -> None:
    table = log_likelihoods(tiny_tokenizer, strings[:3], waves)
    gains = tiny_tokenizer.condition_gain(waves, strings[:3], [2, 0, 1])
    assert np.allclose(gains, [table[0, 0] - table[0, 2], table[1, 1] - table[1, 0], table[2, 2] - table[2, 1]])


def test_attention_has_a_row_per_token_and_one_for_eos(tiny_tokenizer, waves, strings) -> None:
    for wave, string in zip(waves, strings, strict=False):
        found = attention_map(tiny_tokenizer, wave, string)
        frames = int(tiny_tokenizer.condition(wave).lengths)
        assert found.weights.shape == (len(string) + 1, frames) and found.weights.dtype == np.float32
        assert frames * found.frame_s == pytest.approx(len(wave) / RATE_HZ, abs=0.02)
        assert np.allclose(found.weights.sum(1), 1, atol=1e-5) and (found.weights >= 0).all()


def test_attention_is_that_of_writing(tiny_tokenizer, waves, strings) -> None:
    from pairalign.decoding import decode

    condition, count = tiny_tokenizer.condition(waves[1]), torch.tensor([len(strings[1])])
    written = decode(tiny_tokenizer.model.decoder, condition, count, count, GREEDY)
    assert written.tokens[0].tolist() == list(strings[1].ids)
    found = attention_map(tiny_tokenizer, waves[1], strings[1])
    assert np.allclose(found.weights, written.attention[0], atol=1e-5)


def test_recordings_longer_than_a_window_are_refused(tiny_tokenizer, strings) -> None:
    assert log_likelihoods(tiny_tokenizer, strings[:1], [babble(3.4)]).shape == (1, 1)
    for call in (
        lambda: log_likelihoods(tiny_tokenizer, strings[:1], [babble(3.5)]),
        lambda: attention_map(tiny_tokenizer, babble(3.5), strings[0]),
        lambda: tiny_tokenizer.condition_gain([babble(3.5), babble(1.0)], strings[:2]),
    ):
        with pytest.raises(ValueError, match=r"lasts 3.50 s, and the decoder reads 3.4 s at once"):
            call()


def test_strings_that_the_decoder_cannot_have_written_are_refused(fitted_tokenizer, waves) -> None:
    (string,) = fitted_tokenizer.tokenize_batch(waves[:1])
    (pairs,), (clusters,) = (fitted_tokenizer.tokenize_batch(waves[:1], method) for method in ("bpe", "mfcc"))
    assert max(pairs.ids) >= 32
    for wrong, message in (
        (replace(string, model_sha256="f" * 64), "another checkpoint .ffffffffffff"),
        (pairs, "method 'bpe' has other symbols than the decoder's 32 codes"),
        (replace(string, method="bpe"), "method 'bpe' has other symbols"),  # its ids would be codes as well
        (clusters, "method 'mfcc' has other symbols"),
    ):
        with pytest.raises(ValueError, match=message):
            log_likelihoods(fitted_tokenizer, [string, wrong], waves[:1])
        with pytest.raises(ValueError, match=message):
            attention_map(fitted_tokenizer, waves[0], wrong)
