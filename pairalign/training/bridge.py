"""Bridge targets: the deterministic strings the decoder first learns (method: stage II).

A recording's string is the Viterbi string, at the wanted rate, of what several mild views of it agree on. Where the
encoder has learned phones, its latents are pulled towards the mean latents of the phone first (the phone spoken where a
lexicon tells it, else the phones heard), so that the string says what was meant where the nearest codes do not: weak
supervision that only the decoder's targets get. Rare codes cost more than common ones (`code_cost`, model/chooser.py).
Encoder and codebook are frozen then, so the strings of all recordings are made once; a training segment takes its part
of them.

Shapes: B recordings, T frames (20 ms), Z latent size, P phones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from torch.nn import functional as fn
from torch.nn.utils.rnn import pad_sequence

from pairalign.audio import SAMPLE_RATE_HZ
from pairalign.checkpoint import atomic_write_bytes
from pairalign.errors import PairAlignError
from pairalign.features import length_mask
from pairalign.model.chooser import fit_chooser
from pairalign.model.encoder import FRAME_RATE_HZ
from pairalign.model.quantizer import runs_of
from pairalign.training import distributed
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
COST_FLOOR = 1.0  # of `code_cost`: beside the pull, a lower one lets most codes die
WINDOW_BATCH = 32
HEARD_FRAMES = 2  # a token with less than this (and less than half of it) inside a segment is not asked for


class BridgeError(PairAlignError):
    """Strings of an earlier run that cannot be used."""


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
            kept = np.array([heard.argmax()])
        return Target(self.ids[i][kept].tolist(), edges[kept].tolist(), float(edges[kept[-1] + 1]))


@dataclass(frozen=True)
class Agreed:
    """What the views of some recordings agree on: latents (B, T, Z), lengths (B,), phones (B, T, P) or None."""

    latents: torch.Tensor
    lengths: torch.Tensor
    phones: torch.Tensor | None

    def pulled(self, means: torch.Tensor | None, weight: float) -> torch.Tensor:
        """Latents (B, T, Z) pulled towards the mean latents (P, Z) of their phones."""
        if self.phones is None or means is None:
            return self.latents
        return fn.normalize(self.latents + weight * self.phones @ means, dim=-1)


@torch.no_grad()
def make_bridge(run: Run, folder: Path | None = None) -> Bridge:
    """The strings of all training recordings; kept in `folder`, where a resumed run finds them again.

    The first process makes them for all. Raises: BridgeError for a damaged file.
    """
    return _make(run) if folder is None else kept_bridge(run, folder, lambda: _make(run))


def kept_bridge(run: Run, folder: Path, make: Callable[[], Bridge]) -> Bridge:
    """The strings kept in `folder`; the first process makes them when there are none, and the others read its."""
    path = folder / BRIDGE_FILE
    if run.rank == 0 and not path.is_file():
        _save(path, make())
    distributed.wait()
    return _load(path)


def _make(run: Run) -> Bridge:
    config, book = run.config, run.teacher.codebook
    items = sorted(run.items, key=lambda i: run.bank.durations_s[i])
    some = [agreed for _, agreed in _agreed(run, items[:: max(1, len(items) // FIT_RECORDINGS)])]
    means = _phone_means(some)
    pulled = [(agreed.pulled(means, config.phone_pull), agreed.lengths) for agreed in some]
    chooser = fit_chooser(book, pulled, config.wanted_rate_hz, config.code_cost, COST_FLOOR)
    ids, edges = {}, {}
    for group, agreed in _agreed(run, items):
        paths = chooser.paths(agreed.pulled(means, config.phone_pull), agreed.lengths).cpu()
        for i, path, frames in zip(group, paths, agreed.lengths.tolist(), strict=True):
            codes, starts = runs_of(path, frames)
            ids[i], edges[i] = np.array(codes, np.int32), np.array([*starts, frames], np.int32)
    return Bridge(ids, edges)


def _phone_means(some: list[Agreed]) -> torch.Tensor | None:
    """Mean latents of every phone, of unit norm (P, Z); None without phones."""
    sums = [torch.einsum("btp,btz->pz", one.phones, one.latents) for one in some if one.phones is not None]
    return fn.normalize(sum(sums[1:], sums[0]), dim=-1) if sums else None


def _agreed(run: Run, items: list[int]) -> Iterator[tuple[list[int], Agreed]]:
    """Groups of recordings, and what their views agree on."""
    for start in range(0, len(items), GROUP):
        group = items[start : start + GROUP]
        joined = _hear(run, group)
        lengths = torch.tensor([len(latents) for latents, _ in joined], device=run.device)
        latents = pad_sequence([latents for latents, _ in joined], batch_first=True)
        phones = None
        if run.teacher.phone_head is not None and run.config.phone_pull > 0:
            heard = pad_sequence([phones for _, phones in joined], batch_first=True)
            phones = _told(run, group, heard, lengths) * length_mask(lengths, heard.shape[1])[:, :, None]
        yield group, Agreed(latents, lengths, phones)


def _told(run: Run, group: list[int], heard: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Phone probabilities (B, T, P): 1 for the phone the lexicon tells, elsewhere what the encoder heard."""
    if run.phones is None:
        return heard
    whole = Segments(torch.zeros(0), lengths, torch.tensor(group), torch.zeros(len(group)))
    labels = phone_labels(run.phones, whole, heard.clamp(min=1e-8).log(), lengths, aligned=True)
    certain = fn.one_hot(labels.clamp(min=0), heard.shape[2]).to(heard.dtype)
    return torch.where((labels >= 0)[:, :, None], certain, heard)


