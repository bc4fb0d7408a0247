"""The folder of a Hugging Face Space: what is in it, and the app started from it as a Space starts it."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
import yaml
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

# what programs get from the app is tested once more on the Space: the fixtures are those of this file
from test_app_client import (  # noqa: F401
    client,
    test_bad_file_gives_one_readable_sentence,
    test_files_of_the_server_cannot_be_read_through_the_api,
    test_no_file_gives_one_readable_sentence,
    test_page_asks_no_other_host_for_anything,
    test_regenerate_refuses_in_one_readable_sentence,
    test_regenerate_writes_the_wanted_number_of_tokens,
    test_the_app_and_the_library_agree,
    test_the_public_events_are_verbs_and_documented,
    test_tokenize_answers_with_the_document,
)

from app import recordings as sets
from app import trajectories
from app.recordings import Source
from app.services import Services
from scripts import build_space

HERE = Path(__file__).resolve().parent
STARTUP_S = 30
PATIENCE_S = 300  # a busy machine imports torch and Gradio slowly
MISSING = "raise ImportError('no requirement of the Space')\n"


@dataclass(frozen=True)
class Space:
    """A Space that runs: its address, where it may keep things, and what its start took."""

    url: str
    home: Path
    cpu_s: float
    wall_s: float


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("space") / "space"
    build_space.build(path)
    return path


@pytest.fixture(scope="module")
def space(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    """The running Space, without the packages that its requirements leave out."""
    bare = tmp_path_factory.mktemp("bare")
    for name in build_space.UNUSED:
        (bare / f"{name}.py").write_text(MISSING)
    with started(folder, tmp_path_factory.mktemp("space_home"), PYTHONPATH=str(bare)) as running:
        yield running


@pytest.fixture(scope="module")
def app_url(space: Space) -> str:
    return space.url


@pytest.fixture(scope="module")
def services() -> Services:
    """What the Space must agree with: its checkpoint, in this process."""
    return Services("base", device="cpu")


@contextmanager
def started(folder: Path, home: Path, **environment: str) -> Iterator[Space]:
    """`python app.py` in the folder with the variables that a Space has."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = {"SPACE_ID": "somebody/pairalign", "SYSTEM": "spaces", "GRADIO_SERVER_PORT": str(port)}
    given |= {"PAIRALIGN_HOME": str(home), "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": ""}
    # apps that share it delete each other's uploads of the same file when they end
    given["GRADIO_TEMP_DIR"] = str(home.with_name(f"{home.name}_uploads"))
    begun = time.monotonic()
    server = subprocess.Popen([sys.executable, "app.py"], cwd=folder, env={**os.environ, **given, **environment})
    # an address that only those reach who listen on all of them
    url = f"http://{'127.0.0.2' if sys.platform == 'linux' else '127.0.0.1'}:{port}/"
    try:
        while not _answers(url):
            assert server.poll() is None, "the Space ended before it listened"
            assert time.monotonic() - begun < PATIENCE_S, f"the Space did not listen within {PATIENCE_S} s"
            time.sleep(0.2)
        yield Space(url, home, _cpu_s(server.pid), time.monotonic() - begun)
    finally:
        server.terminate()
        server.wait(20)


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
        return True
    except (urllib.error.URLError, OSError):
        return False


