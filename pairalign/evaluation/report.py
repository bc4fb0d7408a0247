"""`python -m pairalign evaluate`: the measures of a tokenizer and its baselines on one split of a corpus."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pairalign.evaluation import drift, metrics, page, protocols
from pairalign.evaluation.baselines import (
    BASELINES,
    CEILINGS,
    RANDOM,
    ceiling_of_views,
    ceiling_of_words,
    missing_baselines,
)
from pairalign.evaluation.glossary import why_missing
from pairalign.evaluation.metrics import Estimate
from pairalign.evaluation.placement_checks import measure_boundaries
from pairalign.evaluation.protocols import EvaluationError, Result, Strings, Trials
from pairalign.evaluation.word_search import UNSEARCHED, WordSearch, make_word_search, measure_word_search
from pairalign.home import one_line
from pairalign.model.baselines import FIT_COMMAND
from pairalign.training.bank import AudioBank, load_bank
from pairalign.training.corpora import Utterance, Word, of_split, read_manifest, words_for
from pairalign.training.left_out import left_out
from pairalign.views import STRONG

if TYPE_CHECKING:
    from pairalign.tokenizer import Tokenizer

MAIN = "pairalign"
DEFAULT_LIMIT = 500
DEFAULT_SWEEP = 60

Report = dict[str, Any]
Progress = Callable[[str], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command `evaluate`, beside the common ones."""
    parser.add_argument("--manifest", required=True, metavar="CSV", help="a manifest CSV or a folder of audio")
    parser.add_argument("--split", default="dev", help="which part of the corpus (default dev)")
    parser.add_argument("--words", metavar="CSV", help="word times (path,start_s,end_s,word): adds the word search")
    parser.add_argument("--baselines", default="all", help=f"all, none, or some of {','.join(BASELINES)}")
    parser.add_argument(
        "--limit", type=int, default=DEFAULT_LIMIT, metavar="N", help=f"segments (default {DEFAULT_LIMIT})"
    )
    parser.add_argument(
        "--cache", metavar="FOLDER", help="where decoded audio is kept, so that a second run starts at once"
    )
    parser.add_argument(
        "--sweep", type=int, default=DEFAULT_SWEEP, metavar="N", help=f"segments of the sweep (default {DEFAULT_SWEEP})"
    )
    parser.add_argument("--report", metavar="FOLDER", help="write report.json, report.html and report.md there")
    parser.add_argument("--seed", type=int, default=0, help="draws segments, views and intervals (default 0)")
    parser.set_defaults(show=lambda report, args: print(format_table(report)))


def run_from_args(args: argparse.Namespace) -> Report:
    """What the command does; what can be wrong with the arguments is told before anything slow begins."""
    baselines = _chosen_baselines(args.baselines)
    if args.limit < 2:
        raise EvaluationError(f"--limit is {args.limit}; use 2 or more, strings are compared with those of others.")
    for name in ("seed", "sweep"):
        if getattr(args, name) < 0:
            raise EvaluationError(f"--{name} is {getattr(args, name)}; use zero or more.")
    folder = page.check_folder(args.report) if args.report else None
    everything = read_manifest(args.manifest)
    utterances = [everything[i] for i in of_split(everything, args.split)]
    words = words_for(utterances, args.words)
    from pairalign.tokenizer import load

    tokenizer = load(args.checkpoint, device=args.device)
    baselines, missing = _held_baselines(tokenizer, baselines, may_miss=args.baselines == "all")
    cache = Path(args.cache) if args.cache else None
    bank = load_bank(utterances, cache, progress=lambda done, total: _say_on_stderr(f"reading {done}/{total}"))
    for path, reason in [*left_out(args.manifest), *((item.path, item.reason) for item in bank.skipped)]:
        print(f"skipped {one_line(path)}: {reason}", file=sys.stderr)
    options = {"baselines": baselines, "words": words, "sweep": args.sweep, "progress": _say_on_stderr}
    report = evaluate(tokenizer, utterances, bank, args.split, args.limit, args.seed, **options)
    report["data"] |= {"manifest": one_line(args.manifest), "missing_baselines": list(missing)}
    if folder is not None:
        page.write_report(report, folder)
        print(f"report: {folder / 'report.html'}", file=sys.stderr)
    return report


