"""What the tests of the archive share: a tokenizer that reads the content itself, and decoders in this process."""

from pathlib import Path

import numpy as np
import soundfile

from pairalign.archive import decoder
from pairalign.archive.decoder import Part
from pairalign.audio import AudioError, read_audio, read_parts
from pairalign.errors import PairAlignError
from pairalign.strings import TokenString

CLIP_S = 0.3


def clip(number: int) -> np.ndarray:
    """Clip number `number`, (4800,): as long as every other one, and its string says which it is."""
    wave = np.full(round(CLIP_S * 16_000), 0.25, np.float32)
    wave[::2] = -0.25
    wave[800:802] = np.array([number // 100, number % 100]) / 128 - 0.5
    return wave


def write_clip(path: Path, number: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, clip(number), 16_000, subtype="PCM_16")
    return path


class ReadingTokenizer:
    """Stands in for a tokenizer: a clip's string is its number, in two tokens of 0 to 99, between those 100 and 101."""

    name, sha256, device = "reading", "ab" * 32, "cpu"

    def vocabulary(self, method: str) -> int:
        return 128

    def check_method(self, method: str) -> None:
        if method not in ("pairalign", "vq"):
            raise PairAlignError(f"method is {method!r}; use one of pairalign, vq.")

    def tokenize(self, audio, method: str = "pairalign", sample_rate: int | None = None) -> TokenString:
        wave = audio if isinstance(audio, np.ndarray) else read_audio(audio)
        high, low = np.rint((wave[800:802] + 0.5) * 128).astype(int).tolist()
        ids, end_s = (100, high, low, 101), len(wave) / 16_000
        spans = tuple((k * end_s / 4, (k + 1) * end_s / 4) for k in range(4))
        return TokenString(ids, spans, end_s, (), "eos", method, self.sha256, 128)

    def tokenize_methods(self, waves, methods, batch_windows) -> dict[str, list[TokenString]]:
        return {method: [self.tokenize(wave, method) for wave in waves] for method in methods}


def number_of(ids) -> int:
    """The number of the clip with this string."""
    return 100 * int(ids[1]) + int(ids[2])


class DecodersHere:
    """Decodes in this process instead of in others, which take a second to start."""

    def __init__(self, paths, workers, idle=None) -> None:
        self.paths = paths

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        pass

    def __iter__(self):
        for number, path in enumerate(self.paths):
            try:
                waves = list(read_parts(path, decoder.PART_S))
            except AudioError as error:
                yield Part(number, error=str(error), last=True)
                continue
            for wave in waves:
                yield Part(number, wave, last=wave is waves[-1])
