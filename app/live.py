"""Listening in the page: streams of audio come in by pieces, tokens and a picture of the sound go out.

The page holds nothing but the name of its stream; names can not be guessed. A stream that nobody feeds is let go of.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from app.services import MEL_RANGE_NATS, Services, to_int16
from pairalign.audio import SAMPLE_RATE_HZ
from pairalign.errors import PairAlignError
from pairalign.features import HOP_SAMPLES, WINDOW_SAMPLES, raw_log_mel
from pairalign.microphone import Capture, find_microphone, microphones
from pairalign.streaming import KEPT_S, LiveToken, Stream, Update
from pairalign.strings import glyph
from pairalign.threads import thread_pool

MAX_STREAMS = {False: 32, True: 8}  # by public
IDLE_S = 600.0  # so long after it was last asked for, a stream's last seconds can still be kept
# a page asks twice a second, and once where browsers slow down the hidden ones; one that has paused is let in again
SLOT_S = 20.0
TOO_MANY = "Too many pages are listening at once. Try again in some minutes."
MAX_CHUNK_S = 30.0  # a page that was held up sends all it has heard meanwhile
MEL_TOP_NATS = 0.0  # a softer stream than this is drawn darker, so that silence does not glow
MEL_DECAY_NATS = 0.02  # per column: after a loud moment the picture takes some seconds to become sensitive again
LEFT_OUT_HOPS = 2  # a column is drawn when all of its samples are there


@dataclass
class _Live:
    """One stream of one page."""

    stream: Stream
    services: Services  # of its page, when it began: a string is written by one model
    page: str = ""
    capture: Capture | None = None
    used: float = field(default_factory=time.monotonic)
    columns: int = 0  # of the picture, drawn so far
    top_nats: float = MEL_TOP_NATS
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.has_microphone = self.capture is not None

    def holds_slot(self, now: float) -> bool:
        """Whether it counts among the streams that listen at once."""
        return not self.stream.finished and now - self.used <= SLOT_S

    def let_go(self) -> None:
        """Release the server's microphone; whoever reads it just now comes first."""
        with self.lock:
            capture, self.capture = self.capture, None
        if capture is not None:
            capture.close()


