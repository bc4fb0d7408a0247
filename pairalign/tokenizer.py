"""Tokenizer: audio -> TokenString, for one recording or many, of any length, on any device.

Silence, steady noise and hum have no tokens: a string is written for what `gate.passages` leaves of a recording, and is
empty where that is nothing.

Shapes: B windows, T frames (20 ms), U tokens, K codes.
"""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
import torch

from pairalign.assembly import Passage, WindowOutput, assemble, cut_passages
from pairalign.audio import SAMPLE_RATE_HZ
from pairalign.audio_input import Audio, load_wave, load_waves
from pairalign.batching import check_batch, each_window, padded, unpadded
from pairalign.decoding import DecodingOptions, check_options, decode, length_limits
from pairalign.device import compute_exactly, pick_device
from pairalign.errors import PairAlignError
from pairalign.features import LogMel, log_mel
from pairalign.frame_paths import code_paths, mfcc_paths
from pairalign.framewise import join_windows
from pairalign.likelihood import condition_gains
from pairalign.mfcc import mfcc
from pairalign.model import PairAlignModel
from pairalign.model.baselines import FIT_COMMAND, FITTED_METHODS, Baselines
from pairalign.model.decoder import Condition
from pairalign.model.encoder import FRAME_RATE_HZ
from pairalign.model.loading import load_with_baselines
from pairalign.model.network import Encoded
from pairalign.placement import placed, token_starts
from pairalign.strings import TokenString
from pairalign.windows import LONGEST_S, Piece, Window, plan_windows, whole

