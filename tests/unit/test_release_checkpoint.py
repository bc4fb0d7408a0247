"""What a description says of a checkpoint: the command of its figures, and the labels it learned from."""

import pytest

from pairalign.checkpoint import read_sidecar
from pairalign.training.config import TrainConfig
from pairalign.training.job import labels_used
from scripts.release_checkpoint import CARD, command_of, model_card, supervision

DATA = {"split": "dev", "segments": 100, "sweep_segments": 10}


def test_the_command_names_what_the_report_holds_and_no_more():
    few = {"data": DATA, "methods": {"pairalign": {}, "vq": {}, "random": {}}}
    assert command_of(few, "mine") == (
        "python -m pairalign evaluate --checkpoint mine --manifest speech/manifest.csv --split dev "
        "--limit 100 --sweep 10 --baselines vq,random --json"
    )
    alone = {"data": {**DATA, "word_search": {"queries": 3}}, "methods": {"pairalign": {}}}
    assert "--words speech/words.csv" in command_of(alone, "mine") and "--baselines none" in command_of(alone, "mine")


@pytest.mark.parametrize(
    ("recipe", "pairs", "phones", "words_used", "lexicon_used"),
    [
        ({}, True, False, True, False),
        ({"realization_share": 0}, True, False, False, False),
        ({"stage1_steps": 0}, True, False, False, False),
        ({"stage1_steps": 0}, True, True, True, True),  # phones lie where word times say the words are
        ({"stage1_steps": 0, "phone_pull": 0}, True, True, False, False),
        ({"stage1_steps": 0, "stage2_steps": 0, "targets": "own"}, True, True, False, False),
        ({"realization_share": 0, "stage2_steps": 0, "stage3_steps": 0}, True, True, True, True),
        ({}, False, False, False, False),
    ],
)
def test_the_labels_used_follow_from_the_recipe(recipe, pairs, phones, words_used, lexicon_used):
    found = labels_used(TrainConfig(**recipe), pairs, phones)
    assert found == {"word_times_used": words_used, "lexicon_used": lexicon_used}


def test_the_card_says_what_this_run_or_an_earlier_one_learned_from():
    def run(steps: tuple[int, int], before: dict | None = None) -> dict:
        config = TrainConfig(stage1_steps=steps[0], stage2_steps=steps[1], stage3_steps=0).to_dict()
        return {"config": config, "before": before}

    words = {"word_times_used": True, "lexicon_used": False, "before": None}
    told = supervision({"word_times_used": True, "lexicon_used": True, "before": words}, run((0, 9), run((9, 0))))
    assert "stage I)." in told and "targets (stage II)" in told and "encoder" not in told
    assert supervision(words, run((0, 9))) == supervision({"before": None}, run((9, 9))) == "No other labels."


@pytest.mark.parametrize("name", ["base", "tiny"])
def test_a_shipped_description_agrees_with_its_recipe(name: str):
    sidecar = read_sidecar(name)
    data, recipe = sidecar["data"], sidecar["recipe"]
    while data:
        labels = labels_used(TrainConfig(**recipe["config"]), True, data["lexicon_used"])
        assert data["lexicon_used"] == labels["lexicon_used"] and data["word_times_used"] >= labels["word_times_used"]
        data, recipe = data["before"], recipe["before"]
    assert name != "base" or CARD.read_text(encoding="utf-8") == model_card(sidecar)
