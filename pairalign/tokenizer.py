"""Tokenizer: audio -> TokenString, for one recording or many, of any length, on any device.

Shapes: B windows, T frames (20 ms), U tokens, K codes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pairalign.audio import SAMPLE_RATE_HZ, read_audio, wave_from_array
from pairalign.batching import each_window, unpadded
from pairalign.decoding import DecodingOptions, decode, length_limits
from pairalign.device import pick_device
from pairalign.errors import PairAlignError
from pairalign.features import LogMel, log_mel
from pairalign.framewise import frame_tokens, join_windows, merge_tokens
from pairalign.likelihood import log_likelihoods
from pairalign.mfcc import mfcc
from pairalign.model import PairAlignModel
from pairalign.model.baselines import FITTED_METHODS, Baselines
from pairalign.model.chooser import Chooser
from pairalign.model.decoder import Condition
from pairalign.model.encoder import FRAME_RATE_HZ
from pairalign.model.loading import load_with_baselines
from pairalign.model.network import Encoded
from pairalign.placement import placed, token_starts
from pairalign.strings import TokenString
from pairalign.windows import LONGEST_S, Piece, Window, plan_windows, stitch, whole

BEAM = DecodingOptions(beam=4)  # separation .53 against .52 for greedy, at half again the time for one clip
METHODS = ("pairalign", "vq", "vq_raw", "viterbi", "viterbi_cost", "bpe", "mfcc")
FRAME_FEATURES = ("encoder", "mfcc")
Audio = str | Path | np.ndarray


def load(name_or_path: str | Path = "base", device: str = "auto") -> "Tokenizer":
    """Load a shipped checkpoint by name, or any checkpoint by path.

    Raises: CheckpointError when it is missing, damaged, or made for other features or another architecture.
    """
    target = pick_device(device)
    model, sidecar, baselines = load_with_baselines(name_or_path)
    return Tokenizer(model.to(target).eval(), sidecar, baselines)


class Tokenizer:
    """A loaded model. Strings do not depend on batch size, padding, or what else is in a batch."""

    def __init__(self, model: PairAlignModel, sidecar: dict, baselines: Baselines | None = None):
        self.model = model.requires_grad_(False).eval()
        self.sidecar = sidecar
        self.baselines = baselines
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
            method: "pairalign" (generated), "vq" (codes of every frame, repeats collapsed), "vq_raw" (not collapsed),
                "viterbi" (VQ smoothed), "viterbi_cost" (smoothed, with rare codes dearer), "bpe" (VQ with frequent
                neighbours merged: its vocabulary is larger) or "mfcc" (clusters of MFCC frames instead of codes).
                The last three need a checkpoint with fitted baselines.
            options: how the string is searched for; `DecodingOptions()` is greedy, the fastest.
            progress: called with the share done, from 0 to 1.
        Raises: AudioError for audio that can not be used, ValueError for a method that is unknown or was not fitted.
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
        return self.tokenize_methods(audio, [method], batch_size, options, progress, warps)[method]

    @torch.inference_mode()
    def tokenize_methods(
        self,
        audio: Sequence[Audio],
        methods: Sequence[str],
        batch_size: int = 16,
        options: DecodingOptions = BEAM,
        progress: Callable[[float], None] | None = None,
        warps: Sequence[float] | None = None,
    ) -> dict[str, list[TokenString]]:
        """`tokenize_batch` with one or more methods, by name: the encoder, which most of them share, runs once."""
        if not methods:
            raise PairAlignError(f"no method is given; use one or more of {', '.join(METHODS)}.")
        for method in methods:
            self.check_method(method)
        waves = [_samples(a) for a in audio]
        plans = [plan_windows(len(wave)) for wave in waves]
        shared = any(method != "mfcc" for method in methods)

        def write(parts: list[np.ndarray], windows: list[Window], warp: torch.Tensor | None) -> list[tuple]:
            heard = self._encode(parts, warp) if shared else None
            told = []
            for method in methods:
                if heard is None or method == "mfcc":  # the one that needs no encoder
                    told.append(self._mfcc_paths(parts, warp))
                elif method == "pairalign":
                    told.append(self._generated(*heard, windows, options))
                else:
                    told.append(self._code_paths(heard[1], method))
            return list(zip(*told, strict=True))

        told = each_window(waves, plans, write, batch_size, warps, progress, self._threads())
        return {
            method: self._assemble(waves, plans, [one[k] for one in told], method) for k, method in enumerate(methods)
        }

    @torch.inference_mode()
    def pieces(
        self, parts: Sequence[np.ndarray], windows: Sequence[Window], options: DecodingOptions = BEAM
    ) -> list[Piece]:
        """The generated tokens of every window for itself, not stitched; its samples (T,) float32 are in `parts`."""
        return [told.piece for told in self._generated(*self._encode(list(parts)), list(windows), options)]

    def vocabulary(self, method: str) -> int:
        """How many different tokens the strings of a method can hold."""
        return self.vocab_size + (len(self._fitted(method).bpe_merges) if method == "bpe" else 0)

    def check_method(self, method: str) -> None:
        """Raises: ValueError for a method that is unknown, or was not fitted for this checkpoint."""
        if method not in METHODS:
            raise PairAlignError(f"method is {method!r}; use one of {', '.join(METHODS)}.")
        if method in FITTED_METHODS:
            self._fitted(method)

    @torch.inference_mode()
    def frame_features(
        self, audio: Sequence[Audio], kind: str = "encoder", batch_size: int = 16, warps: Sequence[float] | None = None
    ) -> list[np.ndarray]:
        """What strings are made from, a row per 20 ms frame: (T, D) float32 for each recording.

        kind: "encoder" (latents of unit norm) or "mfcc" (with deltas, mean and variance normalised over the recording).
        Raises: AudioError for audio that can not be used, ValueError for an unknown kind.
        """
        if kind not in FRAME_FEATURES:
            raise PairAlignError(f"kind is {kind!r}; use one of {', '.join(FRAME_FEATURES)}.")
        waves = [_samples(a) for a in audio]
        # nothing ties MFCC to the encoder's windows, and word search needs its normalisation over all there is
        plans = [plan_windows(len(wave)) if kind == "encoder" else [whole(len(wave))] for wave in waves]

        def hear(parts: list[np.ndarray], _: list[Window], warp: torch.Tensor | None) -> list[np.ndarray]:
            if kind == "mfcc":
                return unpadded(*mfcc(*self._padded(parts, warp)))
            encoded = self._encode(parts, warp)[1]
            return unpadded(encoded.latents, encoded.lengths)

        told = iter(each_window(waves, plans, hear, batch_size, warps, None, self._threads()))
        return [join_windows(plan, [next(told) for _ in plan]) for plan in plans]

    def condition_gain(
        self, audio: Sequence[np.ndarray], strings: Sequence[TokenString], unrelated: Sequence[int] | None = None
    ) -> np.ndarray:
        """G = lbar(y | own audio) - lbar(y | unrelated audio), nat per token (method: anti-bypass).

        Args:
            audio: at least two recordings (T,) that fit one window, and their strings.
            unrelated: for each, the index of a recording that says something else; by default the next in the list.
        Raises: as `likelihood.log_likelihoods`.
        """
        if len(audio) < 2:
            raise PairAlignError("condition_gain compares with unrelated audio: give two recordings or more.")
        other = unrelated if unrelated is not None else [(i + 1) % len(audio) for i in range(len(audio))]
        pairs = [(audio[i], audio[other[i]]) for i in range(len(audio))]
        told = [log_likelihoods(self, [string], pair)[0] for string, pair in zip(strings, pairs, strict=True)]
        return np.array([own - unrelated for own, unrelated in told])

    @torch.inference_mode()
    def condition(self, audio: Audio) -> Condition:
        """What the decoder reads of one recording, (1, T, D).

        Raises: AudioError for audio that can not be used, ValueError for a recording longer than one window.
        """
        wave = _samples(audio)
        if len(plan_windows(len(wave))) > 1:
            raise PairAlignError(
                f"the recording lasts {len(wave) / SAMPLE_RATE_HZ:.2f} s, and the decoder reads {LONGEST_S} s at once. "
                "Use a part of it that is no longer."
            )
        return self.model.condition(self._encode([wave])[1])

    def _fitted(self, method: str) -> Baselines:
        if self.baselines is None:
            raise PairAlignError(
                f"checkpoint {self.name} holds no baseline {method!r}: add it with "
                "python -m scripts.fit_baselines CHECKPOINT.safetensors --manifest CSV --out NEW.safetensors."
            )
        return self.baselines

    def _threads(self) -> int:
        return torch.get_num_threads() if self.device == "cpu" else 1

    def _padded(
        self, waves: list[np.ndarray], warp: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """On the device: waves (B, T), their lengths (B,) in samples, and the warps (B,)."""
        lengths = torch.tensor([len(w) for w in waves])
        padded = torch.zeros(len(waves), int(lengths.max()))
        for row, wave in zip(padded, waves, strict=True):
            row[: len(wave)] = torch.from_numpy(np.ascontiguousarray(wave))
        return padded.to(self.device), lengths.to(self.device), None if warp is None else warp.to(self.device)

    def _encode(self, waves: list[np.ndarray], warp: torch.Tensor | None = None) -> tuple[LogMel, Encoded]:
        features = log_mel(*self._padded(waves, warp))
        return features, self.model.encode(features)

    def _generated(
        self, features: LogMel, encoded: Encoded, windows: list[Window], options: DecodingOptions
    ) -> list["_Told"]:
        condition = self.model.condition(encoded)
        decoded = decode(self.model.decoder, condition, *length_limits(features, options), options)
        starts = token_starts(self.model, encoded, decoded.tokens, decoded.lengths, decoded.attention)
        pieces = placed(windows, decoded, starts, encoded.lengths)
        return [
            _Told(piece, chose_eos, _NOTHING, _NOTHING)
            for piece, chose_eos in zip(pieces, decoded.chose_eos.tolist(), strict=True)
        ]

    def _code_paths(self, encoded: Encoded, method: str) -> list["_Told"]:
        book = self.model.codebook
        if method == "viterbi":
            fitted = None if self.baselines is None else self.baselines.viterbi_penalty
            path = book.viterbi(encoded.latents, encoded.lengths, fitted)
        elif method == "viterbi_cost":
            baselines = self._fitted(method)
            chooser = Chooser(book, baselines.code_cost.to(self.device), baselines.cost_penalty)
            path = chooser.paths(encoded.latents, encoded.lengths)
        else:
            path = book.nearest(encoded.latents)
        fit = book.log_scores(encoded.latents).gather(2, path[:, :, None])[:, :, 0]
        rows = zip(unpadded(path, encoded.lengths), unpadded(fit, encoded.lengths), strict=True)
        return [_Told(_NO_PIECE, True, codes, scores) for codes, scores in rows]

    def _mfcc_paths(self, waves: list[np.ndarray], warp: torch.Tensor | None) -> list["_Told"]:
        features, frames = mfcc(*self._padded(waves, warp))
        path = (features @ self._fitted("mfcc").mfcc_codes.to(self.device).T).argmax(-1)
        return [_Told(_NO_PIECE, True, codes, _NOTHING) for codes in unpadded(path, frames)]

    def _assemble(
        self, waves: list[np.ndarray], plans: list[list[Window]], told: list["_Told"], method: str
    ) -> list[TokenString]:
        strings, at = [], 0
        for wave, plan in zip(waves, plans, strict=True):
            mine = told[at : at + len(plan)]
            at += len(plan)
            duration_s = len(wave) / SAMPLE_RATE_HZ
            piece = self._piece(plan, mine, duration_s, method)
            ended = "eos" if all(t.chose_eos for t in mine) else "limit"
            strings.append(
                TokenString(
                    tuple(piece.ids),
                    tuple(piece.spans_s),
                    duration_s,
                    tuple(piece.log_probs),
                    ended if method == "pairalign" else None,
                    method,
                    self.sha256,
                    self.vocabulary(method),
                )
            )
        return strings

    def _piece(self, plan: list[Window], told: list["_Told"], duration_s: float, method: str) -> Piece:
        if method == "pairalign":
            return stitch(plan, [t.piece for t in told])
        path, fit = join_windows(plan, [t.path for t in told]), join_windows(plan, [t.fit for t in told])
        piece = frame_tokens(path, fit, duration_s, collapse=method != "vq_raw")
        return merge_tokens(piece, self._fitted(method).merges, self.vocab_size) if method == "bpe" else piece


_NOTHING = np.zeros(0, dtype=np.float32)
_NO_PIECE = Piece([], [], [])


@dataclass(frozen=True)
class _Told:
    """What one window said: a generated piece, or a code per frame with its log score (no score for MFCC)."""

    piece: Piece
    chose_eos: bool
    path: np.ndarray
    fit: np.ndarray


def _samples(audio: Audio) -> np.ndarray:
    if isinstance(audio, (str, Path)):
        return read_audio(audio)
    return wave_from_array(np.asarray(audio), SAMPLE_RATE_HZ)
