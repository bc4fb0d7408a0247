"""Looks at every step of a fine-tuning run: tells the status, and ends training when it is asked to or goes wrong."""

from __future__ import annotations

import time
from collections.abc import Callable

from pairalign.training.monitor import Metrics
from pairalign.training.safeguards import RisingLoss
from pairalign.training.state import Progress

WORSE = 0.1  # of separation below the start, twice in a row
SURE_CLIPS = 8  # fewer held-out clips than that do not tell
TELL_EVERY_S = 1.0


class Watch:
    """What the trainer asks after every step.

    tell: takes changes of the status. stop_asked: whether the person wants it stopped. sure: whether there are enough
    held-out clips to believe their figures. start_separation: theirs before the first step, where that is known.
    """

    def __init__(
        self,
        tell: Callable[..., None],
        stop_asked: Callable[[], bool],
        total_steps: int,
        sure: bool,
        start_separation: float | None = None,
    ) -> None:
        self.tell, self.stop_asked, self.total_steps, self.sure = tell, stop_asked, total_steps, sure
        self.rising = RisingLoss()
        self.started: tuple[float, int] | None = None
        self.told_at = 0.0
        self.start_separation = start_separation
        self.seen: Metrics = {}
        self.worse = 0
        self.progress: Progress | None = None

    def done(self) -> dict[str, float]:
        """Steps and seconds as the status has them; nothing before the first step."""
        if self.progress is None:
            return {}
        return {"step": self.progress.step, "elapsed_s": round(self.progress.elapsed_s, 1)}

    def __call__(self, progress: Progress, stats: dict[str, float], metrics: Metrics) -> str:
        """A word that says why to end, or ""."""
        now, self.progress = time.monotonic(), progress
        self.started = self.started or (now, progress.step)
        stop = self.stop_asked()
        if stop or now - self.told_at > TELL_EVERY_S:
            self.told_at = now
            done = progress.step - self.started[1]
            each_s = (now - self.started[0]) / done if done else None
            self.tell(
                state="stopping" if stop else "running",
                message="Saving" if stop else "Learning to write the same string however it is disturbed",
                **self.done(),
                eta_s=None if each_s is None or stop else round(each_s * (self.total_steps - progress.step), 1),
            )
        if stop:
            return "stop"
        return "diverged" if self.rising(stats["loss"]) else self.judge(metrics)

    def judge(self, metrics: Metrics) -> str:
        """What the latest validation says, once each; nothing where separation could not be measured."""
        separation = metrics.get("separation")
        if separation is None or metrics == self.seen:
            return ""
        self.seen = dict(metrics)
        if self.start_separation is None:
            self.start_separation = separation
        self.worse = self.worse + 1 if separation < self.start_separation - WORSE else 0
        return "diverged" if self.sure and self.worse > 1 else ""
