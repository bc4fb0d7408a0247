"""What the app's tests share: recordings in several formats, services on a tiny model, a really launched app."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import soundfile
from pages import Page

from app import demo_archive, ui
from app.archives import Archives
from app.result import Envelope, MelImage, ModelInfo, TokenizeResult
from app.services import Services
from pairalign.audio import read_audio
from pairalign.strings import TokenString

EXAMPLES = Path(__file__).resolve().parents[2] / "app" / "examples"


@pytest.fixture(scope="session")
def speech() -> np.ndarray:
    """Three seconds of synthetic speech, float32 at 16 kHz."""
    return read_audio(EXAMPLES / "harbour_a.ogg")


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory, speech: np.ndarray) -> dict[str, Path]:
    """The same speech as WAV, MP3 and 48 kHz stereo FLAC, and a file that is no audio."""
    folder = tmp_path_factory.mktemp("recordings")
    paths = {name: folder / name for name in ("speech.wav", "speech.mp3", "stereo.flac", "bad.wav")}
    soundfile.write(paths["speech.wav"], speech, 16_000)
    soundfile.write(paths["speech.mp3"], speech, 16_000)
    soundfile.write(paths["stereo.flac"], np.repeat(speech, 3)[:, None].repeat(2, axis=1), 48_000)
    paths["bad.wav"].write_bytes(b"this is not a recording" * 40)
    return paths


@pytest.fixture(scope="session")
def services(tiny_checkpoint: Path) -> Services:
    return Services(str(tiny_checkpoint), device="cpu")


@pytest.fixture(scope="session")
def fitted_services(fitted_tokenizer) -> Services:
    """Services on a model with fitted baselines."""
    return Services("fitted", device="cpu", loaded=fitted_tokenizer)


@pytest.fixture(scope="session")
def app_blocks(services: Services) -> Iterator[gr.Blocks]:
    """The app, launched as app.py does it but inside this process."""
    page = ui.build(services)
    page.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, **ui.launch_options(services))
    yield page
    page.close(verbose=False)


@pytest.fixture(scope="session")
def app_url(app_blocks: gr.Blocks) -> str:
    """Its address."""
    return app_blocks.local_url


@pytest.fixture
def open_page(app_url: str) -> Iterator[Callable[[], Page]]:
    """Opens the launched app's page, without a browser."""
    opened: list[Page] = []

    def make() -> Page:
        opened.append(Page(app_url))
        return opened[-1]

    yield make
    for page in opened:
        page.close()


@pytest.fixture
def make_string() -> Callable[..., TokenString]:
    def make(count: int, method: str = "pairalign", duration_s: float = 3.0, **changes: object) -> TokenString:
        step_s = duration_s / max(count, 1)
        values: dict = {
            "ids": tuple(7 * i % 128 for i in range(count)),
            "spans_s": tuple((i * step_s, (i + 1) * step_s) for i in range(count)),
            "duration_s": duration_s,
            "log_probs": tuple(-0.1 for _ in range(count)),
            "stopped_by": "eos",
            "method": method,
            "model_sha256": "ab" * 32,
            "vocab_size": 128,
        }
        return TokenString(**(values | changes))

    return make


@pytest.fixture
def make_result(make_string: Callable[..., TokenString]) -> Callable[..., TokenizeResult]:
    def make(n_pairalign: int = 38, n_vq: int = 80, duration_s: float = 3.0, **changes: object) -> TokenizeResult:
        bins = np.linspace(0.0, duration_s, 50)
        values: dict = {
            "file_name": "hello.wav",
            "duration_s": duration_s,
            "samples": np.zeros(int(duration_s * 16_000), np.int16),
            "opening": np.zeros(int(min(duration_s, 3.0) * 16_000), np.float32),
            "envelope": Envelope(bins, -np.ones(50), np.ones(50)),
            "mel": MelImage(np.zeros((80, 300), np.uint8), duration_s / 300),
            "strings": {
                "pairalign": make_string(n_pairalign, "pairalign", duration_s),
                "vq": make_string(n_vq, "vq", duration_s),
            },
            "seconds": 0.05,
            "model": ModelInfo("tiny", "ab" * 32, "cpu", 250_000, 128),
        }
        return TokenizeResult(**(values | changes))

    return make


@pytest.fixture
def fresh_home(tmp_path: Path, monkeypatch) -> Path:
    """A home that this test alone uses."""
    monkeypatch.setenv("PAIRALIGN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def archives(services: Services) -> Archives:
    return Archives(services)


@pytest.fixture
def own(archives: Archives, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Archives:
    """Archives with a home of their own, in which there is an empty one called mine."""
    monkeypatch.setenv("PAIRALIGN_HOME", str(tmp_path / "home"))
    archives.create("mine")
    return archives


@pytest.fixture
def uploads(tmp_path: Path) -> list[str]:
    """Three recordings, and a file that is none."""
    found = []
    for name in ("garden_tea_a.ogg", "harbour_light_b.ogg", "train_late_c.ogg"):
        found.append(str(shutil.copy(demo_archive.FOLDER / name, tmp_path / name)))
    (tmp_path / "bad.wav").write_bytes(b"this is no recording" * 30)
    return [*found, str(tmp_path / "bad.wav")]
