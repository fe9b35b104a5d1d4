"""A real server in a thread, and blocking clients: real sockets, ephemeral ports, no sleeping."""

import asyncio
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from model.replay import Judged, judge
from nbio.server import Server, loop_factory
from nbio.testing.replay import read
from nbio.variant import COMPILED

TIMEOUT = 20.0

source_only = pytest.mark.skipif(COMPILED, reason="exchanges or looks into the source's functions")
"""For tests that a compiled nbio can't have; everything else holds for both."""


class Answer:
    """A response, read in full."""

    def __init__(self, response: HTTPResponse) -> None:
        self.status = response.status
        self.version = response.version
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()


class Client:
    """A connection to the server."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        self.port = port

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self, method: str = "GET") -> Answer:
        """Read one response. Not for pipelined ones: the client reads ahead."""
        response = HTTPResponse(self.socket, method=method)
        response.begin()
        return Answer(response)

    def ask(self, data: bytes, method: str = "GET") -> Answer:
        self.send(data)
        return self.answer(method)

    def until(self, end: bytes) -> bytes:
        """Receive up to and with `end`."""
        data = b""
        while not data.endswith(end):
            piece = self.socket.recv(1)
            assert piece, f"closed after {data!r}"
            data += piece
        return data

    def rest(self) -> bytes:
        """Everything until the server closes."""
        data = b""
        while piece := self.socket.recv(65536):
            data += piece
        return data

    def end(self) -> None:
        """Send no more."""
        self.socket.shutdown(socket.SHUT_WR)

    def closed(self) -> bool:
        """Wait for the server to close, in whatever way."""
        try:
            return self.rest() == b""
        except ConnectionResetError:
            return True

    def reset(self) -> None:
        """Go away without a word, as a crashed client does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.socket.close()


class Live:
    """A server that runs, and the thread it runs in."""

    def __init__(self, app: Any, options: dict[str, Any]) -> None:
        self.server = Server(app, port=0, **options)
        self.loop = (loop_factory() or asyncio.new_event_loop)()
        self.trouble: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.trouble.append(context))
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(TIMEOUT)

    def client(self) -> Client:
        return Client(self.server.port)

    def ask(self, data: bytes, method: str = "GET") -> Answer:
        with self.client() as client:
            return client.ask(data, method)


@contextmanager
def serving(app: Any, **options: Any) -> Iterator[Live]:
    """Serve `app`; at the end every body and block must be back in the pool.

    And its record must be a run of the model; only a compiled pool can't be recorded.
    """
    if COMPILED:
        with _served(Live(app, options)) as live:
            yield live
        return
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(options.get("record_trace") or Path(folder) / "trace.jsonl")
        with _served(Live(app, {**options, "record_trace": str(trace)})) as live:
            yield live
        RECORDED.append(validated(trace))


RECORDED: list[Judged] = []
"""What became of every server's record; the tests' last line sums it up."""
LIVES: set[tuple[object, ...]] = set()


def validated(trace: Path) -> Judged:
    """Replay a record, which must be a whole one, and a run of the lifecycle and of the world."""
    recording = read(trace)
    assert recording.complete
    found = judge(recording, LIVES)
    assert found.is_run, str(found)
    return found


@contextmanager
def _served(live: Live) -> Iterator[Live]:
    live.thread.start()
    try:
        live.run(live.server.start())
        yield live
    finally:
        try:
            live.run(live.server.stop())
        finally:
            live.loop.call_soon_threadsafe(live.loop.stop)
            live.thread.join(TIMEOUT)
            live.loop.close()
    live.server.pool.assert_balanced()
    assert live.trouble == []


def get(path: str = "/", *lines: str) -> bytes:
    """A GET request."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: test", *lines, "", ""]).encode()


def post(body: bytes, *lines: str, path: str = "/") -> bytes:
    """A POST request with Content-Length."""
    head = [f"POST {path} HTTP/1.1", "Host: test", f"Content-Length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode() + body


def chunked(*chunks: bytes, path: str = "/") -> bytes:
    """A POST request with a chunked body."""
    head = f"POST {path} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n"