def evaluate(
    tokenizer: Tokenizer,
    utterances: Sequence[Utterance],
    bank: AudioBank,
    split: str = "dev",
    limit: int = DEFAULT_LIMIT,
    seed: int = 0,
    *,
    baselines: Sequence[str] = BASELINES,
    words: Sequence[Word] = (),
    sweep: int = DEFAULT_SWEEP,
    progress: Progress = lambda text: None,
) -> Report:
    """Measure PairAlign and the baselines on up to `limit` segments of a split.

    Returns {"data", "methods": {method: {metric: value}}, "intervals": {method: {metric: [low, high]}}, "curves":
    {method: `drift.mean_curve`}, "vocabulary": {method: token counts}, "reasons": {metric: why}}; a value that could
    not be measured is None, and "reasons", which is there only then, says why.
    With `words` the word search across speakers (r2_…) and word boundaries are measured too; `sweep` is the number of
    segments that are slid under their window, 0 for none.
    """
    items = of_split(utterances, split)
    trials = protocols.make_trials(bank, items, limit, seed)
    task = _word_search(bank, items, words, limit, seed, progress)
    names = [MAIN, *(name for name in baselines if name != RANDOM and name not in CEILINGS)]
    strings = {name: protocols.tokenize_trials(tokenizer, trials, name, progress) for name in names}
    if RANDOM in baselines:
        strings[RANDOM] = protocols.random_floor(strings[MAIN], seed)
    measured = {name: protocols.measure(found, trials, strings.get("vq"), seed) for name, found in strings.items()}
    for name in CEILINGS:
        if name in baselines:
            progress(f"{name}: views")
            measured[name] = ceiling_of_views(tokenizer, trials, name, seed)
    results = {name: measured[name] for name in (MAIN, *baselines)}  # columns in the order asked for
    results[MAIN]["condition_gain"] = protocols.condition_gain(tokenizer, trials, strings[MAIN], seed)
    if task is not None:
        _add_word_search(results, task, words, tokenizer, bank, seed, progress)
    elif words:
        results[MAIN] |= UNSEARCHED
    slid = drift.sweep_waves(bank, items, sweep, seed)
    curves = drift.add_sweeps(results, names, slid, tokenizer, seed, progress)
    if sweep and not slid:
        for name in names:
            results[name] |= drift.UNMEASURED
    methods = {name: {m: _value(e) for m, e in result.items()} for name, result in results.items()}
    reasons = {m: why_missing(m) for values in methods.values() for m, value in values.items() if value is None}
    report = {
        "data": _describe(tokenizer, bank, split, trials, task, seed) | {"sweep_segments": len(slid)},
        "methods": methods,
        "intervals": {name: _intervals(result) for name, result in results.items()},
        "curves": curves,
        "vocabulary": {name: metrics.token_counts([one.ids for one in strings[name].clean]) for name in names},
    }
    return report | ({"reasons": reasons} if reasons else {})


def format_table(report: Report) -> str:
    """The report as a Markdown table: a line per measure, a column per method, 95 % intervals in brackets."""
    methods, intervals = report["methods"], report["intervals"]
    lines = ["| | " + " | ".join(methods) + " |", "|---|" + "---|" * len(methods)]
    for metric in dict.fromkeys(metric for values in methods.values() for metric in values):
        cells = []
        for name, values in methods.items():
            value, interval = values.get(metric), intervals[name].get(metric)
            cell = _short(value)
            cells.append(cell if interval is None else f"{cell} [{_short(interval[0])}, {_short(interval[1])}]")
        lines.append(f"| {metric} | " + " | ".join(cells) + " |")
    data = report["data"]
    about = f"{data['segments']} segments of {data['split']}, {data['speakers']} speakers, seed {data['seed']}"
    reasons = [f"– {metric}: {reason}." for metric, reason in report.get("reasons", {}).items()]
    return "\n".join([*lines, "", f"{about}; mean [95 % bootstrap interval].", *reasons])


