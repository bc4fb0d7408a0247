"""Bridge targets: the deterministic strings the decoder first learns (method: stage II).

A recording's string is the Viterbi string, at the wanted rate, of what several mild views of it agree on. Where a
lexicon says which phones were spoken, the latents are pulled towards those phones first, so that the string says what
was meant where the codes of the frames do not: weak supervision that only the decoder gets. Encoder and codebook are
frozen then, so the strings of all recordings are made once; a training segment takes its part of them.

Shapes: B recordings, T frames (20 ms), Z latent size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save
from torch.nn import functional as fn
from torch.nn.utils.rnn import pad_sequence

from pairalign.audio import SAMPLE_RATE_HZ
from pairalign.checkpoint import atomic_write_bytes
from pairalign.model.encoder import FRAME_RATE_HZ
from pairalign.model.quantizer import Codebook, bisect_penalty, runs_of
from pairalign.training.data import Segments
from pairalign.training.phones import phone_labels
from pairalign.training.run import Run
from pairalign.training.targets import Target
from pairalign.views import MILD, ViewRanges, make_view
from pairalign.windows import plan_windows

BRIDGE_FILE = "bridge.safetensors"
# what the views may differ in beside the first, mild one: nothing that moves the frames
CONSENSUS = ViewRanges((0.0, 0.0), (1.0, 1.0), (0.92, 1.08), 5.0, (0.05, 0.2), 0.3, (12.0, 30.0), 0.7, 0.0, (-6.0, 0.0))
GROUP = 16  # recordings at a time
FIT_RECORDINGS = 160
WINDOW_BATCH = 32
HEARD_FRAMES = 2  # a token with less than this (and less than half of it) inside a segment is not asked for


@dataclass(frozen=True)
class Bridge:
    """Strings of recordings: `ids[i]`, and in `edges[i]` the frame each token starts at, and the last one ends at."""

    ids: dict[int, np.ndarray]
    edges: dict[int, np.ndarray]

    def targets(self, segments: Segments) -> list[Target]:
        """The part of the strings that each segment holds, in frames of the segment."""
        seconds = segments.lengths.numpy() / SAMPLE_RATE_HZ
        rows = zip(segments.utterance_ids.tolist(), segments.start_s.tolist(), seconds.tolist(), strict=True)
        return [self._cut(i, start_s * FRAME_RATE_HZ, length_s * FRAME_RATE_HZ) for i, start_s, length_s in rows]

    def _cut(self, i: int, first: float, frames: float) -> Target:
        edges = np.clip(self.edges[i] - first, 0.0, frames)
        heard = np.diff(edges)
        kept = np.flatnonzero(heard >= np.minimum(HEARD_FRAMES, np.diff(self.edges[i]) / 2))
        if not len(kept):
            kept = heard.argmax(keepdims=True)
        return Target(self.ids[i][kept].tolist(), edges[kept].tolist(), float(edges[kept[-1] + 1]))


def make_bridge(run: Run, folder: Path | None = None) -> Bridge:
    """The strings of all training recordings; kept in `folder`, where a resumed run finds them again."""
    if folder is not None and (folder / BRIDGE_FILE).is_file():
        return _load(folder / BRIDGE_FILE)
    items = sorted(run.items, key=lambda i: run.bank.durations_s[i])
    plain, pulled = _penalties(run, items[:: max(1, len(items) // FIT_RECORDINGS)])
    ids, edges = {}, {}
    for group, latents, lengths, labelled in _agreed(run, items, pull=True):
        penalty = torch.where(labelled, pulled, plain)[:, None]
        paths = run.teacher.codebook.viterbi(latents, lengths, penalty).cpu()
        for i, path, frames in zip(group, paths, lengths.tolist(), strict=True):
            codes, starts = runs_of(path, frames)
            ids[i], edges[i] = np.array(codes, np.int32), np.array([*starts, frames], np.int32)
    if folder is not None and run.rank == 0:
        _save(folder / BRIDGE_FILE, ids, edges)
    return Bridge(ids, edges)


def _penalties(run: Run, items: list[int]) -> tuple[float, float]:
    """Switch penalties for recordings without and with phones, such that the strings have the wanted rate.

    Latents pulled towards phones change less often: they get their own penalty, at which the same recordings have the
    rate they would have without the pull, so that slow speech stays slow.
    """
    before = [(z, n) for _, z, n, _ in _agreed(run, items, pull=False)]
    after = [(z, n, told) for _, z, n, told in _agreed(run, items, pull=True)]
    book = run.teacher.codebook
    plain = bisect_penalty(lambda p: _rate_hz(book, before, p), run.config.wanted_rate_hz)
    pulled = [(z[told], n[told]) for z, n, told in after if told.any()]
    if not pulled:
        return plain, plain
    same = [(z[told], n[told]) for (z, n), (_, _, told) in zip(before, after, strict=True) if told.any()]
    rate_hz = _rate_hz(book, same, plain)
    return plain, bisect_penalty(lambda p: _rate_hz(book, pulled, p), rate_hz)


def _rate_hz(book: Codebook, batches: list[tuple[torch.Tensor, torch.Tensor]], penalty: float) -> float:
    """Tokens per second of the Viterbi strings under a penalty."""
    tokens = frames = 0
    for latents, lengths in batches:
        paths = book.viterbi(latents, lengths, penalty).cpu()
        tokens += sum(len(runs_of(path, n)[0]) for path, n in zip(paths, lengths.tolist(), strict=True))
        frames += int(lengths.sum())
    return tokens / frames * FRAME_RATE_HZ


@torch.no_grad()
def _agreed(
    run: Run, items: list[int], pull: bool
) -> Iterator[tuple[list[int], torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Recordings, what views of them agree on: latents (B, T, Z), lengths (B,), and which rows (B,) have phones."""
    for start in range(0, len(items), GROUP):
        group = items[start : start + GROUP]
        joined = _latents(run, group)
        lengths = torch.tensor([len(z) for z in joined], device=run.device)
        latents = pad_sequence(joined, batch_first=True)
        labelled = torch.zeros(len(group), dtype=torch.bool, device=run.device)
        if pull and run.phones is not None and run.config.phone_pull > 0:
            whole = Segments(torch.zeros(0), lengths, torch.tensor(group), torch.zeros(len(group)))
            head = run.teacher.phone_head
            labels = phone_labels(run.phones, whole, head(latents).log_softmax(-1), lengths, aligned=True)
            known = labels >= 0
            towards = fn.normalize(head.prototypes, dim=-1)[labels.clamp(min=0)] * known[:, :, None]
            latents = fn.normalize(latents + run.config.phone_pull * towards, dim=-1)
            labelled = known.any(1)
        yield group, latents, lengths, labelled


