"""A training job: what the user asked for, and the data and networks it starts with."""

import copy
import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from pairalign.device import compute_exactly
from pairalign.errors import PairAlignError
from pairalign.home import one_line
from pairalign.model import PairAlignModel
from pairalign.model.loading import load_model
from pairalign.model.network import PRESETS
from pairalign.training import distributed
from pairalign.training.bank import without_copies
from pairalign.training.config import TrainConfig
from pairalign.training.data import (
    AudioBank,
    DataError,
    Segments,
    Utterance,
    Word,
    build_word_index,
    evaluation_segments,
    load_bank,
    of_split,
    read_manifest,
    words_for,
)
from pairalign.training.left_out import left_out
from pairalign.training.phones import PhoneIndex, build_phone_index, read_lexicon
from pairalign.training.run import Run


@dataclass(frozen=True)
class Job:
    """What to run: data, folder, configuration, and when to stop."""

    manifest: Path
    out: Path
    config: TrainConfig
    words: Path | None = None
    lexicon: Path | None = None
    init: str | None = None
    resume: bool = False
    max_minutes: float | None = None
    device: str = "cpu"
    cache: Path | None = None


@dataclass(frozen=True)
class Start:
    """What a run starts with. `card` is what its checkpoints say of their data, `before` the recipe of --init.

    new_codes: the vocabulary has another size than that of --init, so codebook and decoder start afresh.
    """

    run: Run
    held_out: Segments
    card: dict
    before: dict | None
    settings: dict
    new_codes: bool


def prepare(job: Job, rank: int, world: int) -> Start:
    """Read data, build networks and word index.

    Raises: DataError for too little or unsuitable data, CheckpointError for a bad --init.
    """
    config = job.config
    utterances = read_manifest(job.manifest)
    words = words_for(utterances, job.words)
    phones = _phones(job, utterances, words)
    model, sidecar, new_codes = _network(job, phones.names if phones else ())
    if rank > 0:
        distributed.wait()  # rank 0 decodes; the others then find its cache
    bank = load_bank(utterances, job.cache, _reporter("decoding") if rank == 0 else None)
    if rank == 0:
        distributed.wait()
    readable = _long_enough(bank, of_split(utterances, "train"), config.min_s, "training", 4)
    if rank == 0:
        _tell_left_out(job, bank, readable)
    unheard = without_copies(bank, of_split(utterances, "dev"), readable)
    held_out = _long_enough(bank, unheard, config.min_s, "dev", 2)
    index = build_word_index(words, bank, readable) if words else None
    compute_exactly(job.device)
    run = Run(
        config,
        model.to(job.device),
        copy.deepcopy(model).to(job.device).requires_grad_(False),
        bank,
        readable,
        index,
        phones,
        job.device,
        rank,
        world,
    )
    return Start(
        run,
        evaluation_segments(bank, held_out, config.validation_segments, config.max_s, seed=0),
        _data_card(job, run, sidecar),
        sidecar["recipe"] if sidecar else None,
        _settings(run, sidecar, words, world),
        new_codes,
    )


def _tell_left_out(job: Job, bank: AudioBank, learned: list[int]) -> None:
    """On stderr, what of the data is not used."""
    for path, reason in left_out(job.manifest):
        print(f"left out: {one_line(path)}: {reason}", file=sys.stderr)
    held_out = of_split(bank.utterances, "dev")
    copies = len(held_out) - len(without_copies(bank, held_out, learned))
    if copies:
        print(f"left out: {copies} dev recordings are copies of training recordings", file=sys.stderr)


def _phones(job: Job, utterances: list[Utterance], words: list[Word]) -> PhoneIndex | None:
    """What is spoken in the training recordings, when a lexicon is given."""
    if job.lexicon is None:
        return None
    spoken = [word for word in words if utterances[word.utterance].split == "train"]
    if not spoken:
        raise DataError("--lexicon needs the times of the words spoken: give them with --words.")
    return build_phone_index(spoken, read_lexicon(job.lexicon))


