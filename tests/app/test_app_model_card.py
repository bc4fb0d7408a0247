"""The model card on the page: what it says, how large it is, and what it makes of a sidecar that may hold anything."""

import html
import json
import re

import pytest

from app.model_card import card_file, model_card_html
from app.result import ModelInfo
from pairalign.checkpoint import CHECKPOINT_DIR

MOST_BYTES = 8_000
NASTY = "<img src=x onerror=alert(1)>"


def shipped(name: str) -> ModelInfo:
    sidecar = json.loads((CHECKPOINT_DIR / f"{name}.json").read_text(encoding="utf-8"))
    return ModelInfo(name, sidecar["sha256"], "cpu", 1, sidecar["vocab_size"], sidecar)


def words(card_html: str) -> str:
    """What one reads, with one space wherever an element begins or ends."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", card_html)).split())


def card(**sidecar: object) -> str:
    return model_card_html(ModelInfo("own", "ab" * 32, "cpu", 1, 2, sidecar))


def fine_tuned(**changes: object) -> dict:
    """A sidecar as fine-tuning writes it."""
    entry = {"value": 0.4, "low": 0.3, "high": 0.5}
    before = {"ned_pair": entry, "separation": {"value": None, "low": None, "high": None}}
    after = {"ned_pair": {"value": 0.25, "low": 0.2, "high": 0.3}, "separation": before["separation"]}
    parent = shipped("base").sidecar
    return {
        "data": {
            "recordings": 12,
            "hours": 0.1,
            "speakers": 3,
            "word_times_used": False,
            "licences": "my class agreed",
            "before": parent["data"],
            "fine_tuned_on": {"recordings": 12, "clips": 12, "train_s": 90.0, "held_out_s": 30.0},
        },
        "recipe": {
            "kind": "fine-tuning; so VQ is that of the start",
            "steps": 300,
            "started_from": {"name": "base", "sha256": parent["sha256"]},
            "before": parent["recipe"],
        },
        "metrics": {"held_out_clips": 4, "before": before, "after": after},
        **changes,
    }


@pytest.mark.parametrize("name", ["base", "tiny"])
def test_the_card_of_a_shipped_checkpoint_is_compact_and_says_it_all(name):
    info = shipped(name)
    page = model_card_html(info)
    text = words(page)
    assert len(page.encode()) < MOST_BYTES
    for part in ("Use", "Figures", "Data", "Training", "Limits", "Citation", "arXiv 2605.06582", info.sha256):
        assert part in text
    value = info.sidecar["metrics"]["evaluation"]["methods"]["pairalign"]["separation"]
    low, high = info.sidecar["metrics"]["evaluation"]["intervals"]["pairalign"]["separation"]
    assert f"{value:.3f} [{low:.3f}, {high:.3f}]" in text
    assert text.count("CC BY 4.0, LibriVox") == 1 and text.count("speechocean762") == 1
    assert "3,471 recordings" in text and "before" not in text


def test_the_steps_are_those_of_all_runs():
    text = words(model_card_html(shipped("base")))
    full = (CHECKPOINT_DIR.parent / "docs" / "model-card.md").read_text(encoding="utf-8")
    steps = [
        int(part.split("stage ")[1].split()[1]) for part in full.split("Optimizer steps: ")[1].split(".")[0].split(", ")
    ]
    assert f"{sum(steps):,} optimizer steps" in text


def test_the_best_value_is_bold_whoever_has_it():
    page = model_card_html(shipped("base"))
    methods = shipped("base").sidecar["metrics"]["evaluation"]["methods"]
    columns = ("pairalign", "viterbi", "viterbi_cost", "vq")
    for measure, best in (("separation", max), ("recall_1", max), ("r2_map", max), ("sweep_excess", min)):
        assert f"<b>{best(methods[name][measure] for name in columns):.3f} " in page
    assert f"<b>{methods['vq']['tokens_per_s']:.3f}" not in page, "more tokens are neither better nor worse"


def test_a_fine_tuned_checkpoint_shows_before_and_after_its_parent_and_whose_data():
    text = words(card(**fine_tuned()))
    assert "0.400 [0.300, 0.500] 0.250 [0.200, 0.300]" in text
    for part in (
        "12 recordings",
        "1.5 minutes learned from",
        "my class agreed",
        "Started from base",
        "4 held-out clips",
    ):
        assert part in text
    assert shipped("base").sha256 in text and "speechocean762" in text
    assert "so VQ is" in text


def test_a_measure_that_cannot_be_had_is_a_dash_with_a_reason():
    text = words(card(**fine_tuned()))
    assert "Separation, the second less the first (higher is better) – –" in text
    assert "clips that say different things" in text and "the same words by several speakers" in text
    given = fine_tuned()
    given["metrics"]["after"]["separation"] = {"value": None, "reason": "every clip says the same word"}
    assert "every clip says the same word" in words(card(**given))
    assert "word times" in words(model_card_html(shipped("tiny")))


def test_a_training_run_without_an_evaluation_shows_its_validation():
    text = words(card(metrics={"validation": {"ned_pair": 0.3123, "vq_ned_pair": 0.4}}, recipe={"steps": 4000}))
    assert "0.312 0.400" in text and "without intervals" in text and "4,000 optimizer steps" in text


def test_a_checkpoint_without_a_description_says_so():
    for sidecar in ({}, {"data": {}, "recipe": {}, "metrics": {}}, {"data": None, "recipe": None, "metrics": None}):
        text = words(card(**sidecar))
        assert "without a model card" in text and "ab" * 32 in text


ANYTHING = [
    {"data": ["corpus A, CC BY 4.0", 3], "recipe": 7, "metrics": []},
    {"data": NASTY, "recipe": {"kind": NASTY, "steps": "many", "started_from": NASTY}, "metrics": {"before": 1}},
    {"data": {"hours": float("nan"), "hours_by_corpus": [NASTY], "speakers": 10**400}},
    {"data": {"hours": 1, "hours_by_corpus": {NASTY: "x"} | {f"c{i}": 1 for i in range(5_000)}}},
    {"data": {"licences": f"|{NASTY}|\n|-|\n|x|y|"}, "metrics": {"before": 1, "after": 2}},
    {"data": {"licences": "a " * 50_000}},
    {"data": {"licences": "| a | b |\n" * 50_000}, "recipe": {"kind": "k" * 50_000, "steps": True}},
    {"metrics": {"evaluation": {"methods": {"pairalign": NASTY, "vq": {"separation": NASTY}}, "intervals": [1]}}},
    {"metrics": {"evaluation": {"methods": {"vq": {"separation": 1}}, "intervals": {"vq": {"separation": [1]}}}}},
    {"metrics": {"before": {"ned_pair": NASTY}, "after": {"ned_pair": {"value": NASTY, "reason": NASTY}}}},
    {"metrics": {"validation": {"ned_pair": [1] * 5_000, "vq_ned_pair": NASTY}, "command": NASTY}},
]


@pytest.mark.parametrize("sidecar", ANYTHING)
def test_whatever_a_sidecar_holds_the_card_is_small_and_safe(sidecar):
    page = card(**sidecar)
    assert len(page.encode()) < MOST_BYTES and "<img" not in page and "Limits" in page


def test_a_chain_of_runs_without_an_end_has_one():
    run: dict = {"steps": 1, "hours": 1}
    run["before"] = run
    assert "20 optimizer steps in 20 runs" in words(card(recipe=run, data=run))


def test_the_whole_description_can_be_saved():
    info = shipped("base")
    name, content = card_file(info, "json")
    assert name == "base.json" and json.loads(content) == info.sidecar
    name, content = card_file(info, "markdown")
    assert name == "base-model-card.md" and content.startswith("# Model card: `base`")
    assert 'data-card="markdown"' in model_card_html(info)


def test_the_full_card_is_offered_for_the_weights_it_is_about_only():
    other = ModelInfo("base", "ab" * 32, "cpu", 1, 2, {})
    assert 'data-card="markdown"' not in model_card_html(other) and 'data-card="json"' in model_card_html(other)
    with pytest.raises(ValueError, match="no full card"):
        card_file(other, "markdown")
