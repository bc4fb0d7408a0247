"""The command that a description names for its figures."""

from scripts.release_checkpoint import command_of

DATA = {"split": "dev", "segments": 100, "sweep_segments": 10}


def test_the_command_names_what_the_report_holds_and_no_more():
    few = {"data": DATA, "methods": {"pairalign": {}, "vq": {}, "random": {}}}
    assert command_of(few, "mine") == (
        "python -m pairalign evaluate --checkpoint mine --manifest speech/manifest.csv --split dev "
        "--limit 100 --sweep 10 --baselines vq,random --json"
    )
    alone = {"data": {**DATA, "word_search": {"queries": 3}}, "methods": {"pairalign": {}}}
    assert "--words speech/words.csv" in command_of(alone, "mine") and "--baselines none" in command_of(alone, "mine")
