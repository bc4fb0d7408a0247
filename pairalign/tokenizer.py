"""Tokenizer: audio -> TokenString, for one recording or many, of any length, on any device.

Shapes: B windows, T frames (20 ms), U tokens, K codes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pairalign.audio import SAMPLE_RATE_HZ, read_audio, wave_from_array
from pairalign.decoding import DecodingOptions, decode, length_limits
from pairalign.device import pick_device
from pairalign.features import LogMel, log_mel
from pairalign.model import PairAlignModel
from pairalign.model.encoder import FRAME_RATE_HZ
from pairalign.model.loading import load_model
from pairalign.model.network import Encoded
from pairalign.model.quantizer import runs_of
from pairalign.placement import token_starts
from pairalign.strings import TokenString
from pairalign.windows import Piece, Window, plan_windows, stitch

BEAM = DecodingOptions(beam=4)  # separation .53 against .52 for greedy, at half again the time for one clip
METHODS = ("pairalign", "vq", "viterbi")
Audio = str | Path | np.ndarray


def load(name_or_path: str | Path = "base", device: str = "auto") -> "Tokenizer":
    """Load a shipped checkpoint by name, or any checkpoint by path.

    Raises: CheckpointError when it is missing, damaged, or made for other features or another architecture.
    """
    target = pick_device(device)
    model, sidecar = load_model(name_or_path)
    return Tokenizer(model.to(target).eval(), sidecar)


class Tokenizer:
    """A loaded model. Strings do not depend on batch size, padding, or what else is in a batch."""

    def __init__(self, model: PairAlignModel, sidecar: dict):
        self.model = model.requires_grad_(False).eval()
        self.sidecar = sidecar
        self.name: str = sidecar["name"]
        self.sha256: str = sidecar["sha256"]
        self.device = str(next(model.parameters()).device)
        self.vocab_size = model.config.codes
        self.frame_rate_hz = FRAME_RATE_HZ

    def tokenize(
        self,
        audio: Audio,
        method: str = "pairalign",
        options: DecodingOptions = BEAM,
        progress: Callable[[float], None] | None = None,
    ) -> TokenString:
        """The token string of one recording.

        Args:
            audio: a path, or samples (T,) float32 at 16 kHz.
            method: "pairalign" (generated), "vq" (codes of every frame, repeats collapsed) or "viterbi" (VQ smoothed).
            options: how the string is searched for; `DecodingOptions()` is greedy, the fastest.
            progress: called with the share done, from 0 to 1.
        Raises: AudioError for audio that can not be used, ValueError for an unknown method.
        """
        return self.tokenize_batch([audio], method, options=options, progress=progress)[0]

    @torch.inference_mode()
    def tokenize_batch(
        self,
        audio: Sequence[Audio],
        method: str = "pairalign",
        batch_size: int = 16,
        options: DecodingOptions = BEAM,
        progress: Callable[[float], None] | None = None,
        warps: Sequence[float] | None = None,
    ) -> list[TokenString]:
        """The token strings of many recordings, in order; `batch_size` windows are computed at a time.

        warps: vocal-tract factors of `views`, one per recording: that part of a view exists on the mel axis only.
        """
        if method not in METHODS:
            raise ValueError(f"method is {method!r}; use one of {', '.join(METHODS)}.")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; use 1 or more.")
        waves = [_samples(a) for a in audio]
        plans = [plan_windows(len(wave)) for wave in waves]
        jobs = [(r, w) for r, plan in enumerate(plans) for w in plan]
        # windows of like length share a batch: less padding, same strings
        order = sorted(range(len(jobs)), key=lambda k: jobs[k][1].end - jobs[k][1].start)
        pieces: list[_Told | None] = [None] * len(jobs)
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            parts = [waves[r][w.start : w.end] for r, w in (jobs[k] for k in chosen)]
            warp = None if warps is None else torch.tensor([warps[jobs[k][0]] for k in chosen], dtype=torch.float32)
            told = self._windows(parts, [jobs[k][1] for k in chosen], method, options, warp)
            for k, one in zip(chosen, told, strict=True):
                pieces[k] = one
            if progress:
                progress(min(1.0, (start + len(chosen)) / len(order)))
        return self._assemble(waves, plans, pieces, method)

    def condition_gain(
        self, audio: Sequence[np.ndarray], strings: Sequence[TokenString], unrelated: Sequence[int] | None = None
    ) -> np.ndarray:
        """G = lbar(y | own audio) - lbar(y | unrelated audio), nat per token (method: anti-bypass).

        Args:
            audio: at least two recordings (T,) of at most 3 s, and their strings.
            unrelated: for each, the index of a recording that says something else; by default the next in the list.
        """
        if len(audio) < 2:
            raise ValueError("condition_gain compares with unrelated audio: give two recordings or more.")
        other = unrelated if unrelated is not None else [(i + 1) % len(audio) for i in range(len(audio))]
        return np.array([self._gain_pair(audio[i], audio[other[i]], s) for i, s in enumerate(strings)])

    @torch.inference_mode()
    def _gain_pair(self, own: np.ndarray, unrelated: np.ndarray, string: TokenString) -> float:
        decoder = self.model.decoder
        ids = torch.tensor([[decoder.bos_id, *string.ids]], device=self.device)
        target = torch.tensor([*string.ids, decoder.eos_id], device=self.device)
        mean_log_p = []
        for wave in (own, unrelated):
            _, encoded = self._encode([wave])
            logits, _ = decoder(ids, self.model.condition(encoded))
            mean_log_p.append(float(logits[0].log_softmax(-1).gather(1, target[:, None]).mean()))
        return mean_log_p[0] - mean_log_p[1]

    def _encode(self, waves: list[np.ndarray], warp: torch.Tensor | None = None) -> tuple[LogMel, Encoded]:
        lengths = torch.tensor([len(w) for w in waves])
        padded = torch.zeros(len(waves), int(lengths.max()))
        for row, wave in zip(padded, waves, strict=True):
            row[: len(wave)] = torch.from_numpy(np.ascontiguousarray(wave))
        moved = None if warp is None else warp.to(self.device)
        features = log_mel(padded.to(self.device), lengths.to(self.device), moved)
        return features, self.model.encode(features)

    def _windows(
        self,
        waves: list[np.ndarray],
        windows: list[Window],
        method: str,
        options: DecodingOptions,
        warp: torch.Tensor | None,
    ) -> list["_Told"]:
        features, encoded = self._encode(waves, warp)
        if method != "pairalign":
            return self._code_paths(encoded, method)
        condition = self.model.condition(encoded)
        decoded = decode(self.model.decoder, condition, *length_limits(features, options), options)
        starts = token_starts(self.model, encoded, decoded.tokens, decoded.lengths, decoded.attention)
        told = []
        for row, (window, count) in enumerate(zip(windows, decoded.lengths.tolist(), strict=True)):
            edges = [*starts[row, :count].tolist(), int(encoded.lengths[row])]
            seconds = [min(window.start_s + t / FRAME_RATE_HZ, window.end_s) for t in edges]
            piece = Piece(
                decoded.tokens[row, :count].tolist(),
                list(zip(seconds[:-1], seconds[1:], strict=True)),
                decoded.log_probs[row, :count].tolist(),
            )
            told.append(_Told(piece, bool(decoded.chose_eos[row]), [], []))
        return told

    def _code_paths(self, encoded: Encoded, method: str) -> list["_Told"]:
        book = self.model.codebook
        scores = book.log_scores(encoded.latents)
        path = book.nearest(encoded.latents) if method == "vq" else book.viterbi(encoded.latents, encoded.lengths)
        fit = scores.gather(2, path[:, :, None])[:, :, 0].cpu()
        path = path.cpu()
        rows = enumerate(encoded.lengths.tolist())
        return [_Told(None, True, path[row, :n].tolist(), fit[row, :n].tolist()) for row, n in rows]

    def _assemble(
        self, waves: list[np.ndarray], plans: list[list[Window]], told: list["_Told"], method: str
    ) -> list[TokenString]:
        strings, at = [], 0
        for wave, plan in zip(waves, plans, strict=True):
            mine = told[at : at + len(plan)]
            at += len(plan)
            duration_s = len(wave) / SAMPLE_RATE_HZ
            piece = stitch(plan, [t.piece for t in mine]) if method == "pairalign" else _join(plan, mine, duration_s)
            stopped_by = "eos" if all(t.chose_eos for t in mine) else "limit"
            strings.append(
                TokenString(
                    tuple(piece.ids),
                    tuple(piece.spans_s),
                    duration_s,
                    tuple(piece.log_probs),
                    stopped_by,
                    method,
                    self.sha256,
                    self.vocab_size,
                )
            )
        return strings


@dataclass(frozen=True)
class _Told:
    """What one window said: a generated piece, or a code per frame with its log score."""

    piece: Piece | None
    chose_eos: bool
    path: list[int]
    fit: list[float]


def _join(plan: list[Window], told: list[_Told], duration_s: float) -> Piece:
    """Cut the windows' code paths at the seams, put them together, and collapse runs."""
    path: list[int] = []
    fit: list[float] = []
    for window, one in zip(plan, told, strict=True):
        first = round((window.keep_from_s - window.start_s) * FRAME_RATE_HZ)
        last = len(one.path) if window is plan[-1] else round((window.keep_to_s - window.start_s) * FRAME_RATE_HZ)
        path += one.path[first:last]
        fit += one.fit[first:last]
    ids, starts = runs_of(torch.tensor(path), len(path))
    edges = [*starts, len(path)]
    spans = [
        (min(s / FRAME_RATE_HZ, duration_s), min(e / FRAME_RATE_HZ, duration_s))
        for s, e in zip(edges[:-1], edges[1:], strict=True)
    ]
    mean_fit = [float(np.mean(fit[s:e])) for s, e in zip(edges[:-1], edges[1:], strict=True)]
    return Piece(ids, spans, mean_fit)


def _samples(audio: Audio) -> np.ndarray:
    if isinstance(audio, (str, Path)):
        return read_audio(audio)
    return wave_from_array(np.asarray(audio), SAMPLE_RATE_HZ)
