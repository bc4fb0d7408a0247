"""Many at once: python -m benchmarks.load [--clients 32] [--seconds 120] [--json docs/load.json]

Starts app.py as a public app, makes each call of the mix once, and then lets clients call it through its API without
a pause, each with calls drawn from the mix below. A call ends well, with the one sentence that the queue is full, or
with an error, which is told with its message and makes the exit status 1. Latency is what the client waits, upload and
queue included. Afterwards more clients than the queue has places try the same for a while, so that the sentence is
really met.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.take_screenshots import start_app

ROOT = Path(__file__).resolve().parents[1]
RECORDINGS = ("harbour_a.ogg", "harbour_b.ogg", "digits.ogg", "slow.ogg")
QUEUE_FULL = "Queue is full! Please try again."
PATIENCE = {"timeout": 120}  # seconds for an answer of the server; a busy machine is slow, and that is measured
OVERLOAD = 3  # times as many clients as the queue has places
# how often each call is made, of 12
MIX = {"tokenize": 4, "archive_search": 3, "views": 2, "regenerate": 1, "sweep": 1, "compare": 1}


@dataclass
class Tally:
    """Waits in seconds by call, how often the queue was full, and errors by message."""

    waits_s: dict[str, list[float]] = field(default_factory=dict)
    full: Counter = field(default_factory=Counter)
    errors: Counter = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)


def calls(client: Any, recording: Any) -> dict[str, Callable[[], object]]:
    """What a client may ask for; `recording` is a file to upload."""
    return {
        "tokenize": lambda: client.predict(recording, api_name="/tokenize"),
        "archive_search": lambda: client.predict(recording, top=5, api_name="/archive_search"),
        "views": lambda: client.predict(audio=recording, view_b={"shift_ms": 60}, api_name="/views"),
        "regenerate": lambda: client.predict(recording, 20, api_name="/regenerate"),
        "sweep": lambda: client.predict(recording, "shift", 40, 20, 0, ["pairalign"], api_name="/sweep"),
        "compare": lambda: client.predict(recording, ["pairalign", "vq"], False, None, api_name="/compare"),
    }


def connected(url: str, clients: int, tally: Tally) -> list[Any]:
    """So many clients that know the app's calls."""
    from gradio_client import Client

    found = []

    def connect() -> None:
        try:
            client = Client(url, verbose=False, httpx_kwargs=dict(PATIENCE))
        except Exception as error:
            with tally.lock:
                tally.errors[f"connect: {type(error).__name__}: {str(error)[:200]}"] += 1
        else:
            found.append(client)

    together([threading.Thread(target=connect) for _ in range(clients)])
    return found


def together(threads: list[threading.Thread]) -> None:
    """Start all and wait for all."""
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def use(client: Any, number: int, until: float, tally: Tally) -> None:
    """One client: calls one after the other until the time is over."""
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    chance = random.Random(number)
    while time.monotonic() < until:
        recording = handle_file(str(ROOT / "app" / "examples" / chance.choice(RECORDINGS)))
        (name,) = chance.choices(list(MIX), list(MIX.values()))
        started = time.monotonic()
        try:
            calls(client, recording)[name]()
        except Exception as error:
            message = str(error)
            with tally.lock:
                if message == QUEUE_FULL:
                    tally.full[name] += 1
                else:
                    kind = "" if isinstance(error, AppError) else f"{type(error).__name__}: "
                    tally.errors[f"{name}: {kind}{message[:200]}"] += 1
            time.sleep(0.5)
            continue
        with tally.lock:
            tally.waits_s.setdefault(name, []).append(time.monotonic() - started)


def warm_up(url: str) -> None:
    """Every call once: the demo archive is made on first use, and the loops of its search are compiled."""
    from gradio_client import Client, handle_file

    client = Client(url, verbose=False, httpx_kwargs=PATIENCE)
    for call in calls(client, handle_file(str(ROOT / "app" / "examples" / RECORDINGS[0]))).values():
        call()


def measure(url: str, clients: int, seconds: float) -> tuple[Tally, float]:
    """Let so many clients work for so long; calls under way at the end are waited for. Returns the seconds as well."""
    tally = Tally()
    ready, started = connected(url, clients, tally), time.monotonic()
    until = started + seconds
    together([threading.Thread(target=use, args=(client, k, until, tally)) for k, client in enumerate(ready)])
    return tally, time.monotonic() - started


def counted(tally: Tally, elapsed_s: float, clients: int) -> dict[str, Any]:
    """What came of a measurement, and latencies by call."""
    done = sum(map(len, tally.waits_s.values()))
    return {
        "clients": clients,
        "elapsed_s": round(elapsed_s, 1),
        "ok": done,
        "queue_full": sum(tally.full.values()),
        "errors": sum(tally.errors.values()),
        "error_messages": dict(tally.errors),
        "calls_per_s": round(done / elapsed_s, 3),
        "calls": {
            name: {"ok": len(waits), "p50_s": _p(waits, 50), "p95_s": _p(waits, 95), "longest_s": _p(waits, 100)}
            for name, waits in sorted(tally.waits_s.items())
        },
    }


def report(told: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    """The JSON document."""
    return told | {
        "seconds": args.seconds,
        "checkpoint": args.checkpoint,
        "queue_full_sentence": QUEUE_FULL,
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "load_average_before": args.load_before,
            "note": args.note,
        },
    }


def _p(waits: list[float], percent: int) -> float:
    ordered = sorted(waits)
    if percent == 50:
        return round(statistics.median(ordered), 2)
    return round(ordered[max(0, -(-len(ordered) * percent // 100) - 1)], 2)


def _resident_mb(server: subprocess.Popen, field_name: str) -> float:
    try:
        lines = Path(f"/proc/{server.pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return 0.0
    return round(next((int(line.split()[1]) for line in lines if line.startswith(field_name)), 0) / 1000, 1)


def main() -> int:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--overload-seconds", type=float, default=30.0)
    parser.add_argument("--checkpoint", default="base")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--note", default="", help="what else the machine was doing, for the JSON document")
    args = parser.parse_args()
    args.load_before = [round(value, 2) for value in os.getloadavg()]
    with tempfile.TemporaryDirectory() as home:
        os.environ["PAIRALIGN_HOME"] = home
        server, url = start_app(args.checkpoint, "auto", ["--public"])
        try:
            warm_up(url)
            memory = {"before": _resident_mb(server, "VmRSS")}
            told = counted(*measure(url, args.clients, args.seconds), args.clients)
            memory |= {"after": _resident_mb(server, "VmRSS"), "peak": _resident_mb(server, "VmHWM")}
            many = OVERLOAD * args.clients
            told["overload"] = counted(*measure(url, many, args.overload_seconds), many)
        finally:
            server.terminate()
            server.wait(20)
    told = report(told | {"server_memory_mb": memory}, args)
    print(json.dumps(told, indent=1))
    if args.json:
        args.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return 1 if told["errors"] or told["overload"]["errors"] else 0


if __name__ == "__main__":
    sys.exit(main())
