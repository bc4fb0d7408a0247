"""An open page as the server sees it: a session of its own whose private events can be started, without a browser."""

from __future__ import annotations

import json
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx


class Page:
    """Opens like a browser's page, and is left by `close`."""

    def __init__(self, url: str) -> None:
        self.url = f"{url.rstrip('/')}/gradio_api"
        self.config = httpx.get(f"{url.rstrip('/')}/config", timeout=60).json()
        self.session = secrets.token_hex(6)
        self.components = {one["id"]: one["props"] for one in self.config["components"]}
        self._http = httpx.Client(timeout=120)
        self._open = threading.Event()
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._beat, daemon=True).start()
        assert self._open.wait(30)

    def _beat(self) -> None:
        """The connection that stands as long as the page is open."""
        for _ in self._lines(f"heartbeat/{self.session}"):
            self._open.set()

    def _lines(self, address: str) -> Iterator[str]:
        """What comes over a connection that stays open until the page is closed."""
        with suppress(httpx.TransportError), self._http.stream("GET", f"{self.url}/{address}") as answer:
            self._sockets.append(answer.extensions["network_stream"].get_extra_info("socket"))
            yield from answer.iter_lines()

    def close(self) -> None:
        """Leave as a browser does: all connections end at once."""
        for one in self._sockets:
            with suppress(OSError):  # closing alone would wait for whoever reads from it
                one.shutdown(socket.SHUT_RDWR)
        self._http.close()

    def upload(self, path: Path) -> dict[str, Any]:
        """A file as components take it."""
        with path.open("rb") as file:
            (where,) = self._http.post(f"{self.url}/upload", files={"files": (path.name, file)}).json()
        return {"path": where, "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}

    def event(self, target: str, number: int = 0) -> int:
        """The event of the component with this id in the page or label; of several, the one of that number."""

        def named(one: list[Any]) -> bool:
            props = self.components.get(one[0], {})
            return target in (props.get("elem_id"), props.get("label"))

        found = [one for one in self.config["dependencies"] if any(named(two) for two in one["targets"])]
        return [one["id"] for one in found if one["backend_fn"]][number]

    def send(self, event: int, *inputs: Any) -> str:
        """Queue an event; returns its id."""
        body = {"data": inputs, "fn_index": event, "session_hash": self.session}
        answer = self._http.post(f"{self.url}/queue/join", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["event_id"]

    def get(self, address: str) -> bytes:
        """A file that the page refers to."""
        answer = self._http.get(f"{self.url.removesuffix('/gradio_api')}{address}" if address[0] == "/" else address)
        assert answer.status_code == 200, (address, answer.text)
        return answer.content

    def call(self, function: str, question: dict[str, Any]) -> dict[str, Any]:
        """What a function of the server answers that the page's scripts may call."""
        names = {one["id"]: one["props"].get("server_fns") or () for one in self.config["components"]}
        owner = next(key for key, functions in names.items() if function in functions)
        body = {"session_hash": self.session, "component_id": owner, "fn_name": function, "data": question}
        return self._http.post(f"{self.url}/component_server", json=body).json()

    def messages(self) -> Iterator[dict[str, Any]]:
        """What the server says to this page until all of its events have ended."""
        for line in self._lines(f"queue/data?session_hash={self.session}"):
            if line.startswith("data:"):
                yield json.loads(line[5:])

    def run(self, event: int, *inputs: Any) -> list[Any]:
        """Start an event and wait for its values."""
        mine = self.send(event, *inputs)
        for message in self.messages():
            if message["msg"] == "process_completed" and message["event_id"] == mine:
                assert message["success"], message["output"]
                return message["output"]["data"]
        raise AssertionError("the event did not end")
