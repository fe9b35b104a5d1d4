"""The responses of WSGI applications on a real server: streams, files, and what is none."""

import io
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nbio.errors import ClientDisconnected, ResponseError
from nbio.wsgi_files import FileWrapper
from tests.live import TIMEOUT, get, serving
from tests.test_wsgi import DATA, TEXT, Environ, checked


class Closing:
    """An iterable that tells when it is closed."""

    def __init__(self, pieces: Iterable[bytes], closed: "queue.SimpleQueue[str]") -> None:
        self._pieces = pieces
        self._closed = closed

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)

    def close(self) -> None:
        self._closed.put("closed")


def broken() -> Iterator[bytes]:
    yield b"some"
    raise ZeroDivisionError


def test_the_iterable_is_always_closed() -> None:
    closed: queue.SimpleQueue[str] = queue.SimpleQueue()

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        kind = environ["PATH_INFO"]
        return Closing(broken() if kind == "/broken" else [b"", b"a", b"", b"b"], closed)

    with serving(checked(app)) as live:
        with live.client() as client:
            for _ in range(2):
                assert client.ask(get()).body == b"ab"
                assert closed.get(timeout=TIMEOUT) == "closed"
        with live.client() as client:
            client.send(get("/broken"))
            with pytest.raises(ConnectionResetError):
                client.rest()
        assert closed.get(timeout=TIMEOUT) == "closed"


def test_lengths_are_said_where_they_are_known() -> None:
    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        pieces = {"/one": [b"x"], "/many": (b"ab", b"", b"c" * 100_000), "/none": []}
        found: Iterable[bytes] = pieces.get(environ["PATH_INFO"], iter([b"some", b"more"]))
        return found

    with serving(app) as live, live.client() as client:
        for path, size in (("/one", 1), ("/many", 100_002), ("/none", 0)):
            got = client.ask(get(path))
            assert (len(got.body), got.headers.get("content-length")) == (size, str(size))
        got = client.ask(get())
        assert (got.body, got.headers.get("transfer-encoding")) == (b"somemore", "chunked")
        got = client.ask(b"HEAD /one HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD")
        assert (got.body, got.headers["content-length"]) == (b"", "1")


def test_exc_info_replaces_a_response_that_has_not_started() -> None:
    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", [TEXT])
        if environ["PATH_INFO"] == "/late":
            write(b"started")
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            start_response("503 Sorry", [TEXT], sys.exc_info())
        return [b"sorry"]

    with serving(checked(app)) as live:
        got = live.ask(get())
        assert (got.status, got.body) == (503, b"sorry")
        with live.client() as client:
            client.send(get("/late"))
            with pytest.raises(ConnectionResetError):
                client.rest()


def test_the_write_callable() -> None:
    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        write = start_response("201 Made", [TEXT])
        write(b"one ")
        write(b"two ")
        return [b"three"]

    with serving(checked(app)) as live:
        got = live.ask(get())
        assert (got.status, got.body) == (201, b"one two three")


def wrong(kind: str, start_response: Any) -> Any:
    if kind == "/none":
        return [b"no start"]
    if kind == "/status":
        start_response("OK 200", [])
    if kind == "/header":
        start_response("200 OK", [("bad name", "x")])
    if kind == "/text":
        start_response("200 OK", [TEXT])
        return iter(["text"])
    if kind == "/twice":
        start_response("200 OK", [])
        start_response("200 OK", [])
    if kind == "/long":
        start_response("200 OK", [("Content-Length", "1")])
        return [b"long"]
    if kind == "/exit":
        sys.exit(3)
    start_response("200 OK", [])
    return 5


@pytest.mark.parametrize(
    "field",
    [
        ("Connection", "close"),
        ("keep-alive", "timeout=5"),
        ("Transfer-Encoding", "chunked"),
        ("Upgrade", "frob"),
        ("X", "a\r\nb: c"),
        ("X", "\0"),
        ("X Y", "a"),
        ("X", "\u20ac"),
        ("Content-Length", "-1"),
    ],
)
def test_fields_that_cannot_be_sent_are_refused_while_the_application_runs(
    field: tuple[str, str],
) -> None:
    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        with pytest.raises(ResponseError):
            start_response("200 OK", [field])
        start_response("299 Refused", [TEXT])
        return [b"ok"]

    with serving(app) as live:
        for _ in range(2):
            got = live.ask(get())
            assert (got.status, got.body) == (299, b"ok")


@pytest.mark.parametrize(
    "kind", ["none", "status", "header", "text", "twice", "long", "exit", "number"]
)
def test_what_is_no_response_is_a_500(kind: str) -> None:
    def app(environ: Environ, start_response: Any) -> Any:
        return wrong(environ["PATH_INFO"], start_response)

    with serving(app) as live:
        assert live.ask(get(f"/{kind}")).status == 500
        assert live.ask(get(f"/{kind}")).status == 500, "it still serves"


def test_a_body_of_another_length_than_said_is_never_taken_for_whole() -> None:
    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "10")])
        return iter([b"12345"] * (1 if environ["PATH_INFO"] == "/short" else 3))

    with serving(app) as live:
        with live.client() as client:
            client.send(get("/short"))
            with pytest.raises(ConnectionResetError):
                client.rest()
        assert live.ask(get("/long")).body == b"1234512345"


