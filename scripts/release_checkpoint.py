"""Ship a trained checkpoint: python -m scripts.release_checkpoint RUN/best.safetensors REPORT.json --name base

Copies the weights to checkpoints/NAME.safetensors, puts the report of `python -m pairalign evaluate --json` into the
description beside them, and, for `base`, writes the model card docs/model-card.md from that description. Every figure
in the card comes from the report; the card says which command made it. Baselines lie beside the weights, under the same
sha256: `pairalign.evaluation.fit_baselines` comes before the evaluation.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from pairalign.checkpoint import CHECKPOINT_DIR, CheckpointError, atomic_write_bytes, read_checkpoint, save_checkpoint
from pairalign.evaluation.baselines import BASELINES
from pairalign.evaluation.report import format_table

CARD = Path(__file__).resolve().parent.parent / "docs" / "model-card.md"
CARD_OF = "base"


def release(weights_path: Path, report_path: Path, name: str) -> Path:
    """Write checkpoints/NAME.* and the card; the report must be of these very weights."""
    weights, sidecar = read_checkpoint(weights_path)
    report = json.loads(report_path.read_text(encoding="utf-8"))
    if report["data"]["model_sha256"] != sidecar["sha256"]:
        raise CheckpointError(f"{report_path.name} was measured on other weights than {weights_path.name}")
    report["data"].pop("manifest", None)  # a path of the machine it was measured on
    command = command_of(report, name)
    sidecar = {**sidecar, "name": name, "metrics": {**sidecar["metrics"], "command": command, "evaluation": report}}
    path, card = CHECKPOINT_DIR / f"{name}.safetensors", model_card(sidecar)
    save_checkpoint(path, weights, sidecar)
    if name == CARD_OF:
        atomic_write_bytes(CARD, card.encode())
    return path


def command_of(report: dict, name: str) -> str:
    """The command that makes this report."""
    data = report["data"]
    words = " --words speech/words.csv" if "word_search" in data else ""
    others = [method for method in report["methods"] if method != "pairalign"]
    told = "" if others == list(BASELINES) else f" --baselines {','.join(others) or 'none'}"
    return (
        f"python -m pairalign evaluate --checkpoint {name} --manifest speech/manifest.csv{words} "
        f"--split {data['split']} --limit {data['segments']} --sweep {data['sweep_segments']}{told} --json"
    )


def model_card(sidecar: dict) -> str:
    """The model card as Markdown."""
    data, metrics = sidecar["data"], sidecar["metrics"]
    hours = ", ".join(f"{corpus} {h:.2f} h" for corpus, h in data["hours_by_corpus"].items())
    return "\n".join(
        [
            f"# Model card: `{sidecar['name']}`",
            "",
            "Turns 16 kHz speech into a string of discrete tokens (PairAlign, arXiv 2605.06582). For exploring and",
            "teaching, for search by edit distance, and as a start for fine-tuning. It is not a speech recogniser, and",
            "strings of different checkpoints mean different things.",
            "",
            "## Data",
            "",
            f"{data['recordings']} recordings, {data['hours']:.2f} h ({hours}), {data['speakers']} named speakers.",
            supervision(data, sidecar["recipe"]),
            "",
            data["licences"].strip(),
            "",
            "## Recipe",
            "",
            _stages(sidecar["recipe"]),
            "",
            "```json",
            json.dumps({"architecture": sidecar["architecture"], "recipe": sidecar["recipe"]}, indent=1),
            "```",
            "",
            "## Figures",
            "",
            f"Held-out speakers. `{metrics['command']}`",
            "",
            format_table(metrics["evaluation"]),
            "",
            "`pairalign`: generated strings. `vq`: nearest code of each frame, repeats collapsed; `vq_raw`: all.",
            "`viterbi`: the same codes smoothed by a switch penalty; `viterbi_cost`: with rare codes dearer too, as",
            "in the decoder's targets. `bpe`: VQ, frequent neighbours merged. `mfcc`: clusters of MFCC frames.",
            "`mfcc_dtw`, `encoder_dtw`: no strings, recordings are compared frame by frame. `random`: strings without",
            "meaning, the floor.",
            _fitted(sidecar["recipe"]),
            "",
            "The checkpoint, the beam and the weights of evidence were chosen on this same split, so the figures",
            "are a little optimistic.",
            "",
            "## Limits",
            "",
            "Trained on a few hours of English, much of it read by Mandarin speakers and children. Other languages,",
            "music, far-field speech and strong noise are out of its domain. Silence and steady noise get no tokens.",
            "",
        ]
    )


def _stages(recipe: dict) -> str:
    """Which stages were trained, over all runs of the recipe."""
    steps, run = [0, 0, 0], recipe
    while run:
        config = run["config"]
        planned = [config[f"stage{k}_steps"] for k in (1, 2, 3)]
        done = run["steps"]
        for k in range(3):
            steps[k] += min(planned[k], done)
            done -= min(planned[k], done)
        run = run.get("before")
    told = f"Optimizer steps: stage I {steps[0]}, stage II {steps[1]}, stage III {steps[2]}."
    return (
        told if steps[2] else told + " No self-training (stage III): two tries lowered separation, see training-log.md."
    )


def _fitted(recipe: dict) -> str:
    """To what rate `viterbi` and `bpe` were brought, and on what."""
    found = recipe.get("baselines")
    if found is None:
        return "`viterbi` has the switch penalty of training."
    return (
        f"On training segments `viterbi` (penalty {found['viterbi_penalty']:.2f}), `viterbi_cost` and `bpe` "
        f"({found['bpe_merges']} merges) were fitted to the {found['rate_hz']:.2f} tokens/s that `pairalign` has there."
    )


def supervision(data: dict, recipe: dict) -> str:
    """The labels that this run and those before it learned from, by their recipes, as a paragraph."""
    words, phones = False, set()
    while data and recipe:
        steps = [recipe["config"][f"stage{k}_steps"] for k in (1, 2, 3)]
        words |= bool(data.get("word_times_used") and steps[0] and recipe["config"]["realization_share"])
        if data.get("lexicon_used"):
            where = ("for the encoder (stage I)", "for the decoder's targets (stage II)")
            phones |= {part for part, count in zip(where, steps, strict=False) if count}
        data, recipe = data.get("before"), recipe.get("before")
    told = ["Weak supervision: word times made from transcripts (the same word by two speakers, stage I)."] * words
    if phones:
        told.append(
            "Weak supervision: the phones that a pronouncing lexicon (CMUdict) has for the words, at the times of the "
            f"words, {' and '.join(sorted(phones, reverse=True))}."
        )
    return " ".join([*told, "No other labels."])


def main() -> int:
    """0 done, 2 the user's mistake."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("report", type=Path)
    parser.add_argument("--name", default="base")
    args = parser.parse_args()
    try:
        print(release(args.weights, args.report, args.name))
    except (ValueError, OSError, KeyError, TypeError) as error:
        print(f"release_checkpoint: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
