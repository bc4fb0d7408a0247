"""Who may work now: lines in which runs wait in the order they came, and pass their place on between two steps."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOK_EVERY_S = 0.1  # how soon somebody who waits notices a Stop
SAY_AFTER_S = 0.5  # shorter waits are not worth a word
Waiting = Callable[[int], None]


class Turn:
    """A place in a line that is held, or will be again."""

    def __init__(self, line: Line, waiting: Waiting) -> None:
        self._line, self._waiting = line, waiting

    def pass_on(self) -> None:
        """Let those who wait go first, if there are any; returns when it is this one's turn again.

        Raises: what `waiting` raises; the place is given up then.
        """
        self._line.pass_on(self, self._waiting)


class Line:
    """So many places; whoever comes first is first. Python's own locks may let the last one in."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._places = places
        self._waits: deque[Turn] = deque()
        self._inside: set[Turn] = set()
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, waiting: Waiting) -> Iterator[Turn]:
        """Hold a place. waiting: called about ten times a second meanwhile with how many are ahead; may raise."""
        turn = Turn(self, waiting)
        self._enter(turn, waiting)
        try:
            yield turn
        finally:
            self._leave(turn)

    def pass_on(self, turn: Turn, waiting: Waiting) -> None:
        """As `Turn.pass_on`."""
        with self._changed:
            if not self._waits:
                return
        self._leave(turn)
        self._enter(turn, waiting)

    def _enter(self, turn: Turn, waiting: Waiting) -> None:
        with self._changed:
            self._waits.append(turn)
        try:
            while (ahead := self._try(turn)) is not None:
                waiting(ahead)
        except BaseException:
            with self._changed:
                self._waits.remove(turn)
                self._changed.notify_all()
            raise

    def _try(self, turn: Turn) -> int | None:
        """None when the turn has come, after a short wait at most; else how many are ahead."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_next(turn), LOOK_EVERY_S)
            if not self._is_next(turn):
                return self._waits.index(turn) + self._places - self._free
            self._waits.remove(turn)
            self._inside.add(turn)
            self._free -= 1
            self._changed.notify_all()
            return None

    def _is_next(self, turn: Turn) -> bool:
        return self._free > 0 and self._waits[0] is turn

    def _leave(self, turn: Turn) -> None:
        with self._changed:
            if turn in self._inside:  # it was given up when waiting anew was broken off
                self._inside.remove(turn)
                self._free += 1
                self._changed.notify_all()


def ahead_words(ahead: int) -> str:
    """What somebody who waits is told."""
    return "1 run is ahead of yours" if ahead == 1 else f"{ahead} runs are ahead of yours"


def after_a_while(say: Callable[[str], None], check: Callable[[], None]) -> Waiting:
    """Checks at every look; says how many are ahead once the wait is long enough, and whenever that changes."""
    begun, said = time.monotonic(), 0

    def waiting(ahead: int) -> None:
        nonlocal said
        check()
        if ahead != said and time.monotonic() - begun >= SAY_AFTER_S:
            said = ahead
            say(ahead_words(ahead))

    return waiting
