"""A really launched app.py on a tiny model and a real Chromium with a fake microphone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import soundfile

from pairalign.audio import read_audio

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = "/usr/bin/chromium"
STARTUP_S = 300  # a busy machine imports torch and Gradio slowly


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is a browser test, and none runs without a browser."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if not Path(CHROMIUM).exists():
                item.add_marker(pytest.mark.skip(reason=f"{CHROMIUM} is not installed (apt-get install chromium)"))


@pytest.fixture(scope="session")
def speech_wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shipped example as WAV: uploaded by the tests and heard by the fake microphone."""
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    soundfile.write(path, read_audio(ROOT / "app" / "examples" / "harbour_a.ogg"), 16_000)
    return path


@pytest.fixture(scope="session")
def app_url(tiny_checkpoint: Path) -> Iterator[str]:
    with launched("--checkpoint", str(tiny_checkpoint)) as url:
        yield url


@contextmanager
def launched(*flags: str, **environment: str) -> Iterator[str]:
    """Address of an app.py that runs meanwhile, with these flags, on a CPU."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(ROOT / "app.py"), "--port", str(port), "--device", "cpu", *flags]
    server = subprocess.Popen(command, env=dict(os.environ, **environment))
    url = f"http://127.0.0.1:{port}/"
    try:
        _wait_for(url, server)
        yield url
    finally:
        server.terminate()
        server.wait(20)


def _wait_for(url: str, server: subprocess.Popen) -> None:
    deadline = time.monotonic() + STARTUP_S
    while time.monotonic() < deadline:
        assert server.poll() is None, "app.py ended before it listened"
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise TimeoutError(f"the app did not listen on {url} within {STARTUP_S} s")


@pytest.fixture(scope="session")
def browser(speech_wav: Path) -> Iterator:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    # full Chromium: the reduced headless shell has no microphone
    flags = [
        "--headless=new",
        "--no-sandbox",
        "--disable-background-networking",
        "--disable-gpu",
        "--use-fake-ui-for-media-stream",
    ]
    flags += ["--use-fake-device-for-media-stream"]
    flags += [f"--use-file-for-fake-audio-capture={speech_wav}"]
    with playwright.sync_playwright() as tool:
        chromium = tool.chromium.launch(executable_path=CHROMIUM, headless=False, args=flags)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser, app_url: str) -> Iterator[Callable]:
    """Opens the app in a fresh context; at the end of the test the console must hold no error."""
    contexts, errors = [], []

    def open_it(
        theme: str = "light",
        width: int = 1280,
        height: int = 900,
        allowed: str = "",
        url: str = app_url,
        asked: list[str] | None = None,
    ):
        context = browser.new_context(viewport={"width": width, "height": height}, permissions=["microphone"])
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "console",
            lambda line: (
                errors.append(line.text) if line.type == "error" and not (allowed and allowed in line.text) else None
            ),
        )
        if asked is not None:  # gets the address of everything that the page asks for
            page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{url}?__theme={theme}")
        page.wait_for_selector("#pa-tokenize")
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert errors == []
