"""Runs of several pages: first come, first served; a long one lets others in; Stop and a closed page end them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from app.archives import SharedTokenizer
from app.runs import AT_ONCE, Cancelled, Report, Runs
from app.services import Services
from app.turns import Line, ahead_words
from pairalign.tokenizer import Tokenizer

PATIENCE_S = 30


def start(work: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """A thread, and what comes of it: a value or an exception."""
    outcome: list[object] = []

    def run() -> None:
        try:
            outcome.append(work())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, outcome


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def nothing(_: int) -> None:
    """For those who do not mind waiting."""


class TestLine:
    def test_whoever_comes_first_is_first(self) -> None:
        line, order, threads = Line(1), [], []

        def enter(number: int) -> None:
            with line.turn(nothing):
                order.append(number)

        with line.turn(nothing):
            for number in range(12):
                threads.append(start(lambda number=number: enter(number))[0])
                until(lambda number=number: len(line._waits) == number + 1)
        for thread in threads:
            thread.join(PATIENCE_S)
        assert order == list(range(12))

    def test_places_are_passed_on_in_turn_and_nobody_starves(self) -> None:
        line, order, ready = Line(1), [], threading.Barrier(3)

        def work(name: str) -> None:
            ready.wait(PATIENCE_S)
            with line.turn(nothing) as turn:
                for _ in range(5):
                    order.append(name)
                    until(lambda: len(line._waits) == 2 or len(order) > 9)
                    turn.pass_on()

        threads = [start(lambda name=name: work(name))[0] for name in "abc"]
        for thread in threads:
            thread.join(PATIENCE_S)
        assert sorted(order) == sorted("abc" * 5)
        assert all(len(set(order[k : k + 3])) == 3 for k in (0, 3, 6)), order

    def test_those_who_wait_learn_how_many_are_ahead_and_may_give_up(self) -> None:
        line, seen = Line(1), []

        def waiting(ahead: int) -> None:
            seen.append(ahead)
            raise Cancelled

        def enter() -> None:
            with line.turn(waiting):
                pytest.fail("the place was taken")

        with line.turn(nothing):
            patient, _ = start(lambda: line.turn(nothing).__enter__())
            until(lambda: len(line._waits) == 1)
            with pytest.raises(Cancelled):
                enter()
            assert seen == [2] and len(line._waits) == 1, "it is out of the line"
        patient.join(PATIENCE_S)

    def test_a_place_that_is_given_up_while_passing_on_is_free(self) -> None:
        line, go_on = Line(1), threading.Event()

        def waiting(_: int) -> None:
            raise Cancelled

        def other() -> None:
            with line.turn(nothing):
                go_on.wait(PATIENCE_S)

        with pytest.raises(Cancelled), line.turn(waiting) as turn:
            thread, _ = start(other)
            until(lambda: len(line._waits) == 1)
            turn.pass_on()
        go_on.set()
        thread.join(PATIENCE_S)
        with line.turn(waiting):
            pass

    def test_in_words(self) -> None:
        assert [ahead_words(ahead) for ahead in (1, 2)] == ["1 run is ahead of yours", "2 runs are ahead of yours"]


class TestRuns:
    def test_only_so_many_hold_their_recordings_and_the_next_is_told_in_words(self) -> None:
        runs, go_on, said = Runs(), threading.Event(), []
        inside: list[str] = []

        def work(name: str, report: Report | None = None) -> None:
            with runs.running(name, report):
                inside.append(name)
                go_on.wait(PATIENCE_S)

        def show(share: float | None, desc: str) -> None:
            assert share is None
            said.append(desc)

        threads = [start(lambda k=k: work(f"page-{k}"))[0] for k in range(AT_ONCE)]
        until(lambda: len(inside) == AT_ONCE)
        threads.append(start(lambda: work("late", Report(show, "Tokenizing")))[0])
        until(lambda: said == [f"{AT_ONCE} runs are ahead of yours"])
        assert "late" not in inside
        go_on.set()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert inside[-1] == "late"

    @pytest.mark.parametrize("how", ["stop", "leave"])
    def test_one_that_waits_is_ended_without_waiting_for_its_turn(self, how: str) -> None:
        runs = Runs()

        def work() -> None:
            with runs.running("a/tokenize"), runs.turn("a"):
                pytest.fail("another run has the model")

        with runs.turn("b"):
            thread, outcome = start(work)
            until(lambda: len(runs._model._waits) == 1)
            assert not runs.stop("a") and not runs.leave("c")
            assert runs.stop("a/tokenize") if how == "stop" else runs.leave("a")
            thread.join(PATIENCE_S)
            assert isinstance(outcome[0], Cancelled)
        assert not runs.leave("a"), "it is forgotten"

    def test_stop_ends_the_runs_of_one_tab_only(self) -> None:
        runs = Runs()
        with runs.running("a/tokenize") as one, runs.running("a/sweep") as other, runs.running("b/tokenize") as third:
            runs.stop("a/tokenize")
            other(0.5)
            third(0.5)
            with pytest.raises(Cancelled):
                one(0.5)


class TestLongRecordings:
    @pytest.fixture
    def long(self, tmp_path: Path, speech: np.ndarray) -> Path:
        """Long enough for several batches of windows."""
        path = tmp_path / "long.wav"
        soundfile.write(path, np.tile(speech, 24), 16_000)
        return path

    def test_a_short_one_of_another_page_comes_in_between(
        self, services: Services, long: Path, recordings: dict[str, Path]
    ) -> None:
        ended: list[str] = []
        shares: list[float] = []
        others: list[threading.Thread] = []

        def short() -> None:
            services.of("b").tokenize(recordings["speech.wav"], ("vq",), run_id="b/tokenize")
            ended.append("short")

        def progress(share: float) -> None:
            shares.append(share)
            if not others and share > 0.05:  # it has begun, and has the model
                others.append(start(short)[0])
                until(lambda: len(services._runs._model._waits) == 1)

        result = services.of("a").tokenize(long, ("vq",), progress, "a/tokenize")
        ended.append("long")
        others[0].join(PATIENCE_S)
        assert ended == ["short", "long"] and len(shares) > 4
        assert result.strings["vq"].ids == services.tokenize(long, ("vq",)).strings["vq"].ids

    def test_adding_to_an_archive_lets_others_in_between_its_batches(
        self, services: Services, speech: np.ndarray, recordings: dict[str, Path]
    ) -> None:
        ended: list[str] = []
        shared = SharedTokenizer(services.of("a"))

        def add() -> None:
            shared.tokenize_methods([np.tile(speech, 24)], ["vq"], 2)
            ended.append("archive")

        def short() -> None:
            services.of("b").compute(Tokenizer.tokenize, speech, "vq")
            ended.append("short")

        threads = []
        with services._runs.turn("c"):
            for number, work in enumerate((add, short), start=1):
                threads.append(start(work)[0])
                until(lambda number=number: len(services._runs._model._waits) == number)
        for thread in threads:
            thread.join(PATIENCE_S)
        assert ended == ["short", "archive"]

    def test_no_work_goes_on_for_those_who_let_others_in(
        self, services: Services, long: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tokenizer, encoded = services.tokenizer(), []
        real = tokenizer._encode

        def encode(waves: list[np.ndarray], *more: Any) -> Any:
            encoded.append(len(waves))
            return real(waves, *more)

        monkeypatch.setattr(tokenizer, "_encode", encode)
        monkeypatch.setattr(tokenizer, "_threads", lambda: 2)
        counts: list[int] = []

        def progress(_: float) -> None:
            if counts:
                return
            time.sleep(0.3)  # another page has the model
            counts.append(sum(encoded))

        tokenizer.tokenize_methods([long], ["vq"], 2, progress=progress)
        assert counts[0] <= 2 * 2 < sum(encoded), "what was begun, and nothing more"

    def test_closing_the_page_ends_it(self, services: Services, long: Path) -> None:
        def progress(share: float) -> None:
            if share > 0.05:
                services.of("a").leave()

        with pytest.raises(Cancelled):
            services.of("a").tokenize(long, ("vq",), progress, services.of("a").run("tokenize"))
