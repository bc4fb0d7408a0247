"""What is at work: every run can be stopped, ends when its page is closed, and shares the machine with others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from app.turns import Line, Turn, Waiting, after_a_while

AT_ONCE = 8  # runs that hold their recordings in memory; they take turns with the model, one batch of windows each
Progress = Callable[[float], None]


class Cancelled(Exception):
    """The person pressed Stop, or closed the page; nothing went wrong."""


@dataclass(frozen=True)
class Report:
    """Where a run tells how far it is, and what it is doing: a sentence, or what gives the one of this moment.

    show: takes a share from 0 to 1, or None, and the words `desc` beside it.
    """

    show: Callable[..., Any]
    doing: str | Callable[[], str]

    def __call__(self, fraction: float) -> None:
        self.show(fraction, desc=self.doing if isinstance(self.doing, str) else self.doing())

    def say(self, words: str) -> None:
        """Words in place of the share."""
        self.show(None, desc=words)


@dataclass(eq=False)
class _Run:
    name: str
    progress: Progress | None = None
    stopped: threading.Event = field(default_factory=threading.Event)

    def report(self, fraction: float) -> None:
        self.check()
        if self.progress is not None:
            self.progress(fraction)

    def check(self) -> None:
        if self.stopped.is_set():
            raise Cancelled

    def waiting(self) -> Waiting:
        """What happens while others are ahead."""
        say = self.progress.say if isinstance(self.progress, Report) else lambda _: None
        return after_a_while(say, self.check)


_CURRENT: ContextVar[_Run | None] = ContextVar("run", default=None)


class Runs:
    """The runs of all pages. A run's name is its page's, or begins with it and a slash."""

    def __init__(self) -> None:
        self._places, self._model = Line(AT_ONCE), Line(1)
        self._runs: set[_Run] = set()
        self._lock = threading.Lock()

    @contextmanager
    def running(self, name: str, progress: Progress | None = None) -> Iterator[Progress]:
        """A run that :meth:`stop` can end: reporting progress raises Cancelled from then on. It waits for a place."""
        outer = _CURRENT.get()
        with self._known(name, progress) as run:
            # a run within a run has its place already
            with self._places.turn(run.waiting()) if outer is None else nullcontext():
                yield run.report

    @contextmanager
    def turn(self, page: str) -> Iterator[Turn]:
        """The model for one thread at a time. Raises Cancelled when the run is stopped while it waits."""
        run = _CURRENT.get()
        with nullcontext(run) if run is not None else self._known(page) as run:
            with self._model.turn(run.waiting()) as turn:
                yield turn

    def stop(self, name: str) -> bool:
        """Ask runs to end at their next progress report; False when there is none of that name."""
        return self._stop(lambda run: run.name == name)

    def leave(self, page: str) -> bool:
        """The page was closed: all of its runs end."""
        return self._stop(lambda run: run.name.split("/")[0] == page)

    def _stop(self, chosen: Callable[[_Run], bool]) -> bool:
        with self._lock:
            found = [run for run in self._runs if chosen(run)]
        for run in found:
            run.stopped.set()
        return bool(found)

    @contextmanager
    def _known(self, name: str, progress: Progress | None = None) -> Iterator[_Run]:
        run = _Run(name, progress)
        with self._lock:
            self._runs.add(run)
        token = _CURRENT.set(run)
        try:
            yield run
        finally:
            _CURRENT.reset(token)
            with self._lock:
                self._runs.discard(run)


def between_steps(progress: Progress, turn: Turn) -> Progress:
    """The same progress; after every step but the last, others who wait may use the model."""

    def report(fraction: float) -> None:
        progress(fraction)
        if fraction < 1:
            turn.pass_on()

    return report
