"""Recordings on their way into an archive: decoded by workers, long ones part by part."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pairalign
from pairalign import Archive
from pairalign.archive import decoder
from pairalign.archive.decoder import Decoders
from pairalign.audio import read_audio, read_parts, write_audio
from tests.conftest import babble
from tests.unit.archive_help import DecodersHere, ReadingTokenizer, write_clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Four short recordings."""
    folder = tmp_path_factory.mktemp("recordings")
    for k in (0, 1, 3, 4):
        write_audio(folder / f"r{k}.wav", babble(1.0 + k / 2, seed=k))
    return folder


class TestLongRecordings:
    def test_parts_are_the_whole_recording(self, tmp_path):
        path = tmp_path / "long.wav"
        write_audio(path, babble(20.3, seed=1))
        parts = list(read_parts(path, 5.0))
        assert [len(part) / 16_000 for part in parts] == [5.0, 5.0, 5.0, pytest.approx(5.3)]
        assert np.array_equal(np.concatenate(parts), read_audio(path))

    def test_errors_that_only_the_end_tells_come_at_the_end(self, tmp_path):
        path = tmp_path / "quiet.wav"
        write_audio(path, np.zeros(12 * 16_000, np.float32))
        parts = read_parts(path, 5.0)
        assert len(next(parts)) == 80_000
        with pytest.raises(pairalign.AudioError, match="quiet.wav: the recording is silent"):
            list(parts)

    def test_parts_are_tokenized_one_by_one_and_a_silent_one_is_empty(self, tmp_path, tiny_tokenizer, monkeypatch):
        monkeypatch.setattr("pairalign.archive.decoder.PART_S", 6.0)
        sound = babble(6.0, seed=3)
        write_audio(tmp_path / "long.wav", np.concatenate([sound, np.zeros(96_000, np.float32), sound]))
        archive = Archive.open(tmp_path / "a.db", tiny_tokenizer)
        # parts are cut by the worker, which does not know of this test's shorter ones
        monkeypatch.setattr("pairalign.archive.ingest.Decoders", DecodersHere)
        report = archive.add_files([tmp_path / "long.wav"])
        assert (report.recordings, report.windows, report.seconds) == (1, 6, 18.0)
        kept = archive.string(archive.recordings()[0].id)
        expected = tiny_tokenizer.tokenize(read_audio(tmp_path / "long.wav")[:96_000])
        assert kept.ids == expected.ids * 2
        assert np.allclose(kept.spans_s[: len(expected)], expected.spans_s)
        assert np.allclose(kept.spans_s[len(expected) :], np.add(12.0, expected.spans_s))


class TestDecoders:
    def test_a_file_that_kills_its_worker_costs_only_itself(self, folder, monkeypatch):
        answering(monkeypatch, "read_parts(path, *rest) if 'r1.wav' not in path else os._exit(1)")
        paths = [folder / f"r{k}.wav" for k in (0, 1, 3, 4)]
        with Decoders(paths, 1) as decoders:
            told = {part.file: part for part in decoders}
        assert sorted(told) == [0, 1, 2, 3]
        assert "crashed" in told[1].error and told[1].wave is None
        assert all(len(told[k].wave) for k in (0, 2, 3))

    def test_leaving_early_ends_the_workers(self, folder):
        with Decoders([folder / "r0.wav"] * 50, 2) as decoders:
            next(iter(decoders))
            processes = list(decoders.processes)
        assert processes and all(process.wait(10) is not None for process in processes)

    @pytest.mark.parametrize(
        "answer",
        [
            b'{"last": true}\n',
            b'{"samples": 10}\n',
            b'{"samples": -1, "last": true}\n',
            b'{"samples": 0, "last": true}\n',
            b'{"samples": 1e3, "last": true}\n',
            b'{"samples": true, "last": true}\n',
            b'{"samples": 99999999999, "last": true}\n',
            b'{"samples": 5, "last": "yes"}\n',
            b'{"samples": 5, "last": true}\nfew',
            b'{"samples"',
            b"[]\n",
            b'"error"\n',
            b"null\n",
            b"\xff\xfe\n",
            b"x" * 200_000,
            b"",
        ],
    )
    def test_a_worker_that_talks_nonsense_is_replaced_and_the_file_is_reported(self, monkeypatch, tmp_path, answer):
        started = []

        class Worker:
            """Answers the first path with `answer`, then ends; the next one decodes nothing but says so."""

            def __init__(self) -> None:
                first = not started
                started.append(self)
                self.stdin, self.stdout = io.BytesIO(), io.BytesIO(answer if first else b'{"error": "no"}\n' * 9)

            def poll(self):
                return None if self is started[-1] and not self.stdout.closed else 1

            def kill(self) -> None:
                self.stdout.close()

            def wait(self) -> int:
                return 0

        monkeypatch.setattr(decoder, "_start", Worker)
        with Decoders([tmp_path / f"{k}.wav" for k in range(3)], 1) as decoders:
            parts = list(decoders)
        assert [(part.file, part.last) for part in parts] == [(0, True), (1, True), (2, True)]
        assert "crashed" in parts[0].error and [part.error for part in parts[1:]] == ["no", "no"]

    def test_where_no_worker_starts_every_file_says_so(self, monkeypatch, tmp_path):
        def refuse():
            raise OSError(11, "Resource temporarily unavailable")

        monkeypatch.setattr(decoder, "_start", refuse)
        paths = [write_clip(tmp_path / f"{k}.wav", k) for k in range(3)]
        report = Archive.open(tmp_path / "a.db", ReadingTokenizer()).add_files(paths)
        assert len(report.skipped) == 3 and "temporarily unavailable" in report.skipped[0].reason

    def test_files_that_nothing_is_said_about_are_skipped(self, monkeypatch, tmp_path):
        class Silent(DecodersHere):
            def __iter__(self):
                yield from list(super().__iter__())[:1]

        monkeypatch.setattr("pairalign.archive.ingest.Decoders", Silent)
        paths = [write_clip(tmp_path / f"{k}.wav", k) for k in range(3)]
        report = Archive.open(tmp_path / "a.db", ReadingTokenizer()).add_files(paths)
        assert report.recordings == 1 and [Path(one.path).name for one in report.skipped] == ["1.wav", "2.wav"]

    def test_a_run_whose_worker_hangs_is_given_up_and_the_lock_is_free(self, monkeypatch, tmp_path):
        answering(monkeypatch, "__import__('time').sleep(600)")
        archive = Archive.open(tmp_path / "a.db", ReadingTokenizer())

        def give_up(progress) -> None:
            if progress.checked == progress.files and progress.elapsed_s > 0.5:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            archive.add_files([write_clip(tmp_path / "1.wav", 1)], progress=give_up)
        with archive.store.writer():
            pass


def answering(monkeypatch, expression: str) -> None:
    """Workers read the parts of `path` by this expression instead."""
    program = (
        "import sys, os, pairalign.archive.decoder as d\n"
        "read_parts = d.read_parts\n"
        f"d.read_parts = lambda path, *rest: {expression}\n"
        "d.serve(sys.stdin.buffer, sys.stdout.buffer)\n"
    )

    def start(command, **options):
        return real_start([sys.executable, "-c", program], **options)

    real_start = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", start)