class LiveStreams:
    """All streams of the app. What comes from a page is checked; mistakes are ValueError with a sentence to show."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.limit_s = services.limits.max_duration_s if services.public else None
        self._streams: dict[str, _Live] = {}
        self._lock = threading.Lock()
        self._decoding = thread_pool(1)  # one thread of torch is best for streams

    def microphones(self) -> list[tuple[int, str]]:
        """The server's own microphones, none unless the app was started with --mic."""
        return [(one.index, one.name) for one in microphones()] if self.services.microphone else []

    def open(self, rate_hz: Any, page: Any = "") -> dict[str, Any]:
        """Begin a stream of samples that the page sends, with the checkpoint that `page` has chosen."""
        if isinstance(rate_hz, bool) or not isinstance(rate_hz, int | float):
            raise PairAlignError("The browser did not tell the sample rate of its microphone.")
        return self._begin(Stream(rate_hz), page)

    def open_microphone(self, index: Any, page: Any = "") -> dict[str, Any]:
        """Begin a stream from a microphone of the server, where that was allowed at its start."""
        if not self.services.microphone:
            raise PairAlignError("The server's microphone is off; start the app with --mic to use it.")
        microphone = find_microphone(index if isinstance(index, int) else None)
        capture = Capture(microphone)
        try:
            return self._begin(Stream(microphone.rate_hz), page, capture) | {"rate_hz": microphone.rate_hz}
        except ValueError:
            capture.close()
            raise

    def feed(self, name: Any, pcm: Any) -> dict[str, Any]:
        """Samples in (base64 of 16-bit little-endian mono), what they changed out."""
        live = self._find(name)
        most = int(MAX_CHUNK_S * live.stream.rate_hz) * 2
        if not isinstance(pcm, str) or len(pcm) > most * 4 // 3 + 4:
            raise PairAlignError(f"A piece of a stream holds at most {MAX_CHUNK_S:g} seconds of sound.")
        try:
            samples = np.frombuffer(base64.b64decode(pcm, validate=True), "<i2")
        except (binascii.Error, ValueError):
            raise PairAlignError("The sound that arrived is damaged; press Start again.") from None
        return self._update(live, samples)

    def poll(self, name: Any, paused: Any = False) -> dict[str, Any]:
        """What the server's microphone heard since the last time, with its sound; nothing of it while paused."""
        live = self._find(name)
        if not live.has_microphone:
            raise PairAlignError("This stream comes from the browser, not from the server's microphone.")
        with live.lock:
            # in here: another answer, Stop or a closed page may be reading or closing it just now
            sound = np.zeros(0, np.float32) if live.capture is None else live.capture.read()
            sound = sound[:0] if paused is True else sound
            return self._updated(live, sound) | {"pcm": _base64(to_int16(sound).tobytes())}

    def finish(self, name: Any) -> dict[str, Any]:
        """End the stream: all tokens are final. Its last seconds can be kept for a while."""
        return self._update(self._find(name, listens=False), np.zeros(0, np.int16), end=True)

    def close(self, name: Any) -> dict[str, Any]:
        """Forget the stream."""
        with self._lock:
            live = self._streams.pop(str(name), None)
        if live is not None:
            live.let_go()
        return {}

    def leave(self, page: str) -> None:
        """The page was closed: its streams are forgotten."""
        with self._lock:
            names = [name for name, live in self._streams.items() if live.page == page]
        for name in names:
            self.close(name)

    def keep(self, name: Any, seconds: float) -> np.ndarray:
        """The last seconds (T,) int16 at 16 kHz."""
        if not name:
            raise PairAlignError("There is no sound yet: press Start and say something first.")
        live = self._find(name, listens=False)
        with live.lock:
            return to_int16(live.stream.audio(seconds))

    def _begin(self, stream: Stream, page: Any, capture: Capture | None = None) -> dict[str, Any]:
        page = page if isinstance(page, str) else ""
        own = self.services.of(page)
        model = own.tokenizer().sha256
        return {"stream": self._add(_Live(stream, own, page, capture)), "model": model}

    def _add(self, live: _Live) -> str:
        name, most = secrets.token_urlsafe(16), MAX_STREAMS[self.services.public]
        with self._lock:
            now = time.monotonic()
            quiet = sorted((one.used, key) for key, one in self._streams.items() if not one.holds_slot(now))
            full = len(self._streams) - len(quiet) >= most
            # the sound of those that nobody asks for is kept for a while, but not for ever, and of few of them
            old = [key for place, (used, key) in enumerate(reversed(quiet)) if now - used > IDLE_S or place >= most]
            gone = [self._streams.pop(key) for key in old]
            if not full:
                self._streams[name] = live
        for one in gone:
            one.let_go()
        if full:
            raise PairAlignError(TOO_MANY)
        return name

    def _find(self, name: Any, listens: bool = True) -> _Live:
        """A stream by its name. listens: whether it is to go on, which needs a slot again if it has lost its own."""
        with self._lock:
            live = self._streams.get(name) if isinstance(name, str) else None
            if live is None:
                raise PairAlignError("The server no longer has this stream. Press Start to begin a new one.")
            now = time.monotonic()
            if listens and not live.stream.finished and not live.holds_slot(now):
                taken = sum(one.holds_slot(now) for one in self._streams.values())
                if taken >= MAX_STREAMS[self.services.public]:
                    raise PairAlignError(TOO_MANY)
            live.used = now
        return live

    def _update(self, live: _Live, samples: np.ndarray, end: bool = False) -> dict[str, Any]:
        with live.lock:
            return self._updated(live, samples, end)

    def _updated(self, live: _Live, samples: np.ndarray, end: bool = False) -> dict[str, Any]:
        """What new samples change; `live.lock` is held."""
        begun = time.perf_counter()
        stream = live.stream
        if not stream.finished and len(samples):
            stream.add(samples)
        over = self.limit_s is not None and stream.duration_s >= self.limit_s
        with live.services.model() as tokenizer:
            work = stream.finish if end or over else stream.update
            update = self._decoding.submit(work, tokenizer).result()
        if stream.finished and live.capture is not None:
            live.capture.close()
            live.capture = None
        answer = _document(stream, update) | {"mel": _new_columns(live)}
        answer["took_ms"] = 1000 * (time.perf_counter() - begun)
        if over and not end:
            answer["ended"] = f"Listening ends after {self.limit_s:g} seconds here. Press Start to begin again."
        return answer


def _document(stream: Stream, update: Update) -> dict[str, Any]:
    return {
        "now_s": update.now_s,
        "committed": [_row(token) for token in update.committed],
        "tentative": [_row(token) for token in update.tentative],
        "hears": stream.hears(),
        "revision_rate": stream.revision_rate,
    }


def _row(token: LiveToken) -> list[Any]:
    return [token.id, glyph(token.id), round(token.start_s, 4), round(token.end_s, 4), token.revised]


def _new_columns(live: _Live) -> dict[str, Any]:
    """The log-mel since the last update as bytes: columns of 10 ms, each of 80 bands from the lowest."""
    stream = live.stream
    until = stream.samples // HOP_SAMPLES - LEFT_OUT_HOPS
    first = max(live.columns, until - round(KEPT_S * SAMPLE_RATE_HZ / HOP_SAMPLES) + 8)
    if until <= first:
        return {"first": live.columns, "values": ""}
    wave = stream.audio((stream.samples - max(first - 1, 0) * HOP_SAMPLES) / SAMPLE_RATE_HZ)
    padded = np.pad(wave, (0, WINDOW_SAMPLES))
    energies, _ = raw_log_mel(torch.from_numpy(padded)[None], torch.tensor([len(padded)]))
    skipped = first - max(first - 1, 0)  # the column before has no samples to its left here
    columns = energies[0].T.numpy()[skipped : skipped + until - first]
    # the brightest colour stands for the loudest moment so far, which is forgotten little by little
    fallen = MEL_DECAY_NATS * np.arange(len(columns))
    top = np.maximum.accumulate(np.maximum(columns.max(1) + fallen, live.top_nats - MEL_DECAY_NATS)) - fallen
    top = np.maximum(top, MEL_TOP_NATS)
    live.columns, live.top_nats = until, float(top[-1])
    scaled = np.clip((columns - top[:, None]) / MEL_RANGE_NATS + 1.0, 0.0, 1.0)
    return {"first": first, "values": _base64(np.round(scaled * 255).astype(np.uint8).tobytes())}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
