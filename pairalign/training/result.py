"""The result of fine-tuning: a checkpoint among one's own, with its figures, a model card and a verdict in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from pairalign.checkpoint import own_checkpoints, read_checkpoint, read_sidecar, save_checkpoint
from pairalign.evaluation.glossary import why_missing
from pairalign.training.bridge import BRIDGE_FILE
from pairalign.training.finetune_settings import FinetuneSettings
from pairalign.training.monitor import LOG_FILE, first_validation
from pairalign.training.state import STATE_FILE
from pairalign.training.status import RESERVE_FILE, Status
from pairalign.training.watch import SURE_CLIPS

RESULT_FILE = "result.safetensors"
TOLD = {
    "ned_pair": "Distance between two views of a clip (lower is better)",
    "ned_random": "Distance between unrelated clips (should stay high)",
    "separation": "Separation, the second less the first (higher is better)",
    "shift_50ms": "Change when the clip starts 50 ms later (lower is better)",
    "tokens_per_s": "Tokens per second",
    "length_deviation": "Difference in length of two views' strings (lower is better)",
    "condition_gain": "How much the audio says of the string, nat per token (above 0.5)",
    "vocab_used": "Different tokens used",
    "collapse_rate": "Share of strings that say too little (0 is right)",
    "recall_1": "A disturbed clip finds itself first (higher is better)",
    "same_words": "Distance between speakers, same words (lower is better)",
    "other_words": "Distance between speakers, other words (should stay high)",
}


def chosen_weights(folder: Path, diverged: bool = False) -> tuple[Path | None, int]:
    """The run's checkpoint to publish and its step; (None, 0) where there is none to use.

    The last one, averaged over the last steps, unless it is worse on the held-out clips than the start was; then the
    best of the validations. The best of many looks better than it is: on a few clips the validations differ by chance,
    and on recordings that played no part in the choice the last weights were the better ones (docs/training-log.md).
    """
    best, latest = (folder / f"{name}.safetensors" for name in ("best", "latest"))
    sidecars = {path: read_sidecar(path) for path in (best, latest) if path.is_file()}
    steps = {path: int(sidecar["recipe"]["steps"]) for path, sidecar in sidecars.items()}
    found = [path for path in (latest, best) if steps.get(path, 0) > 0 and not (diverged and path == latest)]
    start = first_validation(folder / LOG_FILE).get("separation")
    last = sidecars[latest]["metrics"]["validation"].get("separation") if found[:1] == [latest] else None
    if start is not None and last is not None and last < start:  # neither is known where all clips say the same
        found.reverse()
    return (found[0], steps[found[0]]) if found else (None, 0)


def mix(chosen: Path, settings: FinetuneSettings, folder: Path) -> Path:
    """The weights to publish, in the run folder: those chosen, mixed with the start's, and the start's baselines."""
    start, _ = read_checkpoint(settings.init)
    learned, sidecar = read_checkpoint(chosen)
    share = settings.keep_base
    for name, weight in learned.items():
        if share and weight.is_floating_point():
            learned[name] = torch.lerp(weight, start[name].to(weight.dtype), share)
    path = folder / RESULT_FILE
    save_checkpoint(path, {**start, **learned}, {**sidecar, "name": settings.name})
    return path


def publish(mixed: Path, settings: FinetuneSettings, report: dict[str, Any], step: int) -> Path:
    """Write the checkpoint NAME among one's own, replacing one that this run made before."""
    weights, sidecar = read_checkpoint(mixed)
    start = read_sidecar(settings.init)
    data = {
        **sidecar["data"],
        "licences": settings.licence.strip() or "not stated",
        "fine_tuned_on": {key: report["data"][key] for key in ("recordings", "clips", "train_s", "held_out_s")},
    }
    recipe = {
        **sidecar["recipe"],
        "steps": step,
        "kind": "fine-tuning; encoder and codebook frozen, so VQ and the fitted baselines are those of the start",
        "started_from": {"name": start["name"], "sha256": start["sha256"]},
        "keep_base": settings.keep_base,
    }
    metrics = {"held_out_clips": report["data"]["held_out"], "before": report["before"], "after": report["after"]}
    path = own_checkpoints() / f"{settings.name}.safetensors"
    save_checkpoint(
        path, weights, {**sidecar, "name": settings.name, "data": data, "recipe": recipe, "metrics": metrics}
    )
    return path


