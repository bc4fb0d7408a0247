"""`python -m pairalign listen`: the tokens of what a microphone hears, written while one speaks."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from pairalign.checkpoint import resolve_checkpoint
from pairalign.errors import PairAlignError
from pairalign.microphone import Capture, MicrophoneError, find_microphone, microphones
from pairalign.strings import glyph

EVERY_S = 0.5
START_S = 2.0  # a device may take so long until it delivers
STALLED_S = 10.0  # one that delivers nothing for so long has been unplugged, or never will


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command `listen`, beside the common ones."""
    parser.add_argument("--microphone", type=int, metavar="N", help="which one (default: the system's choice)")
    parser.add_argument("--seconds", type=float, metavar="S", help="stop after so long (default: at Ctrl-C)")
    parser.add_argument("--list-devices", action="store_true", help="show the microphones and their numbers")
    parser.set_defaults(show=_show, stdout=sys.stdout)


def run_from_args(args: argparse.Namespace) -> dict[str, Any]:
    """What the command does. Raises ValueError for what can not be heard."""
    if args.list_devices:
        return {"microphones": [vars(one) for one in microphones()]}
    if args.seconds is not None and not 0 < args.seconds <= 86_400:
        raise PairAlignError(f"--seconds is {args.seconds:g}; use a number above 0, at most 86400 (a day).")
    resolve_checkpoint(args.checkpoint)  # a wrong name is told at once, not after loading torch
    microphone = find_microphone(args.microphone)
    import torch

    from pairalign import tokenizer

    torch.set_num_threads(1)  # see pairalign.streaming
    loaded = tokenizer.load(args.checkpoint, device=args.device)
    found = _listen(loaded, microphone, args.seconds, None if args.json else args.stdout)
    return {
        "checkpoint": loaded.name,
        "model_sha256": loaded.sha256,
        "device": loaded.device,
        "microphone": microphone.name,
    } | found


def _listen(tokenizer: Any, microphone: Any, seconds: float | None, out: Any) -> dict[str, Any]:
    """Listen until the time is over or Ctrl-C; writes the glyphs of final tokens to `out` as they come.

    A device that delivers less than the time, or nothing any more, does not prolong it. Raises: MicrophoneError when it
    delivered nothing at all.
    """
    from pairalign.streaming import Stream

    stream, tokens = Stream(microphone.rate_hz), []

    def tell(update: Any) -> None:
        tokens.extend(update.committed)
        if out is not None and update.committed:
            print("".join(glyph(token.id) for token in update.committed), end="", file=out, flush=True)

    with Capture(microphone) as capture:
        print(f"listening to {microphone.name}; Ctrl-C ends it", file=sys.stderr)
        begun = last_sound = time.monotonic()
        try:
            while seconds is None or (stream.duration_s < seconds and time.monotonic() < begun + seconds + START_S):
                now, chunk = time.monotonic(), capture.read()
                last_sound = now if len(chunk) else last_sound
                if now > last_sound + STALLED_S:
                    print(f"no more sound from {microphone.name}: ended", file=sys.stderr)
                    break
                stream.add(chunk)
                tell(stream.update(tokenizer))
                time.sleep(max(0.0, EVERY_S - (time.monotonic() - now)))
            stream.add(capture.read())
            _check_that_sound_came(capture, microphone, time.monotonic() - begun)
        except KeyboardInterrupt:
            pass
    tell(stream.finish(tokenizer))
    if out is not None:
        print(file=out)
    return {
        "duration_s": stream.duration_s,
        "ids": [token.id for token in tokens],
        "text": "".join(glyph(token.id) for token in tokens),
        "spans_s": [[round(token.start_s, 4), round(token.end_s, 4)] for token in tokens],
        "revision_rate": stream.revision_rate,
    }


def _check_that_sound_came(capture: Capture, microphone: Any, seconds: float) -> None:
    if not capture.delivered:
        raise MicrophoneError(
            f"no sound came from {microphone.name} in {seconds:.0f} s. Check that it is on and that this program "
            "may use it, or choose another with --microphone"
        )


def _show(result: dict[str, Any], args: argparse.Namespace) -> None:
    if args.list_devices:
        for one in result["microphones"]:
            print(f"{one['index']:>3}  {one['name']}, {one['rate_hz']} Hz{', default' if one['default'] else ''}")
        if not result["microphones"]:
            print("no microphone")
        return
    count, seconds = len(result["ids"]), result["duration_s"]
    print(f"{count} tokens in {seconds:.1f} s; {100 * result['revision_rate']:.0f} % of tentative tokens were revised")
