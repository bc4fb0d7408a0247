"""Checks of token times and drift over a set, on hand-made strings with known answers."""

import numpy as np
import pytest

from pairalign import Trajectory
from pairalign.evaluation import drift
from pairalign.evaluation.placement_checks import delay_error, delay_errors_ms, measure_boundaries
from pairalign.strings import TokenString
from pairalign.training.bank import AudioBank
from pairalign.training.corpora import Utterance, Word
from tests.conftest import RATE_HZ, babble


def string(ids: list[int], starts_s: list[float], duration_s: float = 1.0) -> TokenString:
    spans = tuple(zip(starts_s, [*starts_s[1:], duration_s], strict=True))
    return TokenString(tuple(ids), spans, duration_s, (), "eos", "pairalign", "0" * 64, 100)


class TestDelay:
    FIRST = string([1, 2, 3, 4], [0.0, 0.2, 0.5, 0.7])

    def test_tokens_that_move_with_the_audio_have_no_error(self) -> None:
        later = string([1, 2, 3, 4, 5], [0.0, 0.1, 0.4, 0.6, 0.9])
        assert delay_errors_ms(self.FIRST, later, 100) == pytest.approx([0, 0, 0, 0])

    def test_tokens_that_stay_are_late_by_the_delay(self) -> None:
        # the first token is cut by the later window and cannot start before it
        assert delay_errors_ms(self.FIRST, self.FIRST, 100) == pytest.approx([0, 100, 100, 100])

    def test_only_shared_tokens_count(self) -> None:
        later = string([2, 9, 4], [0.1, 0.4, 0.64])
        assert delay_errors_ms(self.FIRST, later, 100) == pytest.approx([0, 40])
        assert len(delay_errors_ms(self.FIRST, string([8], [0.0]), 100)) == 0

    def test_mean_over_tokens_of_all_shifts(self) -> None:
        moved = string([1, 2, 3, 4], [0.0, 0.1, 0.4, 0.6])
        one = Trajectory("shift", "pairalign", (0.0, 100.0, 200.0), (self.FIRST, moved, moved))
        # at 200 ms the tokens should be at 0, 0, .3 and .5: 0 + 100 + 100 + 100 over eight tokens in all
        assert delay_error([one]).value == pytest.approx(300 / 8)


class TestBoundaries:
    def test_hits_are_counted_by_hand(self) -> None:
        found = string([1, 2, 3], [0.0, 0.22, 0.53])  # inner boundaries .22 and .53, evenly spaced .333 and .667
        words = [Word(7, 0.2, 0.5, "one"), Word(7, 0.5, 0.68, "two"), Word(3, 0.1, 0.2, "elsewhere")]
        result = measure_boundaries([found], [7], words)
        assert result["boundary_hit_40ms"].value == pytest.approx(2 / 3)  # .2 and .5, which counts once; not .68
        assert result["boundary_hit_40ms_even"].value == pytest.approx(1 / 3)  # .68 only
        assert 0 < result["boundary_hit_40ms_turned"].value < 0.5

    def test_a_single_token_has_no_boundary(self) -> None:
        result = measure_boundaries([string([1], [0.0])], [0], [Word(0, 0.0, 1.0, "all")])
        assert [estimate.value for estimate in result.values()] == [0, 0, 0]

    def test_recordings_without_words_do_not_count(self) -> None:
        strings = [string([1, 2], [0.0, 0.5]), string([1], [0.0])]
        result = measure_boundaries(strings, [0, 1], [Word(0, 0.5, 0.9, "half")])
        assert result["boundary_hit_40ms"].value == pytest.approx(1 / 2)


class TestDrift:
    @pytest.mark.filterwarnings("ignore:invalid value")  # of two trajectories, drawing the one without drift twice
    def test_measures_of_a_set_by_hand(self) -> None:
        still = string(list(range(10)), [k / 10 for k in range(10)])
        half = string([*range(5), *range(50, 55)], [k / 10 for k in range(10)])
        values = (0.0, 50.0, 100.0)
        moves = Trajectory("shift", "vq", values, (still, half, half))
        returns = Trajectory("shift", "vq", values, (still, half, still))
        found = drift.measure_drift([moves, returns])
        assert found["sweep_d_100"].value == pytest.approx(0.25)
        assert found["sweep_excess"].value == pytest.approx(0.25 - 2 * 0.1 / 3)
        assert found["sweep_d_max"].value == pytest.approx(0.5)
        assert found["sweep_bounded"].value == 0.0
        assert found["sweep_step_mean"].value == pytest.approx((0.25 + 0.5) / 2)
        assert found["sweep_step_mean_20"].value == pytest.approx((0.5 + 0.0) / 2)
        # sums over both: the one that returns has no ratio of its own
        assert found["sweep_roughness"].value == pytest.approx((0.5 + 1.0) / 0.5)
        assert found["sweep_length_std"].value == found["sweep_length_deviation"].value == 0.0
        assert all(one.low <= one.value <= one.high for name, one in found.items() if name != "sweep_roughness")
        curve = drift.mean_curve([moves, returns])
        assert curve["shift_ms"] == [0, 50, 100] and curve["distance_to_origin"] == pytest.approx([0, 0.5, 0.25])
        assert curve["floor"] == pytest.approx([0, 0.1 / 3, 0.2 / 3])

    def test_nothing_to_slide(self) -> None:
        results: dict = {"vq": {}}
        assert drift.add_sweeps(results, ["vq"], [], None, 0, print) == {} and results == {"vq": {}}
        assert drift.measure_drift([]) == {} and drift.mean_curve([]) == {}

    def test_only_recordings_with_room_for_all_windows(self) -> None:
        waves = [babble(seconds, seed) for seed, seconds in enumerate((2.0, 3.05, 3.1, 5.0, 4.0))]
        offsets = np.cumsum([0, *map(len, waves)])
        samples = (np.concatenate(waves) * 32767).astype("<i2")
        bank = AudioBank([Utterance(f"{k}.wav") for k in range(5)], samples, offsets)
        found = drift.sweep_waves(bank, range(5), 10)
        assert len(found) == 3 and all(len(wave) == 3.1 * RATE_HZ for wave in found)
        again = drift.sweep_waves(bank, range(5), 10)
        assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))
        assert len(drift.sweep_waves(bank, range(5), 2)) == 2 and drift.sweep_waves(bank, [0, 1], 10) == []