def _chosen_baselines(text: str) -> tuple[str, ...]:
    if text in ("all", "none"):
        return BASELINES if text == "all" else ()
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in BASELINES]
    if unknown or not names:
        raise EvaluationError(
            f"--baselines: {', '.join(unknown) or 'nothing'} is not one of all, none, {', '.join(BASELINES)}."
        )
    return names


def _held_baselines(
    tokenizer: Tokenizer, wanted: Sequence[str], may_miss: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which of the wanted baselines the checkpoint can make, and which it lacks a fit for."""
    missing = tuple(name for name in missing_baselines(tokenizer) if name in wanted)
    if missing:
        named = ", ".join(missing)
        about = f"checkpoint {tokenizer.name} holds no fitted baselines for {named}; add them with {FIT_COMMAND}"
        if not may_miss:
            raise EvaluationError(f"--baselines: {about}.")
        print(f"left out: {about}", file=sys.stderr)
    return tuple(name for name in wanted if name not in missing), missing


def _word_search(
    bank: AudioBank, items: Sequence[int], words: Sequence[Word], limit: int, seed: int, progress: Progress
) -> WordSearch | None:
    """The word search, where there is anything to search for."""
    if not words:
        return None
    try:
        return make_word_search(bank, items, words, max(4 * limit, 400), seed)
    except EvaluationError as error:
        progress(f"no word search: {error}")
        return None


def _add_word_search(
    results: dict[str, Result],
    task: WordSearch,
    words: Sequence[Word],
    tokenizer: Tokenizer,
    bank: AudioBank,
    seed: int,
    progress: Progress,
) -> None:
    waves = [bank.wave(i) for i in task.items]
    written = {}
    for name in results:
        if name == RANDOM:
            continue
        progress(f"{name}: {len(waves)} recordings for word search")
        if name in CEILINGS:
            results[name] |= ceiling_of_words(tokenizer, task, waves, name, seed)
        else:
            written[name] = list(tokenizer.tokenize_batch(waves, method=name))
            results[name] |= measure_boundaries(written[name], task.items, words, seed)
    if RANDOM in results:
        whole = protocols.random_floor(Strings(written[MAIN], [], [], []), seed)
        written[RANDOM] = whole.clean
    for name, strings in written.items():
        results[name] |= measure_word_search(task, strings, seed)


def _describe(
    tokenizer: Tokenizer, bank: AudioBank, split: str, trials: Trials, task: WordSearch | None, seed: int
) -> dict[str, Any]:
    about = {
        "checkpoint": tokenizer.name,
        "model_sha256": tokenizer.sha256,
        "split": split,
        "segments": len(trials.clean),
        "seconds": float(trials.durations_s.sum()),
        "speakers": len({bank.utterances[i].speaker for i in trials.utterances}),
        "skipped": len(bank.skipped),
        "seed": seed,
        "views": {name: list(value) if isinstance(value, tuple) else value for name, value in vars(STRONG).items()},
    }
    if task is not None:
        about["word_search"] = {"recordings": len(task.items), "queries": len(task.queries)}
    return about


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _value(estimate: Estimate) -> float | int | None:
    """Plain JSON: a count stays a whole number, what could not be measured is null."""
    counted = math.isnan(estimate.low) and float(estimate.value).is_integer()
    return int(estimate.value) if counted else _finite(estimate.value)


def _intervals(result: Result) -> dict[str, list[float | None]]:
    """[low, high] of every measure that has an interval."""
    return {name: [_finite(e.low), _finite(e.high)] for name, e in result.items() if not math.isnan(e.low)}


def _short(value: float | int | None) -> str:
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _say_on_stderr(text: str) -> None:
    if sys.stderr.isatty():
        print(text, file=sys.stderr)
