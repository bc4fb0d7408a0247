"""What an ingest tells: how far it has come, what it added, what it left out and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far an ingest has come: files and bytes dealt with, seconds of audio tokenized, time since the start.

    `checked` counts the files whose content was compared with the archive's, which comes before all else.
    """

    files_done: int
    files: int
    bytes_done: int
    bytes: int
    audio_s: float
    elapsed_s: float
    checked: int = 0

    @property
    def rate(self) -> float:
        """Seconds of audio per second."""
        return self.audio_s / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def eta_s(self) -> float | None:
        """Seconds still to go, by the bytes of the files; None while nothing is done."""
        left = self.bytes - self.bytes_done
        return self.elapsed_s * left / self.bytes_done if self.bytes_done else None


@dataclass(frozen=True)
class Skipped:
    """A file or folder that was not added, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class IngestReport:
    """What one ingest did. Every file is one of `recordings`, `known` and `skipped`.

    known: the archive had their content already. replaced: recordings that took the place of what their file held
    before. moved: recordings whose content was found at another path. removed: paths of recordings that were taken out,
    because their file holds something else now or is gone. ignored: files of a folder that are not named as audio.
    """

    recordings: int = 0
    windows: int = 0
    tokens: int = 0
    seconds: float = 0.0
    known: int = 0
    replaced: int = 0
    skipped: tuple[Skipped, ...] = ()
    elapsed_s: float = 0.0
    moved: int = 0
    removed: tuple[str, ...] = ()
    ignored: int = 0

    @property
    def real_time_factor(self) -> float:
        """Seconds of audio added per second."""
        return self.seconds / self.elapsed_s if self.elapsed_s > 0 else 0.0
