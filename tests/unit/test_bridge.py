"""Bridge targets: strings of whole recordings at the wanted rate, and the part of them that a segment holds."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pairalign.model import PairAlignModel, tiny_config
from pairalign.training.bank import AudioBank
from pairalign.training.bridge import Bridge, make_bridge
from pairalign.training.config import TrainConfig
from pairalign.training.corpora import Utterance, Word
from pairalign.training.data import Segments
from pairalign.training.phones import build_phone_index
from pairalign.training.run import Run
from tests.conftest import babble


def _segments(utterance: int, start_s: float, length_s: float) -> Segments:
    samples = round(length_s * 16_000)
    return Segments(
        torch.zeros(1, samples),
        torch.tensor([samples]),
        torch.tensor([utterance]),
        torch.tensor([start_s], dtype=torch.float64),
    )


class TestTheStringOfASegment:
    bridge = Bridge({7: np.array([4, 5, 6, 4])}, {7: np.array([0, 10, 20, 21, 60])})

    def test_the_whole_recording_has_the_whole_string(self):
        (target,) = self.bridge.targets(_segments(7, 0.0, 1.2))
        assert target.ids == [4, 5, 6, 4] and target.starts == [0, 10, 20, 21] and target.end == 60

    def test_times_count_from_the_start_of_the_segment(self):
        (target,) = self.bridge.targets(_segments(7, 0.25, 0.5))  # frames 12.5 to 37.5
        assert target.ids == [5, 6, 4] and target.starts == [0, 7.5, 8.5] and target.end == 25

    def test_a_sliver_of_a_token_at_the_edge_is_not_asked_for(self):
        (target,) = self.bridge.targets(
            _segments(7, 0.18, 0.24)
        )  # frames 9 to 21: one frame of the first, none of the last
        assert target.ids == [5, 6]

    def test_something_is_always_asked_for(self):
        (target,) = self.bridge.targets(_segments(7, 0.19, 0.02))  # half a frame of two tokens
        assert len(target.ids) == 1


@pytest.fixture(scope="module")
def run() -> Run:
    waves = [babble(s, seed) for seed, s in enumerate((1.0, 1.5, 4.1, 5.0))]
    samples = np.concatenate([(wave * 32767).astype(np.int16) for wave in waves])
    offsets = np.cumsum([0, *map(len, waves)])
    bank = AudioBank([Utterance(Path(f"{i}.wav"), "train", f"s{i}") for i in range(4)], samples, offsets)
    torch.manual_seed(0)
    model = PairAlignModel(tiny_config())
    config = TrainConfig(preset="tiny", consensus_views=2, wanted_rate_hz=8.0, autocast=False)
    return Run(config, model, copy.deepcopy(model).eval(), bank, [0, 1, 2, 3], None)


def test_the_strings_have_the_wanted_rate_and_cover_their_recordings(run: Run):
    bridge = make_bridge(run)
    seconds = sum(run.bank.durations_s[i] for i in run.items)
    assert sum(map(len, bridge.ids.values())) / seconds == pytest.approx(8.0, rel=0.1)
    for i in run.items:
        assert bridge.edges[i][0] == 0 and bridge.edges[i][-1] == pytest.approx(50 * run.bank.durations_s[i], abs=1)
        assert (np.diff(bridge.edges[i]) > 0).all() and (np.diff(bridge.ids[i]) != 0).all()


def test_a_cost_of_rare_codes_spends_fewer_codes_at_the_same_rate(run: Run):
    def perplexity(code_cost: float) -> float:
        bridge = make_bridge(replace(run, config=replace(run.config, code_cost=code_cost)))
        shares = np.bincount(np.concatenate(list(bridge.ids.values()))) / sum(map(len, bridge.ids.values()))
        return float(np.exp(-(shares * np.log(np.maximum(shares, 1e-12))).sum()))

    assert perplexity(1.0) < 0.9 * perplexity(0.0)


def test_a_resumed_run_finds_the_same_strings(run: Run, tmp_path: Path):
    made, found = make_bridge(run, tmp_path), make_bridge(run, tmp_path)
    assert made.ids.keys() == found.ids.keys()
    assert all(np.array_equal(made.ids[i], found.ids[i]) for i in run.items)
    assert all(np.array_equal(made.edges[i], found.edges[i]) for i in run.items)


def test_phones_pull_the_string_towards_their_mean_latents(run: Run):
    """With a pull this strong a string follows the phones alone: one code each."""
    words = [Word(2, 0.5, 1.5, "ah"), Word(2, 2.0, 3.0, "ah")]
    config = TrainConfig(preset="tiny", consensus_views=1, wanted_rate_hz=2.0, autocast=False, phone_pull=30.0)
    teacher = PairAlignModel(replace(tiny_config(), phones=("SIL", "AH"))).eval()
    teacher.codebook.load_state_dict(run.teacher.codebook.state_dict())
    run = replace(run, config=config, teacher=teacher, phones=build_phone_index(words, {"ah": ("AH",)}))
    bridge = make_bridge(run)
    code_at = [bridge.ids[2][np.searchsorted(bridge.edges[2], 50 * s, "right") - 1] for s in (0.7, 1.0, 2.2, 2.5, 2.8)]
    assert len(set(code_at)) == 1
