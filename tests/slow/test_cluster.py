"""Two actors of a real, local Ray cluster: the same archive as without, and nothing is done twice."""

import json
import os
import shutil
from pathlib import Path

import pytest

from pairalign import Archive, ArchiveError
from pairalign.archive.cluster import ClusterOptions, add_on_ray, write_shards
from pairalign.archive.shards import describe_shard
from pairalign.audio import write_audio
from pairalign.cli import main
from tests.conftest import babble

os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_worker_niceness="0")  # its workers give way to all else by default
ray = pytest.importorskip("ray", reason="the Ray engine is an optional extra")
pytestmark = pytest.mark.slow

METHODS = ("pairalign", "vq")
DURATIONS_S = (0.8, 1.4, 7.5, 2.0, 3.3, 1.1, 2.6)
TWO = ClusterOptions(workers=2, device="cpu", shard_recordings=2)


class Stop(Exception):
    """Raised by a progress callback, as a Stop button does."""


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """One for all tests: starting takes seconds."""
    ray.init("local", num_cpus=2, include_dashboard=False, object_store_memory=100 << 20, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    """Recordings of several lengths, one of them twice, a shipped one, and one that is none."""
    folder = tmp_path_factory.mktemp("recordings")
    for k, duration_s in enumerate(DURATIONS_S):
        write_audio(folder / f"r{k}.wav", babble(duration_s, seed=k))
    shutil.copy(folder / "r0.wav", folder / "twin.wav")
    shutil.copy("app/examples/digits.ogg", folder)
    (folder / "text.wav").write_text("not audio")
    return sorted(folder.iterdir())


def everything(archive: Archive) -> dict:
    """All that an archive holds of each recording, but its number."""
    held = {}
    for recording in archive.recordings():
        windows = {method: archive.store.windows(recording.id, method) for method in METHODS}
        about = recording.path, recording.sha256, recording.duration_s, recording.size_bytes, recording.modified_ns
        held[about] = {
            method: [(w.start_s, w.end_s, w.ids.tolist(), w.edges_cs.tolist()) for w in listed]
            for method, listed in windows.items()
        }
    return held


def versions(folder: Path) -> dict[str, int]:
    """When each shard was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_stopped_and_resumed_it_ends_with_the_archive_of_one_machine(files, tiny_checkpoint, tiny_tokenizer, tmp_path):
    local = Archive.open(tmp_path / "local.db", tiny_tokenizer, METHODS)
    expected = local.add_files(files)
    shared = Archive.open(tmp_path / "shared.db", tiny_tokenizer, METHODS)
    shards = tmp_path / "shards"

    def stop(progress):
        raise Stop

    with pytest.raises(Stop):
        write_shards(tiny_tokenizer, tiny_checkpoint, files, METHODS, shards, TWO, stop)
    before = versions(shards)
    assert 1 <= len(before)

    told = []
    job = shared.store, tiny_tokenizer, tiny_checkpoint, files, METHODS, shards, TWO
    report = add_on_ray(*job, progress=told.append)
    assert everything(shared) == everything(local)
    for name in ("recordings", "windows", "tokens", "known", "replaced"):
        assert getattr(report, name) == getattr(expected, name)
    assert report.seconds == pytest.approx(expected.seconds)
    assert set(report.skipped) == set(expected.skipped) and len(report.skipped) == 1
    assert before.items() <= versions(shards).items()  # what was whole is not written again
    assert told[-1].files_done == told[-1].files < len(files)
    assert told[-1].bytes_done == told[-1].bytes

    # a lost shard is made again, and nothing else
    lost = min(shards.iterdir())
    held = len(describe_shard(lost).recordings)
    kept = {name: time for name, time in versions(shards).items() if name != lost.name}
    lost.unlink()
    again = write_shards(tiny_tokenizer, tiny_checkpoint, files, METHODS, shards, TWO)
    assert (again.recordings, again.known, len(again.skipped)) == (held, len(files) - held - 1, 1)
    assert kept.items() <= versions(shards).items() and len(versions(shards)) == len(kept) + 1


def test_the_command_fills_an_archive(files, tiny_checkpoint, tmp_path, capsys):
    database = tmp_path / "talks.db"
    command = ["index", str(files[1]), "--archive", str(database), "--engine", "ray", "--workers", "1"]
    assert main([*command, "--checkpoint", str(tiny_checkpoint), "--device", "cpu", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recordings"] == 1
    assert [recording.path for recording in Archive.open(database).recordings()] == [files[1]]
    assert len(list((tmp_path / "talks.db.shards").iterdir())) == 1


def test_what_the_archive_has_needs_no_cluster(files, tiny_checkpoint, tiny_tokenizer, tmp_path):
    archive = Archive.open(tmp_path / "talks.db", tiny_tokenizer, METHODS)
    archive.add_files(files[:2])
    job = archive.store, tiny_tokenizer, tiny_checkpoint, files[:2], METHODS, tmp_path / "shards"
    report = add_on_ray(*job, ClusterOptions(address="nowhere:1"))
    assert (report.recordings, report.known) == (0, 2)


def test_files_that_changed_are_followed_as_on_one_machine(files, tiny_checkpoint, tiny_tokenizer, tmp_path):
    folder = tmp_path / "changing"
    folder.mkdir()
    paths = [Path(shutil.copy(file, folder / f"{k}.wav")) for k, file in enumerate(files[1:6])]
    for path in paths:
        os.utime(path, (5, 5))
    local = Archive.open(tmp_path / "local.db", tiny_tokenizer, METHODS)
    shared = Archive.open(tmp_path / "shared.db", tiny_tokenizer, METHODS)
    for again in (False, True):
        if again:
            paths[0].rename(folder / "between")
            paths[1].rename(paths[0])
            (folder / "between").rename(paths[1])
            paths[2].write_bytes(b"no sound at all " * 100)
            shutil.copy(paths[3], paths[4])
        expected = local.add_files(paths)
        job = shared.store, tiny_tokenizer, tiny_checkpoint, paths, METHODS, tmp_path / "shards", TWO
        report = add_on_ray(*job)
        assert everything(shared) == everything(local)
        for name in ("recordings", "known", "moved", "removed"):
            assert getattr(report, name) == getattr(expected, name)
    assert expected.moved == 2 and expected.removed == (str(paths[2]), str(paths[4]))


def test_shards_of_another_model_are_refused(files, tiny_checkpoint, tiny_tokenizer, tmp_path):
    from dataclasses import replace

    from pairalign.archive.ingest import model_of
    from pairalign.archive.record import Recording
    from pairalign.archive.shards import write_shard
    from pairalign.archive.window import cut

    string = tiny_tokenizer.tokenize(files[-1], method="vq")
    other = replace(model_of(tiny_tokenizer, ["vq"]), sha256="0" * 64)
    write_shard(tmp_path / "x.parquet", other, [(Recording(0, files[0], "c", 1.0, 1, 1), {"vq": cut(string)})])
    with pytest.raises(ArchiveError, match="another folder"):
        write_shards(tiny_tokenizer, tiny_checkpoint, files, ["vq"], tmp_path, TWO)


def test_an_address_where_nobody_is_is_told(files, tiny_checkpoint, tiny_tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(ArchiveError, match="no Ray cluster at '127.0.0.1:9'"):
        write_shards(tiny_tokenizer, tiny_checkpoint, files, METHODS, tmp_path, ClusterOptions("127.0.0.1:9"))


def test_another_checkpoint_on_the_workers_is_told(files, tiny_tokenizer, tmp_path):
    with pytest.raises(ArchiveError, match="a worker of the cluster failed.*another one on that machine"):
        write_shards(tiny_tokenizer, "base", files[:1], METHODS, tmp_path, TWO)


def test_more_workers_than_cores_are_refused(files, tiny_checkpoint, tiny_tokenizer, tmp_path):
    with pytest.raises(ArchiveError, match="the cluster has 2"):
        write_shards(tiny_tokenizer, tiny_checkpoint, files, METHODS, tmp_path, ClusterOptions(workers=3))
