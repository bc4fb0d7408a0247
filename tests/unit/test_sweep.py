"""Sweeps: hand-computed measures on known strings, the windows that are heard, a real tiny model, and the command."""

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import pairalign
from pairalign import Trajectory, cli, sweep
from pairalign.audio import AudioError, write_audio
from pairalign.errors import PairAlignError
from pairalign.strings import TokenString
from pairalign.sweeps.sweep import KINDS, heard_at, sweep_batch, sweep_methods, sweep_values
from tests.conftest import RATE_HZ, babble


def string(ids: Sequence[int], method: str = "pairalign") -> TokenString:
    spans = tuple((k / 10, (k + 1) / 10) for k in range(len(ids)))
    return TokenString(tuple(ids), spans, 3.0, (), "eos", method, "0" * 64, 100)


class Scripted:
    """Writes the strings it was given, in order, and remembers what it heard."""

    def __init__(self, strings: Sequence[Sequence[int]]) -> None:
        self.strings, self.calls = [string(ids) for ids in strings], []

    def tokenize_batch(
        self, waves: Sequence[np.ndarray], method: str = "pairalign", warps: Sequence[float] | None = None
    ) -> list[TokenString]:
        self.calls.append([np.asarray(wave) for wave in waves])
        self.warps = warps
        return self.strings[: len(waves)]


ORIGIN = list(range(10))
ONE_OFF = [99, *ORIGIN[1:]]
TWO_OFF = [99, 98, *ORIGIN[2:]]
LONGER = [*ORIGIN, 50, 51]


class TestTrajectory:
    @pytest.fixture
    def found(self) -> Trajectory:
        strings = tuple(string(ids) for ids in (ORIGIN, ONE_OFF, LONGER, TWO_OFF))
        return Trajectory("shift", "pairalign", (0.0, 50.0, 75.0, 100.0), strings)

    def test_distances_by_hand(self, found: Trajectory) -> None:
        # to the origin: one substitution of 10, two insertions of 12, two substitutions of 10
        assert found.distance_to_origin == pytest.approx([0, 0.1, 2 / 12, 0.2])
        # neighbours: 1 of 10; substitution and two insertions, 3 of 12; two substitutions and two deletions, 4 of 12
        assert found.step_distance == pytest.approx([0, 0.1, 3 / 12, 4 / 12])
        assert found.lengths == (10, 10, 12, 10)

    def test_statistics_by_hand(self, found: Trajectory) -> None:
        assert found.d_last == found.d_100 == found.d_max == 0.2 and found.bounded
        assert found.excess == pytest.approx(0.2 - 2 * 0.1 / 3)
        assert found.step_mean == pytest.approx((0.1 + 0.25 + 4 / 12) / 3)
        assert found.roughness == pytest.approx((0.1 + 0.25 + 4 / 12) / 0.2)
        assert found.length_std == pytest.approx(math.sqrt(0.75))  # mean 10.5: three times .25 and 2.25, over 4
        assert found.length_deviation == pytest.approx((0 + 2 / 12 + 0) / 3)
        assert found.content_floor == pytest.approx([0, 0.1 / 3, 0.05, 0.2 / 3])
        assert set(found.to_dict()) == {"distance_to_origin", "step_distance", "lengths", "strings", "statistics"}

    def test_larger_steps(self, found: Trajectory) -> None:
        wide = found.every(2)
        assert wide.values == (0.0, 75.0) and wide.step_distance == pytest.approx([0, 2 / 12])
        assert math.isnan(wide.d_100)
        with pytest.raises(ValueError, match="stride is 4; allowed: 1 to 3"):
            found.every(4)

    def test_strings_of_different_alphabets_have_no_distance(self) -> None:
        mixed = Trajectory("shift", "vq", (0.0, 50.0), (string(ORIGIN, "vq"), string(ORIGIN, "bpe")))
        with pytest.raises(PairAlignError, match="methods vq and bpe cannot be compared"):
            mixed.to_dict()

    def test_a_string_that_does_not_move(self) -> None:
        still = Trajectory("speed", "vq", (1.0, 1.1), (string(ORIGIN), string(ORIGIN)))
        assert still.d_max == still.step_mean == still.excess == still.length_std == 0 and still.bounded
        assert math.isnan(still.roughness) and math.isnan(still.d_100)

    def test_nothing_left_is_not_bounded(self) -> None:
        gone = Trajectory("shift", "vq", (0.0, 100.0), (string(ORIGIN), string([])))
        assert gone.d_last == 1.0 and not gone.bounded and gone.length_deviation == 1.0


