"""A training job: what the user asked for, and the data and networks it starts with."""

import copy
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from pairalign.checkpoint import read_checkpoint, read_sidecar
from pairalign.model import ModelConfig, PairAlignModel
from pairalign.model.network import PRESETS
from pairalign.training import distributed
from pairalign.training.config import TrainConfig
from pairalign.training.data import (
    AudioBank,
    DataError,
    Segments,
    build_word_index,
    evaluation_segments,
    load_bank,
    of_split,
    read_manifest,
    words_for,
)
from pairalign.training.run import Run


@dataclass(frozen=True)
class Job:
    """What to run: data, folder, configuration, and when to stop."""

    manifest: Path
    out: Path
    config: TrainConfig
    words: Path | None = None
    init: str | None = None
    resume: bool = False
    max_minutes: float | None = None
    device: str = "cpu"
    cache: Path | None = None
    name: str = "latest"


def prepare(job: Job, rank: int, world: int) -> tuple[Run, Segments]:
    """Data, networks and word index of a run."""
    config = job.config
    utterances = read_manifest(job.manifest)
    if rank > 0:
        distributed.wait()  # rank 0 decodes; the others then find its cache
    bank = load_bank(utterances, job.cache, _reporter("decoding") if rank == 0 else None)
    if rank == 0:
        distributed.wait()
    readable = [i for i in of_split(utterances, "train") if bank.durations_s[i] >= config.min_s]
    if len(readable) < 4:
        raise DataError(
            f"Only {len(readable)} training recordings are {config.min_s} s or longer; at least 4 are needed."
        )
    held_out = [i for i in of_split(utterances, "dev") if bank.durations_s[i] >= config.min_s] or readable
    words = words_for(utterances, job.words)
    index = build_word_index(words, bank, readable) if words else None
    torch.manual_seed(config.seed)
    model = PairAlignModel(_model_config(job)).to(job.device)
    if job.init:
        weights, _ = read_checkpoint(job.init)
        model.load_state_dict(weights)
    teacher = copy.deepcopy(model).requires_grad_(False)
    run = Run(config, model, teacher, bank, readable, index, job.device, rank, world)
    return run, evaluation_segments(bank, held_out, config.validation_segments, config.max_s, seed=0)


def _model_config(job: Job) -> ModelConfig:
    if job.init:
        return ModelConfig.from_dict(read_sidecar(job.init)["architecture"])
    preset = PRESETS[job.config.preset]()
    return replace(preset, codes=job.config.codes) if job.config.codes else preset


def _reporter(what: str) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        if done % 500 == 0 or done == total:
            print(f"{what}: {done}/{total} recordings", file=sys.stderr)

    return report


def earlier_recipe(job: Job) -> dict | None:
    """The recipe of the checkpoint a run started from, so that a model card tells the whole story."""
    return read_sidecar(job.init)["recipe"] if job.init else None


def data_card(job: Job, bank: AudioBank, items: list[int]) -> dict:
    """What the checkpoint's model card says of its data."""
    earlier = read_sidecar(job.init)["data"] if job.init else {}
    corpora: dict[str, float] = {}
    for i in items:
        corpus = bank.utterances[i].corpus or "unnamed"
        corpora[corpus] = corpora.get(corpus, 0.0) + float(bank.durations_s[i]) / 3600
    licences = job.manifest.parent / "LICENSES.md" if job.manifest.is_file() else job.manifest / "LICENSES.md"
    return {
        "recordings": len(items),
        "hours": round(sum(corpora.values()), 3),
        "hours_by_corpus": {k: round(v, 3) for k, v in sorted(corpora.items())},
        "speakers": len({bank.utterances[i].speaker for i in items if bank.utterances[i].speaker}),
        "skipped": len(bank.skipped),
        "word_times_used": bool(
            (job.words is not None and job.config.realization_share > 0) or earlier.get("word_times_used")
        ),
        "licences": licences.read_text(encoding="utf-8") if licences.is_file() else "not stated",
    }
