"""What cannot be measured is null in JSON, a dash in tables, and has a reason; nothing is made up or breaks."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pairalign.evaluation import metrics, page, protocols, report
from pairalign.evaluation.glossary import GROUPS, why_missing
from pairalign.training import before_after, data, monitor, result
from pairalign.training.data import Utterance, Word
from pairalign.training.finetune_settings import FinetuneSettings
from pairalign.training.status import Status
from pairalign.training.watch import Watch
from tests.conftest import babble

UNRELATED = {"separation", "separation_auc", "ned_random", "condition_gain", "recall_1", "mrr"}


@pytest.fixture(scope="module")
def one_sentence(tmp_path_factory: pytest.TempPathFactory) -> data.AudioBank:
    """Four speakers say the same, in a second each; the fourth recording is a copy of the third without transcript."""
    folder = tmp_path_factory.mktemp("one-sentence")
    for k in range(3):
        soundfile.write(folder / f"{k}.wav", babble(1.0, seed=k), 16_000)
    shutil.copy(folder / "2.wav", folder / "3.wav")
    said = [Utterance(folder / f"{k}.wav", "dev", f"s{k}", None, "The same." if k < 3 else "") for k in range(4)]
    return data.load_bank(said)


def test_a_copy_is_related_to_what_it_is_a_copy_of_alone(one_sentence: data.AudioBank):
    related = one_sentence.related(range(4))
    assert related[:3, :3].all() and related[2, 3] and not related[0, 3]


@pytest.fixture(scope="module")
def found(one_sentence: data.AudioBank, tiny_tokenizer) -> report.Report:
    same = data.AudioBank(one_sentence.utterances[:3], one_sentence.samples, one_sentence.offsets[:4])
    words = [Word(k, 0.1, 0.5, "same") for k in range(2)]
    return report.evaluate(
        tiny_tokenizer, same.utterances, same, limit=4, baselines=("vq", "random"), words=words, sweep=4
    )


def test_a_corpus_of_one_short_sentence_is_measured_as_far_as_it_can_be(found: report.Report, tmp_path: Path):
    values = found["methods"]["pairalign"]
    expected = {*UNRELATED, "shift_50ms", "r2_map", "sweep_d_100", "sweep_roughness", "delay_error_ms"}
    assert expected <= {name for name, value in values.items() if value is None} == set(found["reasons"])
    assert values["ned_pair"] is not None and values["tokens_per_s"] > 0
    assert not set(found["reasons"]) & set(found["intervals"]["pairalign"])
    json.dumps(found, allow_nan=False)
    table = report.format_table(found)
    assert "| separation | – | – | – |" in table
    page.write_report(found, tmp_path)
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["methods"]["pairalign"]["separation"] is None and told["reasons"]["separation"]
    html, markdown = ((tmp_path / name).read_text() for name in ("report.html", "report.md"))
    for name in expected:
        reason = why_missing(name)
        assert f"– {name}: {reason}." in table and f"–: {reason}" in html and f"–: {reason}" in markdown


def test_every_measure_that_may_be_missing_has_a_reason_of_its_own():
    general = why_missing("something new")
    always = set(
        "tokens_per_s bits_per_s archive_tokens eos_rate vocab_used vocab_perplexity collapse_rate ned_pair jaccard_1 "
        "lcs exact_match length_deviation".split()
    )
    names = {name for group in GROUPS.values() for name in group} | {"same_words", "other_words"}
    assert {name for name in names if why_missing(name) == general} == always


def test_one_value_has_no_interval_and_none_has_no_value():
    one, nothing = metrics.bootstrap_mean([0.4]), metrics.bootstrap_mean([math.nan])
    assert one.value == 0.4 and math.isnan(one.low) and math.isnan(one.high) and math.isnan(nothing.value)
    assert before_after.to_json({"ned_pair": one})["ned_pair"] == {"value": 0.4, "low": None, "high": None}
    told = before_after.to_json({"separation": nothing})["separation"]
    assert told["value"] is None and "nothing unrelated" in told["reason"]


def test_empty_and_single_token_strings():
    assert np.isnan(metrics.ued([()], [(1,)])[0]) and metrics.ued([()], [()])[0] == 0
    assert np.isnan(metrics.jaccard([(1,)], [(2,)], 2)[0]) and metrics.jaccard([(1,)], [(1,)], 2)[0] == 1
    assert metrics.vocab_perplexity([(), ()]) == 0 and metrics.length_deviation([()], [()])[0] == 0
    assert math.isnan(metrics.archive_token_reduction([(1,)], [()]).value)


def test_a_segment_without_others_is_not_found_among_itself():
    trials = protocols.Trials([], [], [], [], [], [], [], np.ones((3, 3), dtype=bool), np.ones(3, dtype=bool))
    assert math.isnan(protocols.rank_segments(np.zeros((3, 3)), trials)["recall_1"].value)
    trials = replace(trials, related=np.eye(3, dtype=bool))
    assert protocols.rank_segments(1.0 - np.eye(3), trials)["recall_1"].value == 1.0


def test_validation_compares_with_what_says_something_else():
    strings = [[1, 2], [3, 4], [1, 2], [5, 6]]
    by_two = np.array([[k % 2 == j % 2 for j in range(4)] for k in range(4)])
    for related, expected in ((by_two, 1.0), (np.eye(4, dtype=bool), 10 / 12), (np.ones((4, 4), dtype=bool), math.nan)):
        assert monitor.unrelated_distance(strings, strings, related) == pytest.approx(expected, nan_ok=True)


def test_a_log_holds_null_where_nothing_was_measured(tmp_path: Path):
    monitor.Log(tmp_path / "log.jsonl", 0).write(event="validation", step=0, separation=math.nan, loss=math.inf)
    assert json.loads((tmp_path / "log.jsonl").read_text()) == {
        "event": "validation", "step": 0, "separation": None, "loss": None,
    }  # fmt: skip
    watch = Watch(lambda **changes: None, lambda: False, 100, True, 0.9)
    assert [watch.judge({"separation": None, "step": k}) for k in range(3)] == ["", "", ""]


def test_a_verdict_without_separation_claims_nothing():
    figure = {"ned_pair": {"value": 0.3}, "separation": {"value": None, "reason": "all say the same"}}
    told = {"before": figure, "after": figure, "data": {"held_out": 9}}
    message, advice = result.verdict(told, FinetuneSettings("mine", "data"), 5, Status("done", elapsed_s=60))
    assert "cannot be measured (–): all say the same." in message and "not better" not in message and "mine" in advice
    assert result.unmeasured(told) == [
        "Not measured (–): Separation, the second less the first. Reason: all say the same."
    ]