def _cpu_s(pid: int) -> float:
    """Seconds of processor time that a process has used; not a number where that cannot be told."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class TestFolder:
    def test_front_matter_is_what_a_space_needs(self, folder):
        _, head, text = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
        values = yaml.safe_load(head)
        pins = dict(line.split("==") for line in (folder / "requirements.txt").read_text().splitlines())
        assert (values["sdk"], values["sdk_version"]) == ("gradio", pins["gradio"])
        assert values["app_file"] == "app.py" and values["python_version"] == "3.12"
        assert len(values["short_description"]) <= 60
        assert values["license"] == "apache-2.0" and values["suggested_hardware"] == "cpu-basic"
        assert "title" in values and "speech" in values["tags"]
        assert text.strip().startswith("# PairAlign")

    def test_every_requirement_of_the_page_is_pinned_and_none_of_the_tests(self, folder):
        pins = (folder / "requirements.txt").read_text().splitlines()
        assert all(re.fullmatch(r"[a-z0-9_-]+==[0-9][0-9.]*", line) for line in pins)
        names = {line.split("==")[0] for line in pins}
        assert {
            "torch",
            "torchaudio",
            "numpy",
            "soundfile",
            "rapidfuzz",
            "numba",
            "gradio",
            "plotly",
            "spaces",
        } <= names
        assert not names & {"pytest", "ruff", "playwright", *build_space.UNUSED}

    def test_only_what_runs_is_in_it(self, folder):
        files = (folder / build_space.LISTING).read_text().splitlines()
        assert {file.split("/")[0] for file in files if "/" in file} == {"app", "pairalign", "checkpoints"}
        assert {"app.py", "packages.txt", "LICENSE", "checkpoints/base.safetensors"} <= {*files}
        assert not [file for file in files if "__pycache__" in file or "tiny" in file]
        assert all((folder / file).is_file() for file in files)
        assert "*.safetensors filter=lfs" in (folder / ".gitattributes").read_text()

    def test_two_builds_are_the_same_and_the_second_replaces_the_first(self, tmp_path):
        names = build_space.build(tmp_path / "a")
        (tmp_path / "a" / "app.py").write_text("changed")
        (tmp_path / "a" / ".git").mkdir()
        assert build_space.build(tmp_path / "a") == build_space.build(tmp_path / "b") == names
        for name in names:
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        assert (tmp_path / "a" / ".git").is_dir(), "a repository is left alone"

    def test_a_folder_of_somebody_else_is_left_alone(self, tmp_path, capsys):
        (tmp_path / "thesis.txt").write_text("mine")
        assert build_space.main([str(tmp_path)]) == 2
        assert "not made by this script" in capsys.readouterr().err
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_it_starts_within_half_a_minute(space, record_property):
    record_property("startup_wall_s", space.wall_s)
    record_property("startup_cpu_s", space.cpu_s)
    # seconds of the processor, which do not grow when others use it too
    assert not space.cpu_s > STARTUP_S


def test_nothing_is_offered_that_strangers_may_not_do(space):
    config = json.loads(urllib.request.urlopen(f"{space.url}config").read())
    ids = {component["props"].get("elem_id") for component in config["components"]}
    assert "pa-train-refusal" in ids and "pa-tokenize" in ids
    assert not ids & {"pa-train-start", "pa-class-save", "pa-archive-add", "pa-archive-folder", "pa-checkpoint"}


def test_long_recordings_are_refused_with_the_limit(client, tmp_path):  # noqa: F811
    noise = np.random.default_rng(0).normal(0, 0.1, 132 * 8_000)
    soundfile.write(tmp_path / "long.wav", noise, 8_000)
    with pytest.raises(AppError, match="2.2 min, more than the 2 min allowed"):
        client.predict(handle_file(str(tmp_path / "long.wav")), api_name="/tokenize")


def test_large_files_are_refused(space):
    files = {"files": ("big.wav", b"\0" * 21_000_000)}
    assert httpx.post(f"{space.url}gradio_api/upload", files=files).status_code == 413


def test_a_sweep_of_very_many_steps_is_refused(client, recordings):  # noqa: F811
    speech = handle_file(str(recordings["speech.wav"]))
    with pytest.raises(AppError, match="larger step, or start your own with python app.py"):
        client.predict(speech, "shift", 99, 0.5, 0, ["vq"], api_name="/sweep")


def test_large_sets_of_recordings_are_refused(tmp_path):
    public, own = Services(public=True), Services()
    many = [Source(str(tmp_path / f"{k}.wav"), f"{k}.wav") for k in range(17)]
    with pytest.raises(ValueError, match="use 16 or fewer, or start your own with python app.py"):
        sets.read_all(public, many, lambda wave: wave, lambda _: None)
    with pytest.raises(ValueError, match="400 are allowed at once.* or start your own"):
        trajectories.sweep_average(public, many[:16], trajectories.SweepSettings(stop=100, step=2))
    with pytest.raises(ValueError, match="No recording could be used"):
        sets.read_all(own, many, lambda wave: wave, lambda _: None)


def test_only_the_demo_archive_can_be_opened_and_nothing_else_is_kept(client, space, recordings, tmp_path):  # noqa: F811
    for name in (str(tmp_path / "new.db"), "mine"):
        with pytest.raises(AppError, match="only its demo archive can be searched and nothing can be added"):
            client.predict(name, api_name="/archive_info")
    assert client.predict("demo", api_name="/archive_info")["recordings"] > 40
    kept = {path.relative_to(space.home).as_posix() for path in space.home.rglob("*") if path.is_file()}
    assert kept and all(re.fullmatch(r"cache/demo-[0-9a-f]{16}\.db(-wal|-shm|\.lock)?", name) for name in kept)


@pytest.mark.skipif(sys.platform == "win32", reason="slots are forked processes")
def test_with_zero_gpu_it_computes_in_forked_slots(folder, services, recordings, tmp_path):
    log = tmp_path / "slots"
    given = {"SPACES_ZERO_GPU": "true", "SLOTS_LOG": str(log), "PYTHONPATH": str(HERE / "zero_gpu")}
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    uploads = {"TMPDIR": str(temporary), "GRADIO_TEMP_DIR": ""}
    with started(folder, tmp_path / "home", **given, **uploads) as space:
        client = Client(space.url, verbose=False)  # noqa: F811
        speech = handle_file(str(recordings["speech.wav"]))
        found = client.predict(speech, api_name="/tokenize")["files"][0]["strings"]["pairalign"]
        assert tuple(found["ids"]) == services.tokenizer().tokenize(recordings["speech.wav"]).ids
        swept = client.predict(speech, "shift", 20, 10, 0, ["vq"], api_name="/sweep")
        assert swept["values"] == [0, 10, 20]
        assert [path for path in temporary.glob("pairalign-uploads-*/*/*.wav") if path.is_file()]
    assert not list(temporary.glob("pairalign-*")), "SIGTERM, as docker stop sends it, leaves no uploads"
    assert log.read_text().split() == ["Tokenizer.tokenize_methods", "sweep_methods"]
