"""What the tabs call: a loaded tokenizer and plain results. No Gradio in here, so it is tested without a browser."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from app import limits, uploads
from app.page_models import Choices, Models, parent_of
from app.result import Envelope, MelImage, ModelInfo, TokenizeResult
from app.runs import Cancelled as Cancelled
from app.runs import Progress, Runs, between_steps
from app.zero_gpu import Slots
from pairalign.audio import SAMPLE_RATE_HZ, AudioLimits, read_audio
from pairalign.errors import PairAlignError
from pairalign.strings import TokenString

ENVELOPE_BINS = 1_000  # each bin is one minimum and one maximum: 2,000 points at most reach the browser
MEL_COLUMNS = 1_000
MEL_HOP_S = 0.010
MEL_RANGE_NATS = 11.5  # 50 dB
MEL_CHUNK_S = 60.0  # the spectrogram of a long recording is made piece by piece, so memory stays bounded
PUBLIC_MAX_DURATION_S = 120.0
BATCH_SIZE = 8  # windows: whoever comes while a long recording is written waits a second for one batch, not for all
DEFAULT_METHODS = ("pairalign", "vq")

_Result = TypeVar("_Result")


def wave_envelope(wave: np.ndarray, bins: int = ENVELOPE_BINS, rate_hz: int = SAMPLE_RATE_HZ) -> Envelope:
    """Minimum and maximum per bin: peaks survive, however long the recording is."""
    bins = max(1, min(bins, wave.size))
    edges = np.linspace(0, wave.size, bins + 1).astype(np.int64)
    times_s = (edges[:-1] + edges[1:]) / (2.0 * rate_hz)
    return Envelope(times_s, np.minimum.reduceat(wave, edges[:-1]), np.maximum.reduceat(wave, edges[:-1]))


def pool_columns(mel: np.ndarray, columns: int) -> np.ndarray:
    """(bands, T) -> (bands, at most ``columns``): the mean of equally many neighbours."""
    per_column = math.ceil(mel.shape[1] / columns)
    starts = np.arange(0, mel.shape[1], per_column)
    counts = np.diff(np.append(starts, mel.shape[1]))
    return np.add.reduceat(mel, starts, axis=1) / counts


def mel_image(wave: np.ndarray, columns: int = MEL_COLUMNS, warp: float = 1.0) -> MelImage:
    """Log-mel energies of the whole recording from the loudest down to 50 dB below, few enough columns to draw.

    warp: the vocal-tract factor of a view, which exists on the mel axis only.
    """
    import torch

    from pairalign.features import raw_log_mel, warp_bands

    per_chunk = int(MEL_CHUNK_S * SAMPLE_RATE_HZ)
    chunks = []
    with torch.inference_mode():
        for start in range(0, wave.size, per_chunk):
            piece = torch.from_numpy(wave[start : start + per_chunk].copy())
            energies, _ = raw_log_mel(piece[None], torch.tensor([piece.numel()]))
            chunks.append(warp_bands(energies, torch.tensor([warp]))[0].numpy())
    frames = np.concatenate(chunks, axis=1)
    pooled = pool_columns(frames, columns)
    scaled = np.clip((pooled - pooled.max()) / MEL_RANGE_NATS + 1.0, 0.0, 1.0)
    return MelImage(np.round(scaled * 255).astype(np.uint8), MEL_HOP_S * math.ceil(frames.shape[1] / columns))


def opening(wave: np.ndarray) -> np.ndarray:
    """All of a recording that the model reads in one go, else its first window: (T,) float32."""
    from pairalign.windows import LONGEST_S, WINDOW_S

    return wave if wave.size <= LONGEST_S * SAMPLE_RATE_HZ else wave[: round(WINDOW_S * SAMPLE_RATE_HZ)].copy()


def to_int16(wave: np.ndarray) -> np.ndarray:
    """Float samples in [−1, 1] as 16-bit integers; integers are played as they are, not normalised again."""
    return np.round(np.clip(wave, -1.0, 1.0) * 32_767).astype(np.int16)


class Services:
    """Holds the tokenizers of the pages and runs recordings through them."""

    def __init__(
        self,
        checkpoint: str = "base",
        device: str = "auto",
        public: bool = False,
        microphone: bool = False,
        slots: Slots | None = None,
        loaded: Any = None,
    ) -> None:
        """slots: of a shared GPU with the same checkpoint; `device` is then where everything else computes.

        loaded: the checkpoint's tokenizer, where it is there already.
        """
        self.checkpoint = self.given = checkpoint
        self.page = ""  # whose choice of a checkpoint counts, and whose runs these are
        self.device = device
        self.public = public
        self.microphone = microphone  # whether pages may listen to this machine's own microphones
        self.limits = AudioLimits(max_duration_s=PUBLIC_MAX_DURATION_S) if public else AudioLimits()
        self.allowed = limits.PUBLIC if public else limits.LOCAL
        self._slots = slots
        self._models = Models(checkpoint, device, loaded)
        self._choices = Choices(checkpoint)
        self._pinned: Any = None  # the tokenizer, once it was asked for
        self._runs = Runs()

    def of(self, page: str) -> Services:
        """The same services with the checkpoint that an open page has chosen, which stays the same from now on.

        So what runs finishes with the weights it began with. Two pages with one checkpoint share the weights.
        """
        view = copy.copy(self)
        view.page, view.checkpoint, view._pinned = page, self._choices.current(page), None
        return view

    def tokenizer(self) -> Any:
        """The tokenizer, loaded on first use. Raises ValueError (CheckpointError) when it cannot be."""
        if self._pinned is None:
            self._pinned = self._models.get(self.checkpoint)
        return self._pinned

    def use(self, checkpoint: str) -> None:
        """Load another checkpoint for this page; what runs now finishes with the one it began with.

        Raises: ValueError when it cannot be loaded (the old one stays), or when strangers share the app.
        """
        if self.public or self._slots:
            raise PairAlignError("The checkpoint of a public app cannot be changed: start your own with python app.py.")
        loaded = self._models.get(checkpoint)
        self._choices.set(self.page, checkpoint, parent_of(loaded))
        self._pinned, self.checkpoint = loaded, checkpoint

    def news(self) -> str:
        """What the page should say about its checkpoint, once: that it was deleted, and what is used instead."""
        return self._choices.news(self.page)

    def leave(self) -> None:
        """The page was closed: its runs end, and its choice of a checkpoint is forgotten after a while."""
        self._runs.leave(self.page)
        self._choices.leave(self.page)

    def model_info(self) -> ModelInfo:
        """Name, size and origin of the loaded checkpoint."""
        tokenizer = self.tokenizer()
        return ModelInfo(
            name=str(tokenizer.name),
            sha256=str(tokenizer.sha256),
            device=self._slots.device if self._slots else str(tokenizer.device),
            parameters=sum(int(weight.numel()) for weight in tokenizer.model.parameters()),
            vocab_size=int(tokenizer.vocab_size),
            sidecar=dict(tokenizer.sidecar or {}),
        )

    def check_model(self, model: ModelInfo) -> None:
        """Raises ValueError for a result of another model than this page's: the two together mean nothing."""
        own = self.tokenizer()
        if model.sha256 != own.sha256:
            raise PairAlignError(
                f"This result was made with the checkpoint {model.name}, and this page now uses {own.name}: run it "
                f"again, or choose {model.name} again."
            )

    def methods(self) -> tuple[str, ...]:
        """The kinds of strings this checkpoint can make; some need baselines that were fitted for it."""
        from pairalign.model.baselines import FITTED_METHODS
        from pairalign.tokenizer import METHODS

        fitted = self.tokenizer().baselines is not None
        return tuple(method for method in METHODS if fitted or method not in FITTED_METHODS)

    def _in_order(self, chosen: Sequence[str]) -> list[str]:
        known = self.methods()
        unknown = [method for method in chosen if method not in known]
        if unknown or not chosen:
            wrong = f"{unknown[0]!r} is none that this checkpoint can make" if unknown else "none is chosen"
            raise PairAlignError(f"Kinds of token strings: {wrong}. Choose one or more of {', '.join(known)}.")
        return [method for method in known if method in chosen]

    def tokenize(
        self,
        path: str | Path | None,
        methods: Sequence[str] = DEFAULT_METHODS,
        progress: Progress | None = None,
        run_id: str = "",
    ) -> TokenizeResult:
        """Tokenize one file with each of ``methods``, told in the order of :meth:`methods`.

        User's mistakes are ValueError; :meth:`stop` raises Cancelled.
        """
        from pairalign.tokenizer import Tokenizer

        with self.running(run_id, progress) as report:
            methods = self._in_order(methods)
            wave = self.read(path)
            report(0.05)
            started = time.perf_counter()
            told = self.compute(Tokenizer.tokenize_methods, [wave], methods, BATCH_SIZE, progress=portion(report))
            strings = {method: string for method, (string,) in told.items()}
            seconds = time.perf_counter() - started
            report(1.0)
            return TokenizeResult(
                file_name=Path(str(path)).name,
                duration_s=wave.size / SAMPLE_RATE_HZ,
                samples=to_int16(wave),
                opening=opening(wave),
                envelope=wave_envelope(wave),
                mel=mel_image(wave),
                strings=strings,
                seconds=seconds,
                model=self.model_info(),
            )

    def opening_string(self, result: TokenizeResult) -> TokenString:
        """PairAlign's string of the seconds that the model reads in one go: the result's own where it is that."""
        self.check_model(result.model)
        if result.is_short and "pairalign" in result.strings:
            return result.strings["pairalign"]
        from pairalign.tokenizer import Tokenizer

        return self.compute(Tokenizer.tokenize, result.opening)

    def read(self, path: str | Path | None) -> np.ndarray:
        """The recording (T,) at 16 kHz. Raises ValueError (AudioError) when there is none or it cannot be used."""
        if not path:
            raise PairAlignError("There is no recording yet: record or upload one above, or choose an example.")
        uploads.keep(path)
        return read_audio(path, self.limits)

    def run(self, tab: str) -> str:
        """What the run of one of this page's tabs is called."""
        return f"{self.page}/{tab}"

    def stop(self, run_id: str) -> bool:
        """Ask the run to end at its next progress report; False when there is no such run."""
        return self._runs.stop(run_id)

    def compute(
        self, work: Callable[..., _Result], *args: Any, progress: Progress | None = None, **options: Any
    ) -> _Result:
        """`work(tokenizer, *args, **options)`, where this app computes: here, or in a slot of a shared GPU.

        work: a function or method that is found by name in its module; it gets `progress` too where that can be told,
        and lets others go first whenever it reports some.
        """
        if self._slots is None:
            return self.compute_here(work, *args, progress=progress, **options)
        with self._runs.turn(self.page):
            return self._slots.run(work, *args, **options)

    def compute_here(
        self, work: Callable[..., _Result], *args: Any, progress: Progress | None = None, **options: Any
    ) -> _Result:
        """As `compute`, but never in a slot."""
        with self._runs.turn(self.page) as turn:
            told = {} if progress is None else {"progress": between_steps(progress, turn)}
            return work(self.tokenizer(), *args, **options, **told)

    @contextmanager
    def model(self) -> Iterator[Any]:
        """The tokenizer, for one thread at a time; never the one on a shared GPU, for which there is `compute`."""
        tokenizer = self.tokenizer()
        with self._runs.turn(self.page):
            yield tokenizer

    def running(self, run_id: str, progress: Progress | None = None) -> AbstractContextManager[Progress]:
        """A run that :meth:`stop` can end: reporting progress raises Cancelled from then on."""
        return self._runs.running(run_id, progress)


def portion(report: Progress) -> Progress:
    """Progress of the tokenizing as its share of the whole run, between 5 and 95 % of it."""
    return lambda fraction: report(0.05 + 0.9 * min(max(fraction, 0.0), 1.0))
