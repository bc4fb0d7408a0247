"""The figures of a checkpoint's sidecar as tables with intervals: at release, of fine-tuning, or of a validation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from app.methods import LOOKS
from app.tables import estimate_cell, table
from app.untrusted import count, mapping, number, text
from pairalign.evaluation.metrics import Estimate
from pairalign.training.result import TOLD as FINE_TUNING_LABELS

DIGITS = 3
HELD_OUT = (
    "Their speakers are not in the training data; choices were made on them, so the figures are a little optimistic. "
)
# measures of the table: label, and whether more or less of it is better
MEASURES = {
    "tokens_per_s": ("Tokens per second", ""),
    "separation": ("Distance of unrelated speech less that of two views of one recording", "higher"),
    "recall_1": ("A distorted segment finds its own", "higher"),
    "r2_map": ("A word finds itself spoken by others", "higher"),
    "sweep_excess": ("Change by a slide of 100 ms beyond what the changed audio explains", "lower"),
}
VALIDATED = ("tokens_per_s", "ned_pair", "ned_random", "separation")
COLUMNS = ("pairalign", "viterbi", "viterbi_cost", "vq")
NEEDS = {
    "r2_map": "word times",
    "ned_random": "clips that say different things",
    "separation": "clips that say different things",
    "condition_gain": "clips that say different things",
    "recall_1": "clips that say different things",
    "same_words": "the same words by several speakers",
    "other_words": "other words by several speakers",
}


def figures_html(sidecar: Mapping[str, Any]) -> str:
    """The figures at release, of fine-tuning, or of the last validation: the first of them that there are."""
    metrics = mapping(sidecar.get("metrics"))
    evaluation = mapping(metrics.get("evaluation"))
    if mapping(evaluation.get("methods")):
        return _evaluated(evaluation, metrics.get("command"))
    if "before" in metrics and "after" in metrics:
        return _compared(metrics)
    return _validated(mapping(metrics.get("validation")) or metrics)


def _evaluated(evaluation: Mapping[str, Any], command: object) -> str:
    methods, intervals = mapping(evaluation["methods"]), mapping(evaluation.get("intervals"))
    found = {
        name: {measure: _estimate(methods.get(name), intervals.get(name), measure) for measure in MEASURES}
        for name in COLUMNS
        if name in methods
    }
    if not found:
        return ""
    data = mapping(evaluation.get("data"))
    facts = [f"{count(data.get(key))} {key}" for key in ("segments", "speakers") if count(data.get(key))]
    where = f"Measured on {' of '.join(facts)}. " if facts else ""
    made = f" Made by <code>{text(command)}</code>." if isinstance(command, str) else ""
    held_out = HELD_OUT if data.get("split") == "dev" else ""
    return (
        _measures(found, "Figures at release")
        + f"<p class='pa-note'>{where}{held_out}In brackets: 95 % bootstrap intervals; bold: the best value, which"
        f" is no sure difference where intervals overlap.{made}</p>"
    )


def _measures(found: Mapping[str, Mapping[str, Estimate]], caption: str) -> str:
    """A row per measure, a column per method; measures that no method has are named below with what they need."""
    rows, missing = [], []
    for measure, (label, better) in MEASURES.items():
        estimates = [one[measure] for one in found.values()]
        if all(math.isnan(one.value) for one in estimates):
            missing.append(measure)
            continue
        best = _best([one.value for one in estimates], better)
        hint = f" <small>({better} is better)</small>" if better else ""
        cells = [_cell(one, one.value == best) for one in estimates]
        rows.append((label + hint, cells))
    return table(["Measure", *(LOOKS[name].label for name in found)], rows, caption) + _lacking(missing, {})


def _best(values: Sequence[float], better: str) -> float | None:
    there = [value for value in values if not math.isnan(value)]
    return {"higher": max, "lower": min}[better](there) if better and len(there) > 1 else None


def _cell(estimate: Estimate, best: bool = False) -> str:
    cell = estimate_cell(estimate, DIGITS)
    return f"<b>{cell}</b>" if best else cell


def _lacking(measures: Sequence[str], reasons: Mapping[str, str]) -> str:
    """Why there is a dash, or no row at all."""
    if not measures:
        return ""
    labels = {name: label for name, (label, _) in MEASURES.items()} | FINE_TUNING_LABELS
    told = [
        f"{labels.get(name, text(name))} ({reasons.get(name) or 'needs ' + NEEDS.get(name, 'other data')})"
        for name in measures
    ]
    return f"<p class='pa-note'>–, not measured: {'; '.join(told)}.</p>"


def _compared(metrics: Mapping[str, Any]) -> str:
    """Before and after fine-tuning, on the same held-out clips."""
    before, after = mapping(metrics["before"]), mapping(metrics["after"])
    if not any(name in before or name in after for name in FINE_TUNING_LABELS):
        return ""
    rows, missing, reasons = [], [], {}
    for name in FINE_TUNING_LABELS:
        estimates = [_estimate(one.get(name), one.get(name)) for one in (before, after)]
        rows.append((escape(FINE_TUNING_LABELS[name]), [_cell(one) for one in estimates]))
        if any(math.isnan(one.value) for one in estimates):
            missing.append(name)
            reasons[name] = next((_reason(one.get(name)) for one in (after, before) if _reason(one.get(name))), "")
    clips = count(metrics.get("held_out_clips"))
    where = f"On {clips} held-out clips of the same speakers, under two strong views. " if clips else ""
    return (
        table(["Measure", "Before", "After"], rows, "Before and after fine-tuning")
        + _lacking(missing, reasons)
        + f"<p class='pa-note'>{where}In brackets: 95 % bootstrap intervals. Others were not measured.</p>"
    )


def _reason(entry: object) -> str:
    return text(mapping(entry).get("reason") or "")


def _validated(validation: Mapping[str, Any]) -> str:
    """The last validation of a training run: its own strings, VQ and smoothed VQ."""
    prefixes = {"pairalign": "", "vq": "vq_", "viterbi": "viterbi_"}
    found = {
        name: {measure: number(validation.get(prefix + measure)) for measure in VALIDATED}
        for name, prefix in prefixes.items()
    }
    found = {name: values for name, values in found.items() if not all(map(math.isnan, values.values()))}
    if not found:
        return ""
    labels = {name: label for name, (label, _) in MEASURES.items()} | FINE_TUNING_LABELS
    rows = [
        (escape(labels[measure]), [_cell(Estimate(one[measure], math.nan, math.nan)) for one in found.values()])
        for measure in VALIDATED
    ]
    columns = ["Measure", *(LOOKS[name].label for name in found)]
    return table(columns, rows, "Last validation during training") + (
        "<p class='pa-note'>Measured while training, on clips held out from it; without intervals.</p>"
    )


def _estimate(values: object, interval: object, measure: str | None = None) -> Estimate:
    """A value with its interval: `measure` of both, or the entry {"value", "low", "high"} itself."""
    if measure is None:
        entry = mapping(values)
        return Estimate(*(number(entry.get(key)) for key in ("value", "low", "high")))
    bounds = mapping(interval).get(measure)
    pair = list(bounds)[:2] if isinstance(bounds, list | tuple) and len(bounds) == 2 else [None, None]
    return Estimate(number(mapping(values).get(measure)), *map(number, pair))
