"""How long a person waits: python -m benchmarks.app_latency [--checkpoint base] [--json FILE] [--markdown FILE]

Starts app.py, drives it in Chromium with a shipped recording of 3.1 s, and measures inside the page: from the press of
Tokenize to the first chip, from the last key on a slider of the Views tab to the new alignment (the page's own pause
before it asks is part of it), from the press of Sweep to the chart of 21 steps. The sweep is timed by itself as well.
Nothing is asserted; a busy machine makes larger figures.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RECORDING = ROOT / "app" / "examples" / "harbour_a.ogg"
LONGER = ROOT / "app" / "examples" / "slow.ogg"  # room for a window of 3 s that slides
SWEEP_METHODS = ("pairalign", "vq", "viterbi")
# milliseconds from `act` until what `read` gives has changed from what it was
WAIT_JS = """async ([act, read]) => {
  const value = new Function(`return ${read}`), before = value();
  const start = performance.now();
  new Function(act)();
  while (value() === before) {
    if (performance.now() - start > 120000) throw new Error(`nothing happened after ${act}`);
    await new Promise((done) => requestAnimationFrame(done));
  }
  return performance.now() - start;
}"""


def press(selector: str) -> str:
    """JavaScript that presses a button."""
    return f"document.querySelector('{selector}').click()"


def nudge(selector: str, value: float) -> str:
    """JavaScript that moves a slider, as a key or a drag does, and lets go of it."""
    return (
        f"const s = document.querySelector('{selector}'); s.value = {value};"
        " s.dispatchEvent(new Event('input', {bubbles: true})); s.dispatchEvent(new Event('change', {bubbles: true}));"
        " s.dispatchEvent(new PointerEvent('pointerup', {bubbles: true}));"
    )


def measure_page(url: str, chromium: str, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of every wait, by name."""
    from playwright.sync_api import sync_playwright

    waits: dict[str, list[float]] = {}

    def wait(name: str, act: str, read: str) -> None:
        waits.setdefault(name, []).append(page.evaluate(WAIT_JS, [act, read]))

    with sync_playwright() as tool:
        browser = tool.chromium.launch(
            executable_path=chromium, headless=False, args=["--headless=new", "--no-sandbox"]
        )
        chips = "document.querySelector('#pa-results .pa-chip')"
        for _ in range(rounds):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            open_with_recording(page, url)
            page.wait_for_timeout(1_000)
            wait("press of Tokenize on a fresh page to chips", press("#pa-tokenize"), chips)
            if len(waits["press of Tokenize on a fresh page to chips"]) < rounds:
                page.close()
        page.get_by_role("tab", name="Views").click()
        page.wait_for_selector("#pa-views")
        pair = "document.querySelector('#pa-views-results .pa-pair')?.innerHTML"
        wait("press of Compare views to alignment", press("#pa-views"), pair)
        for k in range(rounds):
            page.wait_for_timeout(1_000)
            move = nudge("#pa-views-b input[type=range]", 100 + 10 * (k + 1))
            wait("slider of a view to alignment", move, pair)
        page.get_by_role("tab", name="Sweep").click()
        page.wait_for_selector("#pa-sweep")
        chart = "document.querySelector('#pa-sweep-plot .main-svg')"
        wait("press of Sweep to chart, 21 steps", press("#pa-sweep"), chart)
        browser.close()
    return waits


def open_with_recording(page, url: str) -> None:
    """The page with the recording uploaded."""
    page.goto(url)
    page.locator('#pa-audio button[aria-label="Upload file"]').click()
    page.locator("#pa-audio input[type=file]").first.set_input_files(str(RECORDING))
    page.wait_for_selector('#pa-audio button[aria-label="Clear"]')


def measure_sweep(checkpoint: str, rounds: int) -> list[float]:
    """Milliseconds of a sweep over 21 shifts of a window of 3 s, all default methods."""
    import pairalign
    from pairalign.audio import read_audio
    from pairalign.sweeps.sweep import sweep_methods

    tokenizer, wave, waits = pairalign.load(checkpoint), read_audio(LONGER), []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        sweep_methods(tokenizer, [wave], "shift", 100, 5, SWEEP_METHODS)
        waits.append(1000 * (time.perf_counter() - start))
    return waits[1:]  # the first one warms up


def table(waits: dict[str, list[float]]) -> str:
    """The waits as Markdown."""
    lines = ["| wait | n | p50 ms | p95 ms |", "|---|---|---|---|"]
    for name, values in waits.items():
        p95 = sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)]
        lines.append(f"| {name} | {len(values)} | {statistics.median(values):.0f} | {p95:.0f} |")
    return "\n".join(lines)


def main() -> int:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="base")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--json", type=Path, help="write all waits there")
    args = parser.parse_args()
    from scripts.take_screenshots import start_app

    waits = {"sweep of 21 steps in the library": measure_sweep(args.checkpoint, min(args.rounds, 10))}
    server, url = start_app(args.checkpoint, "auto")
    try:
        waits = measure_page(url, args.chromium, args.rounds) | waits
    finally:
        server.terminate()
        server.wait(20)
    print(table(waits))
    if args.json:
        machine = {"processor": platform.processor() or platform.machine(), "python": platform.python_version()}
        args.json.write_text(json.dumps({"machine": machine, "waits_ms": waits}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
