"""The strings that the start of a fine-tuning run writes itself, for its decoder to learn."""

from pathlib import Path

import numpy as np
import soundfile

from pairalign.model.loading import load_model
from pairalign.training import clips, finetune, own_strings
from pairalign.training.bank import load_bank
from pairalign.training.bridge import BRIDGE_FILE
from pairalign.training.config import TrainConfig
from pairalign.training.corpora import read_manifest
from pairalign.training.finetune_settings import FinetuneSettings
from pairalign.training.own_strings import make_own_bridge, said_by_several
from pairalign.training.run import Run
from tests.conftest import babble


def _run(folder: Path, init: Path, **changes: object) -> Run:
    bank = load_bank(read_manifest(folder))
    model, _ = load_model(init)
    config = TrainConfig(**{"preset": "tiny", "consensus_views": 3, "targets": "own", **changes})
    return Run(config, model, model, bank, list(range(len(bank.utterances))), None)


def test_own_strings_are_what_the_start_writes(recordings: Path, tmp_path: Path, tiny_checkpoint: Path, tiny_tokenizer):
    clips.make_clips(recordings, tmp_path / "clips")
    run = _run(tmp_path / "clips", tiny_checkpoint, consensus_views=1)
    bridge = make_own_bridge(run, tiny_tokenizer)
    for item in run.items:
        string = tiny_tokenizer.tokenize(run.bank.wave(item))
        assert tuple(bridge.ids[item]) == string.ids
        assert bridge.edges[item][0] == round(50 * string.spans_s[0][0])
        assert len(bridge.edges[item]) == len(string.ids) + 1


def test_speakers_of_the_same_words_share_a_string(tmp_path: Path, tiny_checkpoint: Path, tiny_tokenizer):
    rows = ["path,speaker,transcript"]
    for k, speaker in enumerate(("ann", "ben", "cem", "ann")):
        soundfile.write(tmp_path / f"{k}.wav", babble(1.5 + 0.2 * k, seed=k), 16_000)
        rows.append(f"{k}.wav,{speaker},{'harbour' if k < 3 else 'garden'}")
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    run = _run(tmp_path, tiny_checkpoint)
    assert said_by_several(run.bank, run.items) == [[0, 1, 2]]
    bridge = make_own_bridge(run, tiny_tokenizer)
    assert tuple(bridge.ids[0]) == tuple(bridge.ids[1]) == tuple(bridge.ids[2])
    for item in range(3):
        edges = bridge.edges[item]
        assert (np.diff(edges) >= 0).all() and edges[-1] <= 50 * run.bank.durations_s[item] + 1
    apart = make_own_bridge(_run(tmp_path, tiny_checkpoint, share_words=False), tiny_tokenizer)
    assert len({tuple(apart.ids[item]) for item in range(3)}) > 1


def test_stop_is_noticed_while_the_strings_to_learn_are_written(
    recordings: Path, tiny_checkpoint: Path, tmp_path: Path, monkeypatch
):
    monkeypatch.setenv("PAIRALIGN_HOME", str(tmp_path / "home"))
    chosen = FinetuneSettings("stops", str(recordings), init=str(tiny_checkpoint), device="cpu", batch=2)
    folder = finetune.new_run(chosen)
    write = own_strings._write

    def write_and_ask(*given: object) -> list:
        (folder / "stop").touch()
        return write(*given)

    monkeypatch.setattr(own_strings, "GROUP", 2)
    monkeypatch.setattr(own_strings, "_write", write_and_ask)
    assert finetune.finetune(folder).state == "stopped"
    assert not (folder / BRIDGE_FILE).exists()