def _latents(run: Run, group: list[int]) -> list[torch.Tensor]:
    """Latents (T, Z) of whole recordings, from the windows the tokenizer would cut them into, averaged over views."""
    waves = [run.bank.wave(i) for i in group]
    jobs = [(r, window) for r, wave in enumerate(waves) for window in plan_windows(len(wave))]
    pieces: list[list[torch.Tensor]] = [[] for _ in group]
    for start in range(0, len(jobs), WINDOW_BATCH):
        chosen = jobs[start : start + WINDOW_BATCH]
        parts = [torch.from_numpy(waves[r][w.start : w.end]) for r, w in chosen]
        wave = pad_sequence(parts, batch_first=True).to(run.device)
        lengths = torch.tensor([len(part) for part in parts], device=run.device)
        total = 0.0
        for k in range(run.config.consensus_views):
            seed = np.random.SeedSequence((run.config.seed, 6, group[0], start, k)).generate_state(1)[0]
            ranges = MILD if k == 0 else CONSENSUS
            view = make_view(wave, lengths, ranges, torch.Generator().manual_seed(int(seed)))
            with run.autocast():
                total = total + run.teacher.encode(view.log_mel()).latents
        for (r, window), z in zip(chosen, fn.normalize(total, dim=-1), strict=True):
            first = round((window.keep_from_s - window.start_s) * FRAME_RATE_HZ)
            last = round((window.keep_to_s - window.start_s) * FRAME_RATE_HZ)
            pieces[r].append(z[first : max(last, first + 1)])
    return [torch.cat(piece) for piece in pieces]


def _save(path: Path, ids: dict[int, np.ndarray], edges: dict[int, np.ndarray]) -> None:
    items = np.array(list(ids), np.int64)
    counts = np.array([len(ids[i]) for i in items], np.int64)
    arrays = {"items": items, "counts": counts, "ids": np.concatenate(list(ids.values()))}
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_bytes(path, save({**arrays, "edges": np.concatenate(list(edges.values()))}))


def _load(path: Path) -> Bridge:
    arrays = load_file(path)
    ends = np.cumsum(arrays["counts"])
    ids = np.split(arrays["ids"], ends[:-1])
    edges = np.split(arrays["edges"], (ends + np.arange(1, len(ends) + 1))[:-1])
    items = arrays["items"].tolist()
    return Bridge(dict(zip(items, ids, strict=True)), dict(zip(items, edges, strict=True)))
