"""Add fitted baselines to a checkpoint.

    python -m pairalign.evaluation.fit_baselines RUN/best.safetensors --manifest CSV --out RUN/final.safetensors

Fits the baselines that need data on segments of the split "train" and writes a new checkpoint: the same weights, the
baselines beside them, a new sha256. Do this before `python -m pairalign evaluate`: a report is of one sha256 only.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pairalign.audio import SAMPLE_RATE_HZ
from pairalign.checkpoint import CheckpointError, read_checkpoint, resolve_checkpoint, save_checkpoint
from pairalign.evaluation.baselines import fit_baselines
from pairalign.model.baselines import Baselines, split_baselines
from pairalign.tokenizer import load
from pairalign.training.bank import load_bank
from pairalign.training.corpora import of_split, read_manifest
from pairalign.training.data import evaluation_segments

SEGMENTS = 1200  # 200 for the rate, the others for what is learned
SEGMENT_S = 3.0


def add_baselines(
    weights_path: Path, manifest: Path, out: Path, cache: Path | None = None, segments: int = SEGMENTS, seed: int = 0
) -> Baselines:
    """Write `out`, a copy of the checkpoint with baselines fitted to its training split; returns them.

    Raises: CheckpointError or DataError, the first also for an `out` that is the checkpoint read.
    """
    if segments < 1:
        raise CheckpointError(f"--segments is {segments}; use 1 or more")
    if out.resolve() == resolve_checkpoint(weights_path).resolve():
        raise CheckpointError(f"--out is {out}, the checkpoint to read; give another name, it gets another sha256")
    tokenizer = load(weights_path)
    everything = read_manifest(manifest)
    bank = load_bank(everything, cache)  # all of it: the cache of a training run then serves here too
    drawn = evaluation_segments(bank, of_split(everything, "train"), segments, SEGMENT_S, seed)
    waves = [row[:n].numpy() for row, n in zip(drawn.wave, drawn.lengths.tolist(), strict=True)]
    found = fit_baselines(tokenizer, waves, seed, lambda text: print(text, file=sys.stderr))
    weights, sidecar = read_checkpoint(weights_path)
    weights, _ = split_baselines(weights, tokenizer.vocab_size)
    note = {
        "rate_hz": found.rate_hz,
        "segments": len(waves),
        "seconds": sum(map(len, waves)) / SAMPLE_RATE_HZ,
        "seed": seed,
        "viterbi_penalty": found.viterbi_penalty,
        "bpe_merges": len(found.bpe_merges),
        "mfcc_codes": len(found.mfcc_codes),
    }
    sidecar = {**sidecar, "name": out.stem, "recipe": {**sidecar["recipe"], "baselines": note}}
    save_checkpoint(out, {**weights, **found.to_tensors()}, sidecar)
    return found


def main() -> int:
    """0 done, 2 the user's mistake."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("--manifest", type=Path, required=True, metavar="CSV")
    parser.add_argument("--out", type=Path, required=True, metavar="NEW.safetensors")
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help="where decoded audio is kept")
    parser.add_argument("--segments", type=int, default=SEGMENTS, metavar="N", help=f"default {SEGMENTS}")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    try:
        found = add_baselines(args.weights, args.manifest, args.out, args.cache, args.segments, args.seed)
    except (ValueError, OSError) as error:
        print(f"fit_baselines: {error}", file=sys.stderr)
        return 2
    print(
        f"{args.out}: {found.rate_hz:.2f} tokens/s, Viterbi penalty {found.viterbi_penalty:.3f}, "
        f"{len(found.bpe_merges)} merges, {len(found.mfcc_codes)} MFCC clusters"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
