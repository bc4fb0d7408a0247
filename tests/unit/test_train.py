"""The `train` command on recordings made by formula: all three stages, with words and phones, in a few steps."""

import json
from pathlib import Path

import pytest
import soundfile

import pairalign
from pairalign.cli import main
from tests.conftest import babble

SETTINGS = {
    "augmentation_batch": 2, "realization_batch": 2, "string_batch": 2, "max_s": 1.0, "validate_every": 100,
    "validation_segments": 2, "consensus_views": 2, "realization_share": 0.5, "autocast": "false", "threads": 1,
}  # fmt: skip


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """Eight recordings of two words by four speakers, one of whom is held out, and the phones of these words."""
    rows, words = ["path,split,speaker"], ["path,start_s,end_s,word"]
    for k in range(8):
        soundfile.write(tmp_path / f"{k}.wav", babble(1.2, seed=k), 16_000)
        rows.append(f"{k}.wav,{'dev' if k % 4 == 3 else 'train'},speaker{k % 4}")
        words += [f"{k}.wav,0.1,0.5,harbour", f"{k}.wav,0.6,1.0,garden"]
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    (tmp_path / "words.csv").write_text("\n".join(words))
    (tmp_path / "lexicon.txt").write_text("HARBOUR  HH AA B\nGARDEN  G AA D\n")
    overrides = [text for name, value in SETTINGS.items() for text in ("--set", f"{name}={value}")]
    data = [f"--{name}={tmp_path / file}" for name, file in (("manifest", "manifest.csv"), ("words", "words.csv"))]
    data.append(f"--lexicon={tmp_path / 'lexicon.txt'}")
    return [
        "train",
        *data,
        f"--out={tmp_path / 'run'}",
        "--preset=tiny",
        "--seed=2",
        "--device=cpu",
        "--json",
        *overrides,
    ]


def test_three_stages_lead_to_a_checkpoint_that_tokenizes(command: list[str], tmp_path: Path, capsys):
    assert main([*command, "--steps=2,1,1"]) == 0
    told = json.loads(capsys.readouterr().out)
    steps = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    seen = {stage: set().union(*(e for e in steps if e.get("stage") == stage)) for stage in (1, 2, 3)}
    assert {"frame_loss", "across_loss", "within_loss", "phone_loss"} <= seen[1], "both kinds of batches, and phones"
    assert "cross_entropy" in seen[2] and {"cross_entropy", "teacher_rate_hz", "rho"} <= seen[3]
    tokenizer = pairalign.load(told["checkpoint"], "cpu")
    assert tokenizer.model.config.phones == ("SIL", "AA", "B", "D", "G", "HH")
    assert len(tokenizer.tokenize(babble(1.0))) > 0
    assert main([*command, "--steps=2,1,1"]) == 2
    assert "already holds a run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--steps=1,2"], "three whole numbers"),
        (["--steps=0,0,0"], "nothing to train"),
        (["--max-minutes=0"], "positive number"),
        (["--checkpoint=base"], "--init base"),
        (["--set", "colour=3"], "--set colour=3"),
        (["--set", "teacher_targets=perhaps"], "teacher_targets is a bool"),
        (["--resume"], "nothing to resume"),
    ],
)
def test_mistakes_are_told_in_one_line(command: list[str], options: list[str], said: str, capsys):
    assert main([*command, *options]) == 2
    assert said in capsys.readouterr().err
