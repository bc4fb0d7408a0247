"""Screenshots of every tab for the documentation: launches the app, uses it, writes small PNG files.

    python -m scripts.take_screenshots --audio app/examples/harbour_a.ogg --out docs/screenshots

Needs Chromium and Playwright's Python package, and for the Train tab a run: python -m pairalign finetune …
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from pairalign.audio import read_audio, write_audio

ROOT = Path(__file__).resolve().parents[1]
# name -> theme, width, height; phones show what is on the screen, the others the whole page
SIZES = {"light": ("light", 1280, 900), "dark": ("dark", 1280, 900), "phone": ("dark", 390, 844)}
# tab -> what to press, and what has to be there before the picture is taken
TABS = {
    "tokenize": ("#pa-tokenize", ("#pa-results .pa-chip", "#pa-plot .main-svg")),
    "live": ("#pa-live-start", (".pa-live-chip[data-final]:nth-child(40)",)),
    "views": ("#pa-views", ("#pa-views-results .pa-chip", "#pa-views-plot-b .main-svg")),
    "sweep": ("#pa-sweep", ("#pa-sweep-plot .main-svg",)),
    "train": ("#pa-train-status", ("#pa-train-compared table", "#pa-train-plot .main-svg")),  # the latest run, if any
    "compare": ("#pa-compare", (".pa-tab:has(#pa-compare) .pa-results table",)),
    "archive": ("#pa-archive", (".pa-hit", "#pa-archive-distances .main-svg")),
    "learn": ("#pa-reveal", (".pa-verdict",)),
}
README_TAB, README_HEIGHT = "tokenize-light.png", 1330  # the README shows this one down to its figure, as page.png
COLOURS = 128  # of a palette: a third of the size, and nobody sees it


def start_app(checkpoint: str, device: str, more_flags: Sequence[str] = ()) -> tuple[subprocess.Popen, str]:
    """Run app.py on a free port and wait until it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = ["--port", str(port), "--checkpoint", checkpoint, "--device", device, *more_flags]
    server = subprocess.Popen([sys.executable, str(ROOT / "app.py"), *flags])
    url = f"http://127.0.0.1:{port}/"
    for _ in range(600):
        if server.poll() is not None:
            raise SystemExit("take_screenshots: the app did not start")
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return server, url
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    server.terminate()
    raise SystemExit("take_screenshots: the app did not answer within two minutes")


def take(url: str, audio: Path, out: Path, chromium: str, tabs: list[str]) -> list[Path]:
    """Use every tab with `audio` in every size and photograph the page; Chromium's fake microphone plays `audio`."""
    from playwright.sync_api import sync_playwright

    written = []
    flags = ["--headless=new", "--no-sandbox", "--hide-scrollbars", "--use-fake-ui-for-media-stream"]
    with sync_playwright() as tool, tempfile.TemporaryDirectory() as folder:
        heard = Path(folder) / "heard.wav"
        write_audio(heard, read_audio(audio))
        flags += ["--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={heard}"]
        browser = tool.chromium.launch(executable_path=chromium, headless=False, args=flags)
        for size, (theme, width, height) in SIZES.items():
            page = browser.new_page(viewport={"width": width, "height": height}, permissions=["microphone"])
            page.set_default_timeout(120_000)
            page.goto(f"{url}?__theme={theme}")
            page.locator('#pa-audio button[aria-label="Upload file"]').click()
            page.locator("#pa-audio input[type=file]").first.set_input_files(str(audio))
            page.wait_for_selector('#pa-audio button[aria-label="Clear"]')
            for tab in tabs:
                use(page, tab, whole=size != "phone")
                written.append(out / f"{tab}-{size}.png")
                page.screenshot(path=str(written[-1]), full_page=size != "phone")
                shrink(written[-1])
                if tab == "live":
                    page.click(TABS[tab][0])  # it listens until it is stopped
            page.close()
        browser.close()
    return written


def use(page, tab: str, whole: bool) -> None:
    """Open a tab, run it, and wait until it shows what it found."""
    button, shown = TABS[tab]
    open_tab(page, tab)
    page.click(button)
    for selector in shown:
        page.locator(selector).first.wait_for()
    page.wait_for_timeout(1_500)  # waveform and figures fade in
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    if not whole:
        page.locator(button).evaluate(
            "(start) => start.closest('.pa-tab').querySelector('.pa-results, .pa-train-status').scrollIntoView()"
        )
        page.wait_for_timeout(300)
    else:
        page.evaluate("scrollTo(0, 0)")


def open_tab(page, tab: str) -> None:
    """Press the tab; on a phone it may wait in the menu of those that have no room."""
    name = tab.title()
    button = page.get_by_role("tab", name=name, exact=True)
    if not button.is_visible():
        page.locator(".overflow-menu > button").click()
        button = page.locator(".overflow-dropdown button", has_text=name)
    button.click()


def shrink(path: Path) -> None:
    """Write a PNG again with a palette."""
    from PIL import Image

    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


def cut(path: Path, height: int, out: Path) -> None:
    """The upper part of a picture."""
    from PIL import Image

    with Image.open(path) as picture:
        picture.crop((0, 0, picture.width, height)).save(out, optimize=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--audio", type=Path, default=ROOT / "app" / "examples" / "harbour_a.ogg")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "screenshots")
    parser.add_argument("--tabs", nargs="*", choices=list(TABS), default=list(TABS))
    parser.add_argument("--checkpoint", default="base")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    if not options.audio.is_file():
        parser.error(f"{options.audio} is no file")
    options.out.mkdir(parents=True, exist_ok=True)
    server, url = start_app(options.checkpoint, options.device)
    try:
        for path in take(url, options.audio, options.out, options.chromium, options.tabs):
            print(path)
        if "tokenize" in options.tabs:
            cut(options.out / README_TAB, README_HEIGHT, options.out / "page.png")
    finally:
        server.terminate()
        server.wait(20)
    return 0


if __name__ == "__main__":
    sys.exit(main())
