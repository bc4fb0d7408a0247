"""What every page must be: settled before it is judged, readable by everybody (axe), and no wider than its window."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe

# Gradio dims an output while its event runs and fades it back in afterwards; a judge must not come in between
SETTLED_JS = """() => !document.querySelector('.pending, .generating')
  && document.getAnimations().every((one) => one.playState !== 'running'
    || one.effect.getComputedTiming().endTime === Infinity)"""
SETTLED_MS = 100  # a fade starts a frame or two after what causes it
OVERFLOW_JS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def settle(page) -> None:
    """Wait until nothing is loading or fading, now and a moment later."""
    for _ in range(2):
        page.wait_for_function(SETTLED_JS)
        page.wait_for_timeout(SETTLED_MS)
    page.wait_for_function(SETTLED_JS)


def check_accessible(page) -> None:
    """Fail on what axe calls serious or critical."""
    settle(page)
    found = [one for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]
    told = [
        f"{one['id']}: {node['html'][:200]} {' '.join(why['message'] for why in node['any'])}"
        for one in found
        for node in one["nodes"]
    ]
    assert told == [], "\n".join(told)  # pytest explains plain asserts of test modules only


def check_fits(page) -> None:
    """Fail if the page can be scrolled sideways."""
    settle(page)
    assert page.evaluate(OVERFLOW_JS) <= 0, "something sticks out sideways"
