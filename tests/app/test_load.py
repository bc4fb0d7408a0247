"""A few clients at once get answers, and the benchmark counts them."""

from benchmarks.load import MIX, Tally, counted, measure


def test_clients_at_once_get_answers_and_no_errors(app_url):
    tally, elapsed_s = measure(app_url, clients=3, seconds=1.0)
    assert not tally.errors and elapsed_s >= 1
    told = counted(tally, elapsed_s, 3)
    assert told["ok"] >= 3 and set(told["calls"]) <= set(MIX)
    assert all(0 < call["p50_s"] <= call["p95_s"] <= call["longest_s"] for call in told["calls"].values())


def test_errors_are_told_with_their_message():
    tally = Tally({"tokenize": [1.0, 3.0]})
    tally.errors["views: something"] += 2
    told = counted(tally, 4.0, 2)
    assert told["errors"] == 2 and told["error_messages"] == {"views: something": 2} and told["calls_per_s"] == 0.5
