"""Does fine-tuning on one speaker help that speaker, and what does it cost the others?

python -m scripts.finetune_experiment --manifest speech/manifest.csv --out runs/finetune --speakers 4 --minutes 10

For each of some held-out speakers (split "dev", those with most sound): `base` is fine-tuned on about three quarters of
the speaker's recordings, and before and after are measured on the speaker's other recordings and on those of other
held-out speakers, which training never heard. Everything is kept in --out: started again, it goes on where it stopped.
The last line tells, speaker by speaker, whether ned_pair falls at equal or better separation and whether the others
lose at most .02 of separation.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pairalign.checkpoint import atomic_write_bytes, atomic_write_json, own_checkpoints
from pairalign.device import pick_device
from pairalign.evaluation.protocols import make_trials, measure, tokenize_trials
from pairalign.home import checked_name, inside
from pairalign.tokenizer import Tokenizer, load
from pairalign.training.bank import AudioBank, load_bank
from pairalign.training.corpora import Utterance, read_manifest, write_manifest
from pairalign.training.finetune import finetune, new_run, runs_folder
from pairalign.training.finetune_settings import FinetuneSettings
from pairalign.training.status import Status

UNSEEN_SHARE = 0.25  # of the speaker's recordings, for the test
OTHERS = 300  # segments of other speakers
REPEATS = 10  # of the few unseen recordings: other stretches of them, other views
MEASURES = ("ned_pair", "ned_random", "separation", "tokens_per_s", "shift_50ms", "collapse_rate")
ALLOWED_COST = 0.02
SEED = 3


@dataclass(frozen=True)
class Trial:
    """One speaker: utterances (indices) to learn from, unseen ones, and those of everybody else."""

    speaker: str
    learn: list[int]
    unseen: list[int]
    others: list[int]


def choose(utterances: list[Utterance], bank: AudioBank, count: int) -> list[Trial]:
    """The held-out speakers with most sound. The unseen recordings are the last ones of each."""
    mine: dict[str, list[int]] = {}
    for i, utterance in enumerate(utterances):
        if utterance.split == "dev" and utterance.speaker and bank.durations_s[i] > 0.4:
            mine.setdefault(utterance.speaker, []).append(i)
    order = sorted(mine, key=lambda name: (-sum(bank.durations_s[i] for i in mine[name]), name))
    trials = []
    for speaker in order[:count]:
        items = mine[speaker]
        cut = len(items) - max(4, round(UNSEEN_SHARE * len(items)))
        others = [i for name in order if name != speaker for i in mine[name]]
        trials.append(Trial(speaker, items[:cut], items[cut:], others))
    return trials


def figures(tokenizer: Tokenizer, bank: AudioBank, items: list[int], repeats: int = 1) -> dict[str, float]:
    """The measures on segments of these recordings, one of each, under the training views; means of the repeats."""
    rounds = []
    for seed in range(SEED, SEED + repeats):
        trials = make_trials(bank, items, OTHERS, seed)
        found = measure(tokenize_trials(tokenizer, trials, "pairalign"), trials)
        rounds.append([found[name].value for name in MEASURES])
    return {name: float(mean) for name, mean in zip(MEASURES, np.mean(rounds, axis=0), strict=True)}


def run_speaker(args: argparse.Namespace, trial: Trial, bank: AudioBank, base: Tokenizer) -> dict:
    """Before, training, after; parts that an earlier start finished are read from the disk."""
    path = args.out / f"{_label(trial.speaker)}.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"speaker": trial.speaker}
    if "before" not in found:
        found["before"] = {
            "own": figures(base, bank, trial.unseen, REPEATS),
            "others": figures(base, bank, trial.others),
        }
        atomic_write_json(path, found)
    if "after" not in found:
        name = f"{args.tag}-{_label(trial.speaker)}"
        status = _train(args, name, trial, bank)
        if status.state != "done":
            return {**found, "state": status.state, "message": f"{status.message} {status.advice}"}
        tuned = load(own_checkpoints() / f"{name}.safetensors", device=args.device)
        found |= {"learned_s": float(sum(bank.durations_s[i] for i in trial.learn)), "steps": status.step}
        found["after"] = {
            "own": figures(tuned, bank, trial.unseen, REPEATS),
            "others": figures(tuned, bank, trial.others),
        }
        atomic_write_json(path, found)
    return found


def _train(args: argparse.Namespace, name: str, trial: Trial, bank: AudioBank) -> Status:
    folder = inside(runs_folder(), name)
    if not (folder / "settings.json").is_file():
        manifest = args.out / f"{name}.csv"
        learned = (bank.utterances[i] for i in trial.learn)
        rows = ((one.path.resolve(), one.speaker, one.transcript) for one in learned)
        write_manifest(manifest, ("path", "speaker", "transcript"), rows)
        new_run(
            FinetuneSettings(
                name=name,
                data=str(manifest.resolve()),
                init=args.init,
                minutes=args.minutes,
                learning_rate=args.learning_rate,
                view_strength=args.strength,
                batch=args.batch,
                keep_base=args.keep_base,
                device=args.device,
                overrides=tuple(args.set),
            )
        )
    return finetune(folder)


def _label(speaker: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in speaker)[:40]


def summary(results: list[dict]) -> str:
    """A Markdown table, a row per speaker, and whether the two conditions hold."""
    lines = [
        "| speaker | learned s | own ned_pair | own separation | others' separation | helps | cheap |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in results:
        if "after" not in one:
            lines.append(f"| {one['speaker']} | {one.get('state', '')}: {one.get('message', '')} | | | | | |")
            continue
        (a, b), (c, d) = ([one[when][whose] for when in ("before", "after")] for whose in ("own", "others"))
        helps = b["ned_pair"] < a["ned_pair"] and b["separation"] >= a["separation"]
        cheap = c["separation"] - d["separation"] <= ALLOWED_COST
        lines.append(
            f"| {one['speaker']} | {one['learned_s']:.0f} | {a['ned_pair']:.3f} → {b['ned_pair']:.3f} "
            f"| {a['separation']:.3f} → {b['separation']:.3f} | {c['separation']:.3f} → {d['separation']:.3f} "
            f"| {'yes' if helps else 'no'} | {'yes' if cheap else 'no'} |"
        )
    return "\n".join(lines)


def main() -> int:
    """0 done, 2 the user's mistake."""
    defaults = FinetuneSettings("name", "data")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument(
        "--out", type=Path, required=True, help="results, one JSON per speaker; started again it goes on"
    )
    parser.add_argument("--cache", type=Path, help="where decoded audio is kept")
    parser.add_argument("--tag", default="ft", help="names of runs and checkpoints begin with it")
    parser.add_argument("--init", default="base")
    parser.add_argument("--speakers", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--learning-rate", type=float, default=defaults.learning_rate)
    parser.add_argument("--strength", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=defaults.batch)
    parser.add_argument("--keep-base", type=float, default=0.0)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any field of TrainConfig")
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    try:
        checked_name(args.tag, "tag")
        args.device = pick_device(args.device)
        args.out.mkdir(parents=True, exist_ok=True)
        utterances = read_manifest(args.manifest)
        bank = load_bank(utterances, args.cache)
        base = load(args.init, device=args.device)
        results = []
        for trial in choose(utterances, bank, args.speakers):
            results.append(run_speaker(args, trial, bank, base))
            print(summary(results), file=sys.stderr)
            if results[-1].get("state") == "stopped":  # by a signal: it was not meant for this speaker alone
                return 0
    except (ValueError, OSError) as error:
        print(f"finetune_experiment: {error}", file=sys.stderr)
        return 2
    atomic_write_bytes(args.out / "summary.md", (summary(results) + "\n").encode())
    print(summary(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
