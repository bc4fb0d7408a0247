"""Recordings on their way into an archive: decoded by workers, long ones part by part."""

from pathlib import Path

import numpy as np
import pytest

import pairalign
from pairalign import Archive
from pairalign.archive.decoder import Decoders
from pairalign.audio import read_audio, read_parts, write_audio
from tests.conftest import babble


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
        monkeypatch.setattr("pairalign.archive.ingest.Decoders", InProcess)
        report = archive.add_files([tmp_path / "long.wav"])
        assert (report.recordings, report.windows, report.seconds) == (1, 6, 18.0)
        kept = archive.string(archive.recordings()[0].id)
        expected = tiny_tokenizer.tokenize(read_audio(tmp_path / "long.wav")[:96_000])
        assert kept.ids == expected.ids * 2
        assert np.allclose(kept.spans_s[: len(expected)], expected.spans_s)
        assert np.allclose(kept.spans_s[len(expected) :], np.add(12.0, expected.spans_s))


class InProcess(Decoders):
    """Decodes here instead of in other processes."""

    def __init__(self, paths, workers) -> None:
        self.paths = paths

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        pass

    def __iter__(self):
        from pairalign.archive import decoder

        for number, path in enumerate(self.paths):
            waves = list(read_parts(path, decoder.PART_S))
            for wave in waves:
                yield decoder.Part(number, wave, last=wave is waves[-1])


class TestDecoders:
    def test_a_file_that_kills_its_worker_costs_only_itself(self, folder, monkeypatch):
        import subprocess
        import sys

        program = (
            "import sys, os, pairalign.archive.decoder as d\n"
            "real = d.read_parts\n"
            "d.read_parts = lambda path, *rest: os._exit(1) if path.endswith('r1.wav') else real(path, *rest)\n"
            "d.serve(sys.stdin.buffer, sys.stdout.buffer)\n"
        )

        def start(command, **options):
            return real_start([sys.executable, "-c", program], **options)

        real_start = subprocess.Popen
        monkeypatch.setattr(subprocess, "Popen", start)
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