class TestValues:
    def test_they_run_from_the_origin_to_the_stop(self) -> None:
        assert sweep_values() == tuple(range(0, 101, 10))
        assert sweep_values("shift", 50, 20) == (0, 20, 40)
        assert sweep_values("snr", 10, 15) == (40, 25, 10)
        assert sweep_values("speed", 0.9, 0.05) == (1.0, 0.95, 0.9)
        assert len(sweep_values("speed")) == len(sweep_values("snr")) == len(sweep_values("warp")) == 11
        assert sweep_values("warp")[-1] == 1.15 and sweep_values("warp", 0.8, 0.1) == (1.0, 0.9, 0.8)

    @pytest.mark.parametrize(
        ("kind", "stop", "step", "message"),
        [
            ("pitch", None, None, "kind is 'pitch'; use one of shift, snr, speed, warp"),
            ("shift", 100, 0, "step is 0 ms; use a number above 0"),
            ("shift", 100, -5, "step is -5 ms"),
            ("shift", 100, math.nan, "step is nan"),
            ("shift", 100, 101, "use 100 or less"),
            ("shift", 100, 0.1, "1000 steps are too many; use a step of 0.2 or more"),
            ("shift", -10, 5, "stop is -10 ms; a shift sweep allows 0 to 60000 ms"),
            ("shift", math.inf, 5, "stop is inf"),
            ("snr", 40, 5, "not the origin 40"),
            ("speed", 3, 0.1, "allows 0.5 to 2 x"),
            ("warp", 1.3, 0.1, "stop is 1.3 x; a warp sweep allows 0.8 to 1.25 x"),
        ],
    )
    def test_mistakes_are_named(self, kind: str, stop: float | None, step: float | None, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            sweep_values(kind, stop, step)


class TestSweep:
    def test_windows_start_later_and_go_in_one_call(self) -> None:
        wave = babble(3.2)
        tokenizer = Scripted([ORIGIN] * 3 + [ONE_OFF] * 3)
        first, second = sweep_batch(tokenizer, [wave, wave[::-1].copy()], step=50, start_s=0.05)
        (heard,) = tokenizer.calls
        assert [len(one) for one in heard] == [48_000] * 6
        for k, start in enumerate((800, 1600, 2400)):
            assert np.array_equal(heard[k], wave[start : start + 48_000])
        assert [one.ids[0] for one in first.strings + second.strings] == [0] * 3 + [99] * 3
        assert first.values == (0, 50, 100)

    def test_noise_is_the_same_and_grows(self) -> None:
        wave, tokenizer = babble(1.0), Scripted([ORIGIN] * 2)
        sweep(tokenizer, wave, "snr", stop=10, step=30)
        quiet, loud = (heard - wave for heard in tokenizer.calls[0])
        assert np.allclose(quiet * 10**1.5, loud, atol=1e-4)
        snr_db = 10 * np.log10((wave**2).sum() / (loud**2).sum())
        assert snr_db == pytest.approx(10, abs=0.1)
        sweep(tokenizer, wave, "snr", stop=10, step=30, seed=1)
        assert not np.allclose(tokenizer.calls[1][1] - wave, loud, atol=1e-3)

    def test_speed_shortens(self) -> None:
        tokenizer = Scripted([ORIGIN] * 3)
        sweep(tokenizer, babble(3.0), "speed", stop=1.5, step=0.25)
        assert [len(one) for one in tokenizer.calls[0]] == [48_000, 38_400, 32_000]

    def test_a_warp_is_left_to_the_tokenizer(self) -> None:
        waves, tokenizer = [babble(1.5, seed=k) for k in (1, 2)], Scripted([ORIGIN] * 6)
        sweep_batch(tokenizer, waves, "warp", stop=0.9, step=0.05, start_s=0.5)
        for k, heard in enumerate(tokenizer.calls[0]):
            assert np.array_equal(heard, waves[k // 3][8000:])
        assert list(tokenizer.warps) == [1.0, 0.95, 0.9] * 2

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({}, r"lasts 3.000 s and this shift sweep needs 3.100 s"),
            ({"stop": 30, "start_s": 1.0}, r"needs 4.030 s. Use a longer recording, or a smaller start, stop"),
            ({"kind": "snr", "start_s": 3.0}, r"needs 3.001 s"),
            ({"start_s": -1.0}, "start_s is -1"),
            ({"window_s": 0.0}, "window_s is 0"),
        ],
    )
    def test_mistakes_are_named(self, options: dict[str, float], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            sweep(Scripted([]), babble(3.0), **options)

    def test_every_recording_can_have_its_own_window(self) -> None:
        waves, tokenizer = [babble(3.1), babble(1.5)], Scripted([ORIGIN] * 4)
        found = sweep_batch(tokenizer, waves, step=100, window_s=[3.0, 1.25])
        assert [len(one) for one in tokenizer.calls[0]] == [48_000, 48_000, 20_000, 20_000]
        assert [one.content_floor[-1] for one in found] == pytest.approx([0.2 / 3, 0.16])
        with pytest.raises(ValueError, match="2 recordings have 1 windows"):
            sweep_batch(tokenizer, waves, window_s=[3.0])

    def test_what_is_heard_can_be_had_without_a_tokenizer(self) -> None:
        wave = babble(1.5)
        (later,) = heard_at([250.0], wave, start_s=0.5, window_s=0.5)
        assert np.array_equal(later, wave[12_000:20_000])
        with pytest.raises(ValueError, match="needs 1.750 s"):
            heard_at([0.0, 750.0], wave, start_s=0.5, window_s=0.5)

    def test_no_recordings_no_trajectories(self) -> None:
        assert sweep_batch(Scripted([]), []) == []


def test_importing_the_module_leaves_the_function_public() -> None:
    code = "import pairalign, pairalign.sweeps.sweep, sys; from pairalign.evaluation import metrics; "
    code += "print(callable(pairalign.sweep), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


class TestRealModel:
    @pytest.mark.parametrize("kind", sorted(KINDS))
    @pytest.mark.parametrize("method", ["pairalign", "vq"])
    def test_every_kind_is_deterministic(self, tiny_tokenizer: pairalign.Tokenizer, kind: str, method: str) -> None:
        wave = babble(1.2)
        again = [sweep(tiny_tokenizer, wave, kind, method=method, window_s=1.0, seed=3) for _ in range(2)]
        assert again[0] == again[1] and len(again[0].strings) == 11
        assert again[0].strings[0].method == again[0].method == method

    def test_a_string_of_the_batch_is_that_of_its_window(self, tiny_tokenizer: pairalign.Tokenizer) -> None:
        wave = babble(1.2)
        found = sweep(tiny_tokenizer, wave, stop=100, step=50, window_s=1.0)
        for shift, one in zip((0, 800, 1600), found.strings, strict=True):
            assert tiny_tokenizer.tokenize(wave[shift : shift + 16_000]).ids == one.ids

    def test_a_warp_is_that_of_the_tokenizer(self, tiny_tokenizer: pairalign.Tokenizer) -> None:
        wave = babble(1.0)
        found = sweep(tiny_tokenizer, wave, "warp", stop=1.25, step=0.05)
        assert found.strings[0].ids == tiny_tokenizer.tokenize(wave).ids
        assert found.strings[-1].ids == tiny_tokenizer.tokenize_batch([wave], warps=[1.25])[0].ids
        assert found.d_max > 0

    @pytest.mark.parametrize("kind", ["shift", "warp"])
    def test_several_methods_share_a_sweep(self, tiny_tokenizer: pairalign.Tokenizer, kind: str) -> None:
        waves, step = [babble(1.3), babble(1.2, seed=1)], {"shift": 50, "warp": 0.15}[kind]
        both = sweep_methods(tiny_tokenizer, waves, kind, step=step, methods=["vq", "pairalign"], window_s=[1.0, 1.1])
        for method in ("vq", "pairalign"):
            assert both[method] == sweep_batch(tiny_tokenizer, waves, kind, None, step, method, window_s=[1.0, 1.1])
        assert sweep_methods(tiny_tokenizer, [], methods=["vq"]) == {"vq": []}

    def test_tokenizer_errors_come_through(self, tiny_tokenizer: pairalign.Tokenizer) -> None:
        with pytest.raises(ValueError, match="method is 'magic'"):
            sweep(tiny_tokenizer, babble(1.2), method="magic", window_s=1.0)
        with pytest.raises(AudioError, match="silen"):
            sweep(tiny_tokenizer, np.zeros(RATE_HZ * 4, dtype=np.float32))


class TestCommand:
    @pytest.fixture
    def run(self, tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        write_audio(tmp_path / "a.wav", babble(3.2))

        def call(*options: str) -> tuple[int, str, str]:
            where = ["--checkpoint", str(tiny_checkpoint), "--device", "cpu"]
            status = cli.main(["sweep", str(tmp_path / "a.wav"), *options, *where])
            return status, *capsys.readouterr()

        return call

    def test_json(self, run) -> None:
        status, out, err = run("--stop", "60", "--step", "20", "--json")
        found = json.loads(out)
        assert status == 0 and err == ""
        assert list(found) == ["kind", "values", "methods"] and found["kind"] == "shift"
        assert found["values"] == [0, 20, 40, 60] and list(found["methods"]) == ["pairalign", "vq"]
        for one in found["methods"].values():
            assert {"distance_to_origin", "step_distance", "lengths", "strings"} <= set(one)
            assert len(one["distance_to_origin"]) == len(one["step_distance"]) == 4
            assert one["lengths"] == [len(s["ids"]) for s in one["strings"]]

    def test_text(self, run) -> None:
        status, out, _ = run("--kind", "speed", "--step", "0.05", "--method", "viterbi")
        assert status == 0 and "viterbi" in out and "1.05" in out and "roughness" in out

    def test_the_command_offers_every_kind(self, run) -> None:
        for kind, about in KINDS.items():
            status, out, _ = run(
                "--kind", kind, "--method", "vq", "--step", str(abs(about.stop - about.origin)), "--json"
            )
            assert status == 0 and json.loads(out)["values"] == [about.origin, about.stop]

    @pytest.mark.parametrize(
        "options",
        [
            ("--kind", "pitch"),
            ("--step", "0"),
            ("--stop", "500"),
            ("--stop", "nan"),
            ("--step", "a"),
            ("--method", "magic"),
            ("--start", "-1"),
        ],
    )
    def test_mistakes_get_one_line(self, run, options: tuple[str, ...]) -> None:
        status, out, err = run(*options)
        assert status == 2 and out == "" and err.count("\n") == 1 and "Traceback" not in err, err