def _hear(run: Run, group: list[int]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Latents (T, Z) and phone probabilities (T, P) of whole recordings, averaged over views.

    They are heard in the windows that the tokenizer would cut them into.
    """
    waves = [run.bank.wave(i) for i in group]
    jobs = [(r, window) for r, wave in enumerate(waves) for window in plan_windows(len(wave))]
    pieces: list[list[tuple[torch.Tensor, torch.Tensor]]] = [[] for _ in group]
    for start in range(0, len(jobs), WINDOW_BATCH):
        chosen = jobs[start : start + WINDOW_BATCH]
        parts = [torch.from_numpy(waves[r][w.start : w.end]) for r, w in chosen]
        wave = pad_sequence(parts, batch_first=True).to(run.device)
        lengths = torch.tensor([len(part) for part in parts], device=run.device)
        latents, phones = _hear_windows(run, wave, lengths, (group[0], start))
        for (r, window), z, p in zip(chosen, latents, phones, strict=True):
            first = round((window.keep_from_s - window.start_s) * FRAME_RATE_HZ)
            last = max(round((window.keep_to_s - window.start_s) * FRAME_RATE_HZ), first + 1)
            pieces[r].append((z[first:last], p[first:last]))
    return [(torch.cat([z for z, _ in piece]), torch.cat([p for _, p in piece])) for piece in pieces]


def _hear_windows(
    run: Run, wave: torch.Tensor, lengths: torch.Tensor, place: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean latents (B, T, Z) of unit norm and phone probabilities (B, T, P), over views of windows (B, samples)."""
    head = run.teacher.phone_head
    latents, phones = [], []
    for k in range(run.config.consensus_views):
        seed = np.random.SeedSequence((run.config.seed, 6, *place, k)).generate_state(1)[0]
        view = make_view(wave, lengths, MILD if k == 0 else CONSENSUS, torch.Generator().manual_seed(int(seed)))
        with run.autocast():
            encoded = run.teacher.encode(view.log_mel())
        heard = encoded.latents[:, :, :0] if head is None else head(encoded.hidden.float()).softmax(-1)
        latents.append(encoded.latents)
        phones.append(heard / run.config.consensus_views)
    return fn.normalize(sum(latents[1:], latents[0]), dim=-1), sum(phones[1:], phones[0])


def _save(path: Path, bridge: Bridge) -> None:
    items = np.array(list(bridge.ids), np.int64)
    counts = np.array([len(bridge.ids[i]) for i in items], np.int64)
    arrays = {"items": items, "counts": counts, "ids": np.concatenate(list(bridge.ids.values()))}
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_bytes(path, save({**arrays, "edges": np.concatenate(list(bridge.edges.values()))}))


def _load(path: Path) -> Bridge:
    try:
        arrays = load_file(path)
    except SafetensorError:
        raise BridgeError(f"{path} is damaged; delete it, and --resume makes it again.") from None
    ends = np.cumsum(arrays["counts"])
    ids = np.split(arrays["ids"], ends[:-1])
    edges = np.split(arrays["edges"], (ends + np.arange(1, len(ends) + 1))[:-1])
    items = arrays["items"].tolist()
    return Bridge(dict(zip(items, ids, strict=True)), dict(zip(items, edges, strict=True)))