def _network(job: Job, phones: tuple[str, ...]) -> tuple[PairAlignModel, dict | None, bool]:
    """A fresh network of the preset, or that of --init with its sidecar; and whether --init gets another vocabulary."""
    config = job.config
    torch.manual_seed(config.seed)
    if not job.init:
        preset = replace(PRESETS[config.preset](), phones=phones)
        return PairAlignModel(replace(preset, codes=config.codes) if config.codes else preset), None, False
    model, sidecar = load_model(job.init)
    if phones and model.config.phones != phones:
        raise PairAlignError(
            f"--lexicon gives {len(phones)} phones for these words, the checkpoint of --init was trained with "
            f"{len(model.config.phones)} (others, or none); leave --lexicon out, or train from scratch."
        )
    if config.codes in (0, model.config.codes):
        return model, sidecar, False
    if config.stage2_steps == 0:
        raise PairAlignError(
            f"codes is {config.codes}, the checkpoint of --init has {model.config.codes}: a new vocabulary needs a new "
            "decoder; give stage II steps, or leave codes out."
        )
    return _with_codes(model, config.codes), sidecar, True


def _with_codes(model: PairAlignModel, codes: int) -> PairAlignModel:
    """The same encoder with a codebook of another size and a decoder that knows nothing yet."""
    fresh = PairAlignModel(replace(model.config, codes=codes))
    fresh.encoder.load_state_dict(model.encoder.state_dict())
    if fresh.phone_head is not None and model.phone_head is not None:
        fresh.phone_head.load_state_dict(model.phone_head.state_dict())
    return fresh


def _long_enough(bank: AudioBank, items: list[int], min_s: float, what: str, least: int) -> list[int]:
    kept = [i for i in items if bank.durations_s[i] >= min_s]
    if len(kept) < least:
        raise DataError(f"Only {len(kept)} {what} recordings are {min_s} s or longer; at least {least} are needed.")
    return kept


def _settings(run: Run, sidecar: dict | None, words: list[Word], world: int) -> dict:
    """What must be the same for a run to be resumed."""
    digest = hashlib.sha256(run.bank.offsets.tobytes())
    digest.update(repr([(u.split, u.speaker) for u in run.bank.utterances]).encode())
    return {
        **run.config.to_dict(),
        "world": world,
        "data": digest.hexdigest(),
        "words": hashlib.sha256(repr([(w.utterance, w.start_s, w.end_s, w.text) for w in words]).encode()).hexdigest(),
        "phones": hashlib.sha256(repr(run.phones).encode()).hexdigest(),
        "init": sidecar["sha256"] if sidecar else None,
        "device": run.device,
    }


def _reporter(what: str) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        if done % 500 == 0 or done == total:
            print(f"{what}: {done}/{total} recordings", file=sys.stderr)

    return report


def labels_used(config: TrainConfig, pairs: bool, phones: bool) -> dict[str, bool]:
    """Which labels a run learns from, by its recipe. pairs, phones: whether it has word pairs, and a lexicon.

    Phones are told at the times of their words, so a lexicon uses word times in every stage, pairs of words in stage I.
    """
    frames = phones and config.stage1_steps > 0 and config.phone_weight > 0
    strings = config.stage2_steps + config.stage3_steps > 0 and config.targets == "codes" and config.phone_pull > 0
    lexicon = frames or (phones and strings)
    words = pairs and config.stage1_steps > 0 and config.realization_share > 0
    return {"word_times_used": words or lexicon, "lexicon_used": lexicon}


def _data_card(job: Job, run: Run, sidecar: dict | None) -> dict:
    """What the checkpoint's model card says of its data."""
    bank, items = run.bank, run.items
    before = sidecar["data"] if sidecar else {}
    used = labels_used(run.config, run.words is not None and len(run.words) > 0, run.phones is not None)
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
        **{name: own or bool(before.get(name)) for name, own in used.items()},  # in this run, or one before it
        "licences": licences.read_text(encoding="utf-8", errors="replace") if licences.is_file() else "not stated",
        "before": before or None,  # what the checkpoint it started from had heard
    }