BEAM = DecodingOptions(beam=4)  # separation .53 against .52 for greedy, at half again the time for one clip
METHODS = ("pairalign", "vq", "vq_raw", "viterbi", "viterbi_cost", "bpe", "mfcc")
FRAME_FEATURES = ("encoder", "mfcc")


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
        compute_exactly(self.device)
        self.vocab_size = model.config.codes
        self.frame_rate_hz = FRAME_RATE_HZ

    def tokenize(
        self,
        audio: Audio,
        method: str = "pairalign",
        options: DecodingOptions = BEAM,
        progress: Callable[[float], None] | None = None,
        *,
        sample_rate: int | None = None,
    ) -> TokenString:
        """The token string of one recording.

        Args:
            audio: a file (path, bytes, open file), samples (T,), (T, C) or (C, T), or samples with their rate:
                (rate, samples) or (samples, rate).
            method: "pairalign" (generated), "vq" (codes of every frame, repeats collapsed), "vq_raw" (not collapsed),
                "viterbi" (VQ smoothed), "viterbi_cost" (smoothed, with rare codes dearer), "bpe" (VQ with frequent
                neighbours merged: its vocabulary is larger) or "mfcc" (clusters of MFCC frames instead of codes).
                The last three need a checkpoint with fitted baselines.
            options: how the string is searched for; `DecodingOptions()` is greedy, the fastest.
            progress: called with the share done, from 0 to 1.
            sample_rate: hertz of samples that come without a rate; 16,000 when it is None.
        Raises: AudioError for audio that can not be used, PairAlignError for a method that is unknown or not fitted.
        """
        return self.tokenize_batch([audio], method, options=options, progress=progress, sample_rate=sample_rate)[0]

    @torch.inference_mode()
    def tokenize_batch(
        self,
        audio: Sequence[Audio],
        method: str = "pairalign",
        batch_size: int = 16,
        options: DecodingOptions = BEAM,
        progress: Callable[[float], None] | None = None,
        warps: Sequence[float] | None = None,
        *,
        sample_rate: int | None = None,
    ) -> list[TokenString]:
        """The token strings of many recordings, in order; `batch_size` windows are computed at a time.

        warps: vocal-tract factors of `views`, one per recording: that part of a view exists on the mel axis only.
        """
        self.check_method(method)
        how = (batch_size, options, progress, warps)
        return self.tokenize_methods(audio, [method], *how, sample_rate=sample_rate)[method]

    @torch.inference_mode()
    def tokenize_methods(
        self,
        audio: Sequence[Audio],
        methods: Collection[str],
        batch_size: int = 16,
        options: DecodingOptions = BEAM,
        progress: Callable[[float], None] | None = None,
        warps: Sequence[float] | None = None,
        *,
        sample_rate: int | None = None,
    ) -> dict[str, list[TokenString]]:
        """`tokenize_batch` with one or more methods, by name: the encoder, which most of them share, runs once."""
        if isinstance(methods, str) or not isinstance(methods, Collection):
            raise PairAlignError(f"methods is {methods!r}; use a list of names of methods.")
        if not methods:
            raise PairAlignError(f"no method is given; use one or more of {', '.join(METHODS)}.")
        for method in methods:
            self.check_method(method)
        check_options(options)
        waves = load_waves(audio, sample_rate)
        check_batch(batch_size, warps, len(waves), progress)
        cut = cut_passages(waves)
        shared = any(method != "mfcc" for method in methods)

        def write(parts: list[np.ndarray], windows: list[Window], warp: torch.Tensor | None) -> list[tuple]:
            heard = self._encode(parts, warp) if shared else None
            outputs = []
            for method in methods:
                if heard is None or method == "mfcc":  # the one that needs no encoder
                    outputs.append(self._mfcc_paths(parts, warp))
                elif method == "pairalign":
                    outputs.append(self._generated(*heard, windows, options))
                else:
                    outputs.append(self._code_paths(heard[1], method))
            return list(zip(*outputs, strict=True))

        sounds, plans = [passage.wave for passage in cut], [passage.plan for passage in cut]
        own_warps = None if warps is None else [warps[passage.recording] for passage in cut]
        outputs = each_window(sounds, plans, write, batch_size, own_warps, progress, self._threads())
        return {
            method: self._strings(waves, cut, [one[k] for one in outputs], method) for k, method in enumerate(methods)
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
        """Raises: PairAlignError for a method that is unknown, or was not fitted for this checkpoint."""
        if not isinstance(method, str) or method not in METHODS:
            raise PairAlignError(f"method is {method!r}; use one of {', '.join(METHODS)}.")
        if method in FITTED_METHODS:
            self._fitted(method)

    @torch.inference_mode()
    def frame_features(
        self,
        audio: Sequence[Audio],
        kind: str = "encoder",
        batch_size: int = 16,
        warps: Sequence[float] | None = None,
        *,
        sample_rate: int | None = None,
    ) -> list[np.ndarray]:
        """What strings are made from, a row per 20 ms frame: (T, D) float32 for each recording.

        kind: "encoder" (latents of unit norm) or "mfcc" (with deltas, mean and variance normalised over the recording).
        Raises: AudioError for audio that can not be used, ValueError for an unknown kind.
        """
        if not isinstance(kind, str) or kind not in FRAME_FEATURES:
            raise PairAlignError(f"kind is {kind!r}; use one of {', '.join(FRAME_FEATURES)}.")
        waves = load_waves(audio, sample_rate)
        # nothing ties MFCC to the encoder's windows, and word search needs its normalisation over all there is
        plans = [plan_windows(len(wave)) if kind == "encoder" else [whole(len(wave))] for wave in waves]

        def hear(parts: list[np.ndarray], _: list[Window], warp: torch.Tensor | None) -> list[np.ndarray]:
            if kind == "mfcc":
                return unpadded(*mfcc(*padded(parts, warp, self.device)))
            encoded = self._encode(parts, warp)[1]
            return unpadded(encoded.latents, encoded.lengths)

        told = iter(each_window(waves, plans, hear, batch_size, warps, None, self._threads()))
        return [join_windows(plan, [next(told) for _ in plan]) for plan in plans]

    def condition_gain(
        self,
        audio: Sequence[Audio],
        strings: Sequence[TokenString],
        unrelated: Sequence[int] | None = None,
        *,
        sample_rate: int | None = None,
    ) -> np.ndarray:
        """How much better strings fit their own recordings than unrelated ones: `likelihood.condition_gains`."""
        return condition_gains(self, strings, load_waves(audio, sample_rate), unrelated)

    @torch.inference_mode()
    def condition(self, audio: Audio, *, sample_rate: int | None = None) -> Condition:
        """What the decoder reads of one recording, (1, T, D).

        Raises: AudioError for audio that can not be used, ValueError for a recording longer than one window.
        """
        wave = load_wave(audio, sample_rate)
        if len(plan_windows(len(wave))) > 1:
            raise PairAlignError(
                f"the recording lasts {len(wave) / SAMPLE_RATE_HZ:.2f} s, and the decoder reads {LONGEST_S} s at once. "
                "Use a part of it that is no longer."
            )
        return self.model.condition(self._encode([wave])[1])

    def _fitted(self, method: str) -> Baselines:
        if self.baselines is None:
            raise PairAlignError(f"checkpoint {self.name} holds no baseline {method!r}: add it with {FIT_COMMAND}.")
        return self.baselines

    def _threads(self) -> int:
        return torch.get_num_threads() if self.device == "cpu" else 1

    def _encode(self, waves: list[np.ndarray], warp: torch.Tensor | None = None) -> tuple[LogMel, Encoded]:
        features = log_mel(*padded(waves, warp, self.device))
        return features, self.model.encode(features)

    def _generated(
        self, features: LogMel, encoded: Encoded, windows: list[Window], options: DecodingOptions
    ) -> list[WindowOutput]:
        condition = self.model.condition(encoded)
        decoded = decode(self.model.decoder, condition, *length_limits(features, options), options)
        starts = token_starts(self.model, encoded, decoded.tokens, decoded.lengths, decoded.attention)
        pieces = placed(windows, decoded, starts, encoded.lengths)
        return [
            WindowOutput(piece, chose_eos, _NOTHING, _NOTHING)
            for piece, chose_eos in zip(pieces, decoded.chose_eos.tolist(), strict=True)
        ]

    def _code_paths(self, encoded: Encoded, method: str) -> list[WindowOutput]:
        fitted = self._fitted(method) if method in FITTED_METHODS else self.baselines
        return [WindowOutput(_NO_PIECE, True, *row) for row in code_paths(self.model.codebook, encoded, method, fitted)]

    def _mfcc_paths(self, waves: list[np.ndarray], warp: torch.Tensor | None) -> list[WindowOutput]:
        paths = mfcc_paths(*padded(waves, warp, self.device), self._fitted("mfcc").mfcc_codes)
        return [WindowOutput(_NO_PIECE, True, codes, _NOTHING) for codes in paths]

    def _strings(
        self, waves: list[np.ndarray], cut: list[Passage], outputs: list[WindowOutput], method: str
    ) -> list[TokenString]:
        merges = self._fitted(method).merges if method == "bpe" else None
        written = assemble(len(waves), cut, outputs, method, merges, self.vocab_size)
        return [
            TokenString(
                tuple(one.piece.ids),
                tuple(one.piece.spans_s),
                len(wave) / SAMPLE_RATE_HZ,
                tuple(one.piece.log_probs),
                ("eos" if one.chose_eos else "limit") if method == "pairalign" else None,
                method,
                self.sha256,
                self.vocabulary(method),
            )
            for wave, one in zip(waves, written, strict=True)
        ]


_NOTHING = np.zeros(0, dtype=np.float32)
_NO_PIECE = Piece([], [], [])
