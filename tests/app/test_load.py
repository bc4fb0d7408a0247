"""A few clients at once get answers, and the benchmark counts them."""

from benchmarks.load import MIX, Tally, counted, measure


def test_clients_at_once_get_answers_and_no_errors(app_url):
    tally = measure(app_url, clients=3, seconds=1.5)
    assert not tally.errors
    told = counted(tally, 3, 2.0)
    assert told["ok"] >= 3 and set(told["calls"]) <= set(MIX)
    assert all(0 < call["p50_s"] <= call["p95_s"] <= call["longest_s"] for call in told["calls"].values())


def test_errors_are_told_with_their_message():
    tally = Tally({"tokenize": [1.0, 3.0]})
    tally.errors["views: something"] += 2
    told = counted(tally, 2, 4.0)
    assert told["errors"] == 2 and told["error_messages"] == {"views: something": 2} and told["calls_per_s"] == 0.5
