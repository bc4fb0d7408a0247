"""Screenshots of the app for the documentation: launches it, uploads one recording, writes PNG files.

    python scripts/take_screenshots.py --audio app/examples/harbour_a.ogg --out docs/screenshots

Needs Chromium and Playwright's Python package.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# name, theme, width, height, whole page
SHOTS = (
    ("tokenize-light", "light", 1280, 900, True),
    ("tokenize-dark", "dark", 1280, 900, True),
    ("tokenize-phone", "dark", 390, 844, False),
)


def start_app(checkpoint: str, device: str) -> tuple[subprocess.Popen, str]:
    """Run app.py on a free port and wait until it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = ["--port", str(port), "--checkpoint", checkpoint, "--device", device]
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


def take(url: str, audio: Path, out: Path, chromium: str) -> list[Path]:
    """Tokenize `audio` in every theme and width of SHOTS and photograph the page."""
    from playwright.sync_api import sync_playwright

    written = []
    with sync_playwright() as tool:
        browser = tool.chromium.launch(
            executable_path=chromium, headless=False, args=["--headless=new", "--no-sandbox", "--hide-scrollbars"]
        )
        for name, theme, width, height, whole in SHOTS:
            page = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=1.5)
            page.goto(f"{url}?__theme={theme}")
            page.locator('#pa-audio button[aria-label="Upload file"]').click()
            page.locator("#pa-audio input[type=file]").first.set_input_files(str(audio))
            page.wait_for_selector('#pa-audio button[aria-label="Clear"]')
            page.click("#pa-tokenize")
            page.wait_for_selector(".pa-chip")
            page.wait_for_selector("#pa-plot .main-svg")
            page.wait_for_timeout(1_500)  # waveform and figure fade in
            if not whole:
                page.locator("#pa-results").scroll_into_view_if_needed()
                page.evaluate("document.querySelector('#pa-results').scrollIntoView()")
            written.append(out / f"{name}.png")
            page.screenshot(path=str(written[-1]), full_page=whole)
            page.close()
        browser.close()
    return written


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--audio", type=Path, default=ROOT / "app" / "examples" / "harbour_a.ogg")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "screenshots")
    parser.add_argument("--checkpoint", default="base")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    if not options.audio.is_file():
        parser.error(f"{options.audio} is no file")
    options.out.mkdir(parents=True, exist_ok=True)
    server, url = start_app(options.checkpoint, options.device)
    try:
        for path in take(url, options.audio, options.out, options.chromium):
            print(path)
    finally:
        server.terminate()
        server.wait(20)
    return 0


if __name__ == "__main__":
    sys.exit(main())
