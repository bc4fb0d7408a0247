"""Start the app: flags -> build -> launch."""

from __future__ import annotations

import argparse
import os
import re
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from app.services import Services

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when Gradio is imported
_ROOT_PATH = re.compile(r"(https?://[A-Za-z0-9.:\[\]-]+)?(/[A-Za-z0-9._~-]+)*")


class Parser(argparse.ArgumentParser):
    """Ends a wrong flag with one line and exit code 2, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"app.py: {message}. See python app.py --help\n")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command-line flags."""
    parser = Parser(prog="app.py", description="PairAlign in the browser")
    on_space = "SPACE_ID" in os.environ
    parser.add_argument(
        "--host",
        default="0.0.0.0" if on_space else "127.0.0.1",
        help="address to listen on (default: this machine only; every address on Hugging Face Spaces)",
    )
    parser.add_argument("--port", type=int, default=None, help="default: the first free one from 7860 on")
    parser.add_argument(
        "--root-path",
        default=os.environ.get("GRADIO_ROOT_PATH", ""),
        metavar="PATH",
        help="where a reverse proxy offers the page: a path such as /pairalign, or a whole address with http(s)://",
    )
    parser.add_argument("--share", action="store_true", help="also open a public Gradio link")
    parser.add_argument("--checkpoint", default="base", help="name in checkpoints/ or path of a .safetensors file")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument(
        "--public",
        action=argparse.BooleanOptionalAction,
        help="tighter limits for strangers (default: when shared, behind a proxy, or not on a loopback address)",
    )
    parser.add_argument(
        "--mic",
        action="store_true",
        help="offer this machine's own microphones in the Live tab (beside the browser's); only on a loopback address",
    )
    options = parser.parse_args(arguments)
    if options.port is not None and not 1 <= options.port <= 65_535:
        parser.error(f"argument --port: {options.port} is no port; allowed: 1 to 65535")
    loopback = options.host in ("localhost", "::1") or options.host.startswith("127.")
    options.root_path = options.root_path.rstrip("/")
    if options.root_path and not _ROOT_PATH.fullmatch(options.root_path):
        parser.error(
            f"argument --root-path: {options.root_path!r} is no path such as /pairalign, nor an http(s) address"
        )
    # who sets up a proxy means to let others in, though the program itself listens to this machine only
    open_to_others = options.share or not loopback or on_space or bool(options.root_path)
    if options.mic and (open_to_others or options.public):
        parser.error(
            "argument --mic: it lets whoever opens the page listen to the room of this machine, so it works only on a "
            "loopback address, without --share, --public and --root-path, and not on Spaces"
        )
    if options.public is None:
        options.public = open_to_others
    return options


def check_address(host: str, port: int | None) -> None:
    """Raises ValueError for an address that cannot be listened on; Gradio would first try a hundred ports."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, os.name == "posix")
            trial.bind(address)
    except (OSError, UnicodeError) as error:
        where = host if port is None else f"{host}:{port}"
        why = getattr(error, "strerror", None) or error
        raise ValueError(f"cannot listen on {where} ({why}). Choose another --host or --port") from None


def make_services(options: argparse.Namespace) -> Services:
    """The loaded model. Raises: ValueError when it, a GPU or the microphone that is asked for cannot be had."""
    from app import zero_gpu

    # on Spaces with ZeroGPU the model is put on the GPU now, in this thread, and before others import torch
    slots = zero_gpu.open_slots(options.checkpoint) if zero_gpu.is_here() else None
    from app.services import Services
    from pairalign.microphone import find_microphone

    if options.mic:
        find_microphone()  # what is missing is told now, not when somebody presses Start
    services = Services(options.checkpoint, "cpu" if slots else options.device, options.public, options.mic, slots)
    services.tokenizer()
    return services


def main(arguments: list[str] | None = None) -> int:
    """Run until interrupted; 2 for a user's mistake."""
    options = parse(arguments)
    end_when_asked()
    try:
        check_address(options.host, options.port)
        print(f"Loading {options.checkpoint} …", flush=True)  # importing torch takes most of the wait
        services = make_services(options)
    except ValueError as error:
        print(f"app.py: {error}", file=sys.stderr)
        return 2
    from app import scratch
    from pairalign.errors import PairAlignError

    try:
        # Gradio's usual folder for uploads is shared by all apps of a machine: each deletes there what others need
        os.environ["GRADIO_TEMP_DIR"] = os.environ.get("GRADIO_TEMP_DIR") or str(scratch.folder())
        return serve(options, services)
    except (OSError, PairAlignError) as error:  # the address, the port or a temporary folder cannot be had
        print(f"app.py: {error}", file=sys.stderr)
        return 2
    finally:
        scratch.remove()


def serve(options: argparse.Namespace, services: Services) -> int:
    """Open the page until somebody ends it. Raises: OSError when the address or the port cannot be had."""
    from app import ui

    page = ui.build(services)
    where: dict[str, Any] = {"server_name": options.host, "server_port": options.port, "share": options.share}
    where["root_path"] = options.root_path or None
    # Gradio's own lines advise calls that somebody who started a program cannot make
    _, url, shared = page.launch(
        **where, quiet=not options.share, prevent_thread_lock=True, **ui.launch_options(services)
    )
    print(f"PairAlign is open on {shared or url} (Ctrl+C ends it)", flush=True)
    page.block_thread()
    return 0


def end_when_asked() -> None:
    """Let `docker stop`, a service manager or a closed terminal end the app at once, but not without cleaning up."""

    def end(number: int, _: object) -> NoReturn:
        from app import scratch

        scratch.remove()
        os._exit(0)  # runs at work would hold up an ordinary exit for longer than `docker stop` waits

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:  # nohup stays in force
            signal.signal(number, end)


if __name__ == "__main__":
    sys.exit(main())
