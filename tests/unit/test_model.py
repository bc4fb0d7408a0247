import itertools

import pytest
import torch

from pairalign.features import log_mel
from pairalign.model import ModelConfig, PairAlignModel, base_config, small_config, tiny_config
from pairalign.model.quantizer import fit_switch_penalty, runs_of, smooth_codes, spherical_kmeans
from tests.conftest import babble


@pytest.fixture(scope="module")
def model() -> PairAlignModel:
    torch.manual_seed(3)
    return PairAlignModel(tiny_config()).eval()


def features(*seconds: float):
    waves = [torch.from_numpy(babble(s, seed=k)) for k, s in enumerate(seconds)]
    lengths = torch.tensor([len(w) for w in waves])
    return log_mel(torch.nn.utils.rnn.pad_sequence(waves, batch_first=True), lengths)


@pytest.mark.parametrize(
    ("config", "low", "high"), [(tiny_config, 0, 0.3e6), (small_config, 4e6, 7e6), (base_config, 10e6, 25e6)]
)
def test_presets_have_their_size(config, low: float, high: float):
    assert low < PairAlignModel(config()).parameter_count() < high


def test_config_survives_json_and_rejects_what_it_does_not_know():
    assert ModelConfig.from_dict(small_config().to_dict()) == small_config()
    with pytest.raises(ValueError, match="colour"):
        ModelConfig.from_dict({**small_config().to_dict(), "colour": 1})


@torch.no_grad()
def test_encoder_shapes_norm_and_independence_of_padding(model: PairAlignModel):
    together = model.encode(features(0.5, 1.37))
    alone = model.encode(features(0.5))
    frames = int(alone.lengths[0])
    assert frames == 25 and together.lengths.tolist() == [25, 69]
    torch.testing.assert_close(together.latents[0, :frames], alone.latents[0], atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(alone.latents.norm(dim=-1), torch.ones(1, frames))


@torch.no_grad()
def test_cached_steps_equal_teacher_forcing(model: PairAlignModel):
    condition = model.condition(model.encode(features(0.6, 1.0)))
    decoder = model.decoder
    tokens = torch.tensor([[decoder.bos_id, 3, 7, 3, 9], [decoder.bos_id, 1, 2, 8, 4]])
    logits, attention = decoder(tokens, condition)
    caches = decoder.start(condition, 5)
    for u in range(5):
        step_logits, step_attention = decoder.step(tokens[:, u], u, caches, condition.valid)
        torch.testing.assert_close(step_logits, logits[:, u], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(step_attention, attention[:, u], atol=1e-5, rtol=1e-4)
    assert not attention[0, :, int(condition.lengths[0]) :].any()


@torch.no_grad()
def test_the_decoder_is_causal(model: PairAlignModel):
    condition = model.condition(model.encode(features(0.6)))
    first = torch.tensor([[model.decoder.bos_id, 3, 7, 5]])
    second = torch.tensor([[model.decoder.bos_id, 3, 8, 6]])
    a, b = (model.decoder(t, condition)[0] for t in (first, second))
    torch.testing.assert_close(a[:, :2], b[:, :2])
    assert not torch.allclose(a[:, 2:], b[:, 2:])


def test_viterbi_equals_the_best_of_all_paths():
    scores = torch.randn(3, 6, 3, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    lengths = torch.tensor([6, 4, 1])
    for penalty in (0.0, 0.5, 2.0):
        paths = smooth_codes(scores, lengths, penalty)
        for row, path, n in zip(scores, paths, lengths.tolist(), strict=True):

            def worth(candidate, row=row, penalty=penalty):
                switches = sum(a != b for a, b in itertools.pairwise(candidate))
                return sum(float(row[t, k]) for t, k in enumerate(candidate)) - penalty * switches

            best = max(worth(c) for c in itertools.product(range(3), repeat=n))
            assert worth(path[:n].tolist()) == pytest.approx(best, abs=1e-5)


def test_no_penalty_is_the_nearest_code_and_more_penalty_fewer_runs():
    scores = torch.randn(2, 80, 8, generator=torch.Generator().manual_seed(1)).log_softmax(-1)
    lengths = torch.tensor([80, 80])
    assert torch.equal(smooth_codes(scores, lengths, 0.0), scores.argmax(-1))
    counts = [sum(len(runs_of(p, 80)[0]) for p in smooth_codes(scores, lengths, q)) for q in (0.0, 1.0, 3.0)]
    assert counts[0] > counts[1] > counts[2]


def test_the_switch_penalty_reaches_the_wanted_rate():
    scores = torch.randn(4, 150, 8, generator=torch.Generator().manual_seed(2)).log_softmax(-1)
    lengths = torch.full((4,), 150)
    penalty = fit_switch_penalty(scores, lengths, rate_hz=12.0, frame_rate_hz=50)
    tokens = sum(len(runs_of(p, 150)[0]) for p in smooth_codes(scores, lengths, penalty))
    assert tokens / 12 == pytest.approx(12.0, rel=0.05)


def test_runs_of_a_path():
    assert runs_of(torch.tensor([5, 5, 2, 2, 2, 5, 9]), 6) == ([5, 2, 5], [0, 2, 5])


def test_spherical_kmeans_finds_separate_directions():
    generator = torch.Generator().manual_seed(0)
    centres = torch.nn.functional.normalize(torch.randn(6, 16, generator=generator), dim=-1)
    points = centres.repeat(50, 1) + 0.05 * torch.randn(300, 16, generator=generator)
    found = spherical_kmeans(torch.nn.functional.normalize(points, dim=-1), 6, generator)
    assert (centres @ found.T).max(1).values.min() > 0.99
