"""The comparison with other tokenizers, without those: they need transformers, which tests do without."""

import pytest

from benchmarks import peers, report


def test_a_tokenizer_is_measured_in_a_process_of_its_own(monkeypatch):
    monkeypatch.setattr(peers, "PEERS", {"PairAlign's VQ": peers.PEERS["PairAlign's VQ"]})
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: name)
    (found,) = peers.measure_peers(threads=1, rounds=2)
    assert found["parameters"] > 1e6 and found["weights_mb"] > 1 and found["codes"] == 512
    for size in (1, 8, 32):
        assert 5 < found[f"tokens_per_s_{size}"] <= 50
        assert 0 < found[f"p50_ms_{size}"] <= found[f"p95_ms_{size}"] and found[f"processor_ms_{size}"] > 0
        assert found[f"real_time_factor_{size}"] == pytest.approx(3000 * size / found[f"p50_ms_{size}"])
    assert 100 < found["peak_mb_1"] <= found["peak_mb_32"]
    head, _, row = peers.table([found]).splitlines()
    assert head.count("|") == row.count("|") and "PairAlign's VQ" in row


def test_without_transformers_one_line_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr("sys.argv", ["report"])
    assert report.main() == 2
    assert capsys.readouterr().err == "the other tokenizers are built from transformers: pip install transformers\n"
