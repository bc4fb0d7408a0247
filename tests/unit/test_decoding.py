from dataclasses import replace

import pytest
import torch

from pairalign.decoding import DecodingOptions, decode, length_limits
from pairalign.features import log_mel
from pairalign.model import PairAlignModel, tiny_config
from tests.conftest import babble


@pytest.fixture(scope="module")
def setup():
    torch.manual_seed(11)
    model = PairAlignModel(tiny_config()).eval()
    torch.nn.init.normal_(model.decoder.output.weight, std=0.6)  # opinions strong enough to differ between inputs
    waves = [torch.from_numpy(babble(0.3 + 0.25 * k, seed=k)) for k in range(9)]
    lengths = torch.tensor([len(w) for w in waves])
    features = log_mel(torch.nn.utils.rnn.pad_sequence(waves, batch_first=True), lengths)
    with torch.no_grad():
        condition = model.condition(model.encode(features))
    return model, features, condition


def strings(decoded) -> list[list[int]]:
    return [ids[:n] for ids, n in zip(decoded.tokens.tolist(), decoded.lengths.tolist(), strict=True)]


def mean_log_probs(decoded) -> torch.Tensor:
    return decoded.log_probs.sum(1) / (decoded.lengths + 1)


def test_strings_keep_the_limits_and_never_repeat_at_once(setup):
    model, features, condition = setup
    fewest, most = length_limits(features, DecodingOptions())
    decoded = decode(model.decoder, condition, fewest, most)
    for ids, low, high in zip(strings(decoded), fewest.tolist(), most.tolist(), strict=True):
        assert low <= len(ids) <= high
        assert all(0 <= i < model.config.codes for i in ids)
        assert all(a != b for a, b in zip(ids, ids[1:], strict=False))


def test_one_at_a_time_gives_the_strings_of_the_batch(setup):
    model, features, condition = setup
    fewest, most = length_limits(features, DecodingOptions())
    for beam in (1, 3):
        options = DecodingOptions(beam=beam)
        together = decode(model.decoder, condition, fewest, most, options)
        for k, ids in enumerate(strings(together)):
            row = torch.tensor([k])
            alone = decode(model.decoder, condition.rows(row), fewest[row], most[row], options)
            assert strings(alone)[0] == ids
            assert bool(alone.chose_eos[0]) == bool(together.chose_eos[k])


def test_the_limit_stops_a_decoder_that_never_ends(setup):
    model, _, condition = setup
    decoder = PairAlignModel(tiny_config()).eval().decoder
    decoder.load_state_dict(model.decoder.state_dict())
    decoder.output.bias.data[decoder.eos_id] = -100.0
    count = len(condition.lengths)
    fewest, most = torch.ones(count, dtype=torch.long), torch.full((count,), 4)
    decoded = decode(decoder, condition, fewest, most)
    assert decoded.lengths.tolist() == [4] * count
    assert not decoded.chose_eos.any()


def test_no_eos_before_the_fewest_tokens(setup):
    model, _, condition = setup
    decoder = PairAlignModel(tiny_config()).eval().decoder
    decoder.load_state_dict(model.decoder.state_dict())
    decoder.output.bias.data[decoder.eos_id] = 1000.0
    count = len(condition.lengths)
    fewest = torch.arange(count) % 3 + 1
    decoded = decode(decoder, condition, fewest, torch.full((count,), 6))
    assert decoded.lengths.tolist() == fewest.tolist()
    assert decoded.chose_eos.all()


def test_a_wider_beam_finds_likelier_strings(setup):
    model, features, condition = setup
    fewest, most = length_limits(features, DecodingOptions())
    greedy = decode(model.decoder, condition, fewest, most, DecodingOptions(evidence=0.0))
    wide = decode(model.decoder, condition, fewest, most, DecodingOptions(beam=8, evidence=0.0))
    assert mean_log_probs(wide).mean() >= mean_log_probs(greedy).mean()
    for ids in strings(wide):
        assert all(a != b for a, b in zip(ids, ids[1:], strict=False))


def test_reported_log_probs_are_those_of_teacher_forcing(setup):
    model, features, condition = setup
    decoder = model.decoder
    plain = [DecodingOptions(beam=beam, evidence=evidence) for beam in (1, 4) for evidence in (0.0, 2.0, 20.0)]
    for options in (*plain, DecodingOptions(temperature=1.0, seed=3), DecodingOptions(beam=4, wanted_tokens=5)):
        decoded = decode(decoder, condition, *length_limits(features, options), options)
        for k, ids in enumerate(strings(decoded)):
            inputs = torch.tensor([[decoder.bos_id, *ids]])
            with torch.no_grad():
                logits, _ = decoder(inputs, condition.rows(torch.tensor([k])))
            expected = logits[0].log_softmax(-1)[torch.arange(len(ids) + 1), torch.tensor([*ids, decoder.eos_id])]
            torch.testing.assert_close(decoded.log_probs[k, : len(ids) + 1], expected, atol=1e-3, rtol=1e-3)