def tidy(folder: Path) -> None:
    """Remove what only an unfinished run needs; the result is among the checkpoints."""
    for name in ("best", "latest", Path(RESULT_FILE).stem):
        for ending in (".safetensors", ".json"):
            (folder / f"{name}{ending}").unlink(missing_ok=True)
    for name in (STATE_FILE, BRIDGE_FILE, RESERVE_FILE):
        (folder / name).unlink(missing_ok=True)


def verdict(report: dict[str, Any], settings: FinetuneSettings, step: int, status: Status) -> tuple[str, str]:
    """What happened in words, and what to do next."""
    pair, apart = ([report[when][name]["value"] for when in ("before", "after")] for name in ("ned_pair", "separation"))
    told = f"Two views of a held-out clip now differ in {_percent(pair[1])} of their tokens, "
    told += f"before in {_percent(pair[0])}; "
    known = None not in (*pair, *apart)
    told += f"separation is {_number(apart[1])}, before {_number(apart[0])}." if known else _unknown(report)
    clips = report["data"]["held_out"]
    if clips < SURE_CLIPS:
        told += f" That is measured on {clips} clips only and may be chance: try it on other recordings."
    trained = f"Trained for {status.elapsed_s / 60:.1f} minutes; the weights of step {step} were kept."
    if not known:
        return f"{trained} {told}", f"Choose {settings.name} as the checkpoint and try it on other recordings."
    if apart[1] >= apart[0] and pair[1] < pair[0]:
        return f"{trained} {told}", f"Choose {settings.name} as the checkpoint to use it in all tabs."
    return (
        f"{trained} It is not better than {Path(settings.init).stem} on the held-out clips. {told}",
        "More recordings help most; then a lower learning rate or more minutes.",
    )


def card_text(sidecar: dict[str, Any]) -> str:
    """The model card of a fine-tuned checkpoint as Markdown."""
    data, recipe, metrics = sidecar["data"], sidecar["recipe"], sidecar["metrics"]
    start, used = recipe["started_from"], data["fine_tuned_on"]
    rows = [
        f"| {TOLD.get(name, name)} | {_number(metrics['before'][name]['value'])} | {_number(after['value'])} |"
        for name, after in metrics["after"].items()
        if name in metrics["before"]
    ]
    return "\n".join(
        [
            f"# Model card: `{sidecar['name']}`",
            "",
            f"Fine-tuned from `{start['name']}` (sha256 `{start['sha256']}`). Strings of the two cannot be compared",
            "with one another.",
            "",
            "## Data",
            "",
            f"{used['recordings']} recordings, {used['train_s'] / 60:.1f} minutes learned from and "
            f"{used['held_out_s'] / 60:.1f} minutes held out, {data['speakers']} named speakers.",
            f"Licence or consent, as the person who trained it says: {data['licences']}",
            "",
            "## Figures",
            "",
            f"On {metrics['held_out_clips']} held-out clips, under two strong views; no others were measured.",
            "",
            "| measure | before | after |",
            "|---|---|---|",
            *rows,
            "",
            *(f"- {line}" for line in unmeasured(metrics)),
            "",
            "## Recipe",
            "",
            f"{recipe['kind']}.",
            "",
            "```json",
            json.dumps({"steps": recipe["steps"], "minutes": recipe["minutes"], "config": recipe["config"]}, indent=1),
            "```",
            "",
        ]
    )


def unmeasured(report: dict[str, Any]) -> list[str]:
    """A line for each reason why measures of before or after could not be had, with their names."""
    names: dict[str, list[str]] = {}
    for name, one in {**(report.get("before") or {}), **(report.get("after") or {})}.items():
        if one.get("value") is None:
            names.setdefault(one.get("reason") or why_missing(name), []).append(TOLD.get(name, name).split(" (")[0])
    return [f"Not measured (–): {'; '.join(found)}. Reason: {reason}." for reason, found in names.items()]


def _unknown(report: dict[str, Any]) -> str:
    reasons = (report[when]["separation"].get("reason") for when in ("before", "after"))
    reason = next(filter(None, reasons), why_missing("separation"))
    return f"whether other speech stays apart cannot be measured (–): {reason}."


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"
