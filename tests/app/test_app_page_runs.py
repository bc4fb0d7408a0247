"""Runs of really open pages: what is told to those that wait, and what becomes of them when their page is closed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from pages import Page

from app.services import Services


class TestRunsOfPages:
    def running(self, services: Services, page: Page) -> list[str]:
        return [run.name for run in services._runs._runs if run.name.split("/")[0] == page.session]

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not true():
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.01)

    def test_those_that_wait_say_for_how_many_and_end_when_their_page_is_closed(
        self, open_page: Callable[[], Page], recordings: dict[str, Path], services: Services
    ) -> None:
        closed, other = open_page(), open_page()
        inputs = [(page, page.upload(recordings["speech.wav"])) for page in (closed, other)]
        with services._runs.turn("a long run"):  # it has the model
            for page, upload in inputs:
                page.send(page.event("pa-tokenize"), upload, ["vq"])
                self.until(lambda page=page: self.running(services, page) == [f"{page.session}/tokenize"])
            messages = other.messages()
            progress = (one["progress_data"] for one in messages if one["msg"] == "progress")
            words = next(one[0]["desc"] for one in progress if "ahead" in one[0]["desc"])
            assert words == "2 runs are ahead of yours"
            closed.close()
            self.until(lambda: not self.running(services, closed))
            words = next(one[0]["desc"] for one in progress if "ahead" in one[0]["desc"])
            assert words == "1 run is ahead of yours"
        assert next(one for one in messages if one["msg"] == "process_completed")["success"]

    def test_a_short_recording_does_not_wait_for_a_long_one(
        self, open_page: Callable[[], Page], speech: np.ndarray, services: Services, tmp_path: Path
    ) -> None:
        soundfile.write(tmp_path / "long.flac", np.tile(speech, 100), 16_000)
        soundfile.write(tmp_path / "short.flac", np.tile(speech, 2)[:64_000], 16_000)
        one, other = open_page(), open_page()
        short = other.upload(tmp_path / "short.flac")
        one.send(one.event("pa-tokenize"), one.upload(tmp_path / "long.flac"), ["pairalign", "vq"])
        self.until(lambda: bool(services._runs._model._inside))
        begun = time.monotonic()
        other.run(other.event("pa-tokenize"), short, ["pairalign", "vq"])
        waited_s = time.monotonic() - begun
        assert self.running(services, one), "the long one is still at work"
        one.close()
        self.until(lambda: not self.running(services, one))
        assert waited_s < 20, "some batches, on a busy machine"
