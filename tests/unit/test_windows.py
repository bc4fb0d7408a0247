import pytest

from pairalign.windows import Piece, plan_windows, stitch

RATE_HZ = 16_000


@pytest.mark.parametrize("duration_s", [0.1, 2.9, 3.4, 3.41, 5.0, 5.02, 12.34, 61.7])
def test_windows_cover_the_recording_once(duration_s: float):
    samples = round(duration_s * RATE_HZ)
    windows = plan_windows(samples)
    assert windows[0].start == 0 and windows[-1].end == samples
    assert windows[0].keep_from_s == 0 and windows[-1].keep_to_s == pytest.approx(duration_s, abs=1e-4)
    for window in windows:
        assert window.end - window.start <= 3.4 * RATE_HZ
        assert window.start % 320 == 0
        assert window.start_s <= window.keep_from_s < window.keep_to_s <= window.end_s
    for before, after in zip(windows, windows[1:], strict=False):
        assert before.keep_to_s == after.keep_from_s
        assert after.start < before.end


def test_short_recordings_are_one_window():
    assert len(plan_windows(round(3.4 * RATE_HZ))) == 1
    assert len(plan_windows(round(3.4 * RATE_HZ) + 1)) == 2


def piece(*tokens: tuple[int, float, float]) -> Piece:
    return Piece([t for t, _, _ in tokens], [(s, e) for _, s, e in tokens], [-0.1] * len(tokens))


def test_a_token_heard_by_both_windows_is_told_once():
    windows = plan_windows(5 * RATE_HZ)  # 0-3 s and 2-5 s, cut at 2.5 s
    first = piece((1, 0.0, 1.5), (2, 1.5, 2.3), (3, 2.3, 3.0))
    second = piece((9, 2.0, 2.2), (3, 2.4, 2.8), (4, 2.8, 5.0))
    told = stitch(windows, [first, second])
    assert told.ids == [1, 2, 3, 4]
    assert told.spans_s == [(0.0, 1.5), (1.5, 2.4), (2.4, 2.8), (2.8, 5.0)] or all(
        a[1] <= b[0] + 1e-9 for a, b in zip(told.spans_s, told.spans_s[1:], strict=False)
    )


def test_neighbours_of_a_seam_do_not_overlap_or_repeat():
    windows = plan_windows(5 * RATE_HZ)
    first = piece((1, 0.0, 2.0), (7, 2.0, 2.9))
    second = piece((7, 2.4, 2.8), (5, 2.8, 5.0))
    told = stitch(windows, [first, second])
    assert told.ids == [1, 7, 5]
    assert told.spans_s[1] == (2.0, 2.9) or told.spans_s[1][1] == pytest.approx(2.85, abs=0.06)
    spans = told.spans_s
    assert all(a[0] <= a[1] for a in spans)


def test_a_long_token_at_a_seam_does_not_make_times_run_backwards():
    windows = plan_windows(5 * RATE_HZ)
    for token in (7, 9):  # another token, or the same one
        first = piece((1, 0.0, 1.9), (token, 1.9, 3.0))
        second = piece((5, 2.0, 2.4), (9, 2.4, 2.62), (6, 2.62, 2.7), (4, 2.7, 5.0))
        told = stitch(windows, [first, second])
        edges = [t for span in told.spans_s for t in span]
        assert edges == sorted(edges)


def test_a_window_that_says_nothing_leaves_no_hole_in_the_order():
    windows = plan_windows(7 * RATE_HZ)
    told = stitch(windows, [piece((1, 0.0, 3.0)), piece(), piece((2, 4.5, 7.0))])
    assert told.ids == [1, 2]