def test_silence_may_be_short(setup):
    quiet = torch.from_numpy(babble(2.0))
    loud = quiet.clone()
    quiet[8000:] = 0
    features = log_mel(torch.stack([loud, quiet]), torch.tensor([32000, 32000]))
    fewest, most = length_limits(features, DecodingOptions())
    assert fewest[1] < fewest[0] and most[1] < most[0]


@pytest.mark.parametrize("bad", [{"beam": 0}, {"beam": 99}, {"max_rate_hz": 1.0}, {"max_rate_hz": 80.0}])
def test_options_that_make_no_sense_are_refused(bad: dict):
    with pytest.raises(ValueError, match="|".join(bad)):
        DecodingOptions(**bad)


def test_frames_that_name_a_token_loudly_are_heard(setup):
    model, features, condition = setup
    limits = length_limits(features, DecodingOptions())
    loud = torch.full_like(condition.name_logits, -20.0)
    loud[:, :, [3, 7]] = 0.0
    condition = replace(condition, name_logits=loud)
    for beam in (1, 3):
        deaf, heard = (
            decode(model.decoder, condition, *limits, DecodingOptions(beam=beam, evidence=e)) for e in (0.0, 5.0)
        )
        assert {i for ids in strings(heard) for i in ids} == {3, 7}
        assert {i for ids in strings(deaf) for i in ids} != {3, 7}
        assert torch.isfinite(heard.log_probs).all() and (heard.log_probs <= 1e-5).all()


def test_evidence_must_be_a_weight():
    with pytest.raises(ValueError, match="evidence"):
        DecodingOptions(evidence=-1.0)


def drawn(setup, temperature: float, seed: int) -> list[list[int]]:
    model, features, condition = setup
    options = DecodingOptions(temperature=temperature, seed=seed)
    return strings(decode(model.decoder, condition, *length_limits(features, options), options))


def test_a_seed_draws_the_same_strings_again_and_another_draws_others(setup):
    assert drawn(setup, 1.0, 3) == drawn(setup, 1.0, 3)
    assert drawn(setup, 1.0, 3) != drawn(setup, 1.0, 4)


def test_hardly_any_temperature_draws_the_most_likely(setup):
    assert drawn(setup, 1e-6, 5) == drawn(setup, 0.0, 0)


def test_drawn_strings_keep_the_limits_and_are_the_same_alone(setup):
    model, features, condition = setup
    options = DecodingOptions(temperature=1.5, seed=1)
    fewest, most = length_limits(features, options)
    together = decode(model.decoder, condition, fewest, most, options)
    assert torch.isfinite(together.log_probs).all() and (together.log_probs <= 1e-5).all()
    for k, ids in enumerate(strings(together)):
        assert fewest[k] <= len(ids) <= most[k]
        assert all(a != b for a, b in zip(ids, ids[1:], strict=False))
        row = torch.tensor([k])
        assert strings(decode(model.decoder, condition.rows(row), fewest[row], most[row], options)) == [ids]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_first_tokens_are_drawn_from_the_tempered_scores(setup, temperature: float):
    model, _, condition = setup
    decoder, row, draws = model.decoder, torch.tensor([4]), 200
    with torch.no_grad():
        logits, _ = decoder(torch.tensor([[decoder.bos_id]]), condition.rows(row))
    log_probs = logits[0, 0, : decoder.eos_id].log_softmax(0)  # no EOS before the first token
    tempered = (log_probs / temperature).softmax(0)
    expected = (tempered * log_probs).sum()
    spread = (tempered * (log_probs - expected).square()).sum().sqrt()
    one = torch.ones(1, dtype=torch.long)
    found = torch.zeros(draws)
    for seed in range(draws):
        options = DecodingOptions(temperature=temperature, seed=seed, evidence=0.0)
        found[seed] = log_probs[decode(decoder, condition.rows(row), one, one, options).tokens[0, 0]]
    assert abs(found.mean() - expected) < 2.5 * spread / draws**0.5


@pytest.mark.parametrize("beam", [1, 3])
def test_exactly_as_many_tokens_as_wanted(setup, beam: int):
    model, features, condition = setup
    for wanted in (1, 7, 40):
        options = DecodingOptions(beam=beam, wanted_tokens=wanted)
        limits = length_limits(features, options)
        decoded = decode(model.decoder, condition, *limits, options)
        frames = condition.lengths.tolist()
        assert [len(ids) for ids in strings(decoded)] == [min(wanted, n) for n in frames]
        assert 15 in frames  # the shortest has fewer than 40
        assert torch.isfinite(decoded.log_probs).all()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"temperature": -0.1}, "temperature is -0.1"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": 0.5, "beam": 4}, "Use beam 1 to draw a string, or temperature 0"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 0.5}, "seed is 0.5"),
        ({"wanted_tokens": 0}, "wanted_tokens is 0"),
        ({"wanted_tokens": 2.5}, "wanted_tokens is 2.5"),
    ],
)
def test_mistakes_of_drawing_and_counting_are_named(bad: dict, message: str):
    with pytest.raises(ValueError, match=message):
        DecodingOptions(**bad)