def endless(produced: list[int], closed: "queue.SimpleQueue[str]") -> Any:
    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        if environ["PATH_INFO"] != "/endless":
            return [b"quick"]

        def pieces() -> Iterator[bytes]:
            while True:
                produced[0] += 10_000
                yield bytes(10_000)

        return Closing(pieces(), closed)

    return app


def test_a_slow_client_holds_up_its_thread_and_nothing_else() -> None:
    produced = [0]
    closed: queue.SimpleQueue[str] = queue.SimpleQueue()
    with serving(endless(produced, closed), threads=2) as live:
        client = live.client()
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.send(get("/endless"))
        client.until(b"\r\n\r\n")
        before = -1
        # Each question costs a turn of the loop and of the other thread, so that a thread that
        # isn't held up has produced more by the next.
        while before != produced[0]:
            before = produced[0]
            assert before < 16_000_000, "no more than the kernel's buffers and ours"
            for _ in range(20):
                assert live.ask(get()).body == b"quick"
        assert closed.empty()
        client.reset()
        assert closed.get(timeout=TIMEOUT) == "closed"


def test_a_client_that_left_is_noticed_at_the_next_write() -> None:
    raised: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
    gone = threading.Event()

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", [TEXT])
        write(b"hello")
        assert gone.wait(TIMEOUT)
        try:
            while True:
                write(b"more")
        except OSError as error:
            raised.put(error)
        return []

    with serving(app) as live:
        client = live.client()
        client.send(get())
        client.until(b"hello\r\n")
        client.reset()
        gone.set()
        assert isinstance(raised.get(timeout=TIMEOUT), ClientDisconnected)


@pytest.fixture
def big_file(tmp_path: Path) -> Path:
    path = tmp_path / "big"
    path.write_bytes(DATA)
    return path


def files(path: Path, *headers: tuple[str, str]) -> Any:
    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [TEXT, *headers])
        file = path.open("rb")
        file.seek(int(environ["QUERY_STRING"] or 0))
        return environ["wsgi.file_wrapper"](file, 8192)

    return app


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How much the kernel sent of files."""
    sent: list[int] = []
    real = os.sendfile

    def sendfile(*arguments: Any) -> int:
        sent.append(real(*arguments))
        return sent[-1]

    monkeypatch.setattr(os, "sendfile", sendfile)
    return sent


def test_files_go_out_by_sendfile(big_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = counted(monkeypatch)
    with serving(files(big_file)) as live, live.client() as client:
        for offset in (0, 1, len(DATA) - 1, len(DATA)):
            got = client.ask(get(f"/?{offset}"))
            assert got.body == DATA[offset:]
            assert got.headers["content-length"] == str(len(DATA) - offset)
        assert sum(sent) == 2 * len(DATA)
        head = client.ask(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD")
        assert head.headers["content-length"] == str(len(DATA))
        # Pipelined: the responses keep their order.
        client.send(get() + get(f"/?{len(DATA) - 3}"))
        client.end()
        raw = client.rest()
        assert DATA in raw
        assert raw.endswith(b"\r\n\r\n" + DATA[-3:])
    assert len(os.listdir("/proc/self/fd")) < 200, "descriptors are closed"


def test_a_file_that_is_longer_or_shorter_than_said(big_file: Path) -> None:
    with serving(files(big_file, ("Content-Length", "5"))) as live:
        assert live.ask(get()).body == DATA[:5]
    with (
        serving(files(big_file, ("Content-Length", str(len(DATA) + 1)))) as live,
        live.client() as client,
    ):
        client.send(get())
        with pytest.raises(ConnectionResetError):
            client.rest()


def test_a_client_that_leaves_in_the_middle_of_a_file(big_file: Path) -> None:
    with serving(files(big_file)) as live:
        for _ in range(3):
            client = live.client()
            client.send(get())
            client.until(b"\r\n\r\n")
            client.reset()
        assert live.ask(get()).body == DATA


def test_what_is_no_plain_file_is_iterated(tmp_path: Path) -> None:
    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [TEXT])
        return environ["wsgi.file_wrapper"](io.BytesIO(b"in memory"), 4)

    with serving(app) as live:
        assert live.ask(get()).body == b"in memory"
    read, write = os.pipe()
    os.write(write, b"piped")
    os.close(write)
    with open(read, "rb") as pipe:
        wrapper = FileWrapper(pipe)
        assert wrapper.part() is None
        assert list(wrapper) == [b"piped"]


STUCK = """
import threading, time
def app(environ, start_response):
    print("stuck", flush=True)
    threading.Event().wait()
"""


def test_a_stuck_thread_does_not_keep_the_process_alive(tmp_path: Path) -> None:
    (tmp_path / "stuck.py").write_text(STUCK)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "nbio", "stuck:app", "--app-dir", str(tmp_path)]
    options = ["--port", str(port), "--shutdown-timeout", "0.2"]
    with subprocess.Popen(
        command + options, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        for line in process.stderr:
            if "serving wsgi" in line:
                break
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as client:
            client.sendall(get())
            assert process.stdout.readline() == "stuck\n"
            process.send_signal(signal.SIGTERM)
            assert process.wait(TIMEOUT) == 0
