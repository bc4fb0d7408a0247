"""Shipped checkpoints write the shipped recordings exactly as pinned in tests/golden."""

import json

import pytest

from scripts.pin_golden_strings import GOLDEN, shipped_checkpoints, shipped_recordings, strings_of, to_json

ADVICE = "After a deliberate change: python -m scripts.pin_golden_strings"


def first_difference(pinned: list[int], written: list[int]) -> str:
    """Where two strings part, in words."""
    pairs = zip([*pinned, None], [*written, None], strict=False)
    place = next((k for k, (a, b) in enumerate(pairs) if a != b), min(len(pinned), len(written)))
    return f"token {place}: pinned {pinned[place : place + 3]}, now {written[place : place + 3]}"


@pytest.mark.parametrize("checkpoint", shipped_checkpoints())
def test_strings_are_the_pinned_ones(checkpoint):
    pinned = json.loads((GOLDEN / f"{checkpoint}.json").read_text(encoding="utf-8"))
    written = strings_of(checkpoint)
    assert written["sha256"] == pinned["sha256"], f"{checkpoint} has other weights than those pinned. {ADVICE}"
    assert list(pinned["strings"]) == list(shipped_recordings()), f"Other recordings are shipped. {ADVICE}"
    changed = [
        f"{file}, {method}: {first_difference(pinned['strings'][file][method], ids)}"
        for file, rows in written["strings"].items()
        for method, ids in rows.items()
        if ids != pinned["strings"][file][method]
    ]
    assert not changed, "\n".join([f"{len(changed)} strings of {checkpoint} changed:", *changed[:20], ADVICE])


def test_every_shipped_checkpoint_is_pinned_and_no_other():
    assert sorted(path.stem for path in GOLDEN.glob("*.json")) == sorted(shipped_checkpoints())


def test_the_files_are_readable_and_a_difference_is_named():
    pinned = {"sha256": "ab", "strings": {"a.ogg": {"vq": [1, 2], "mfcc": []}}}
    assert json.loads(to_json(pinned)) == pinned
    assert first_difference([1, 2, 3], [1, 2, 4, 5]) == "token 2: pinned [3], now [4, 5]"
    assert first_difference([1, 2], [1, 2, 3]) == "token 2: pinned [], now [3]"
