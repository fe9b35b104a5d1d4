"""WSGI applications on a real server, and wsgiref's validator as a second opinion."""

import hashlib
import io
import queue
import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.validate import validator

import pytest

from nbio import BodyPool, BodyTooLarge
from nbio.body import BodyReader
from nbio.errors import RequestCutOff
from nbio.exchange import Peer
from nbio.wsgi import named
from nbio.wsgi_files import BodyFile
from tests.live import TIMEOUT, chunked, post, serving, source_only

Environ = dict[str, Any]
DATA = hashlib.shake_128(b"wsgi").digest(3_000_000)
TEXT = ("Content-Type", "text/plain")


def checked(app: Any) -> Any:
    """The application behind wsgiref's validator, which hides its signature."""
    validated: Any = validator(app)

    def outer(environ: Environ, start_response: Any) -> Iterable[bytes]:
        found: Iterable[bytes] = validated(environ, start_response)
        return found

    return outer


def seen_by(app_sees: "queue.SimpleQueue[Any]", look: Callable[[Environ], Any]) -> Any:
    """An application that looks at its environ, tells, and answers."""

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        app_sees.put(look(environ))
        start_response("200 OK", [TEXT])
        return [b"ok"]

    return app


def test_the_environ() -> None:
    seen: queue.SimpleQueue[Environ] = queue.SimpleQueue()
    with serving(checked(seen_by(seen, dict)), root_path="/api") as live, live.client() as client:
        assert live.server.interface == "wsgi"
        fields = ["X-A: 1", "x-a: 2", "Cookie: a=1", "Cookie: b=2", "X_A: spoofed", "X-L: \xe9"]
        head = "\r\n".join(["GET /a%20b/%C3%A9?x=%20 HTTP/1.1", "Host: test", *fields, "", ""])
        assert client.ask(head.encode("latin-1")).body == b"ok"
        environ = seen.get()
        port = str(client.socket.getsockname()[1])
        assert {name: value for name, value in environ.items() if not name.startswith("wsgi.")} == {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "/api",
            "PATH_INFO": "/a b/\xc3\xa9",
            "QUERY_STRING": "x=%20",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": str(live.server.port),
            "REMOTE_ADDR": "127.0.0.1",
            "REMOTE_PORT": port,
            "HTTP_HOST": "test",
            "HTTP_X_A": "1,2",
            "HTTP_COOKIE": "a=1; b=2",
            "HTTP_X_L": "\xe9",
        }
        assert environ["wsgi.version"] == (1, 0)
        assert environ["wsgi.url_scheme"] == "http"
        assert environ["wsgi.multithread"] is True
        assert environ["wsgi.run_once"] is environ["wsgi.multiprocess"] is False
        client.ask(post(b"x", "Content-Type: text/x"))
        environ = seen.get()
        assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("text/x", "1")
        assert not {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"} & set(environ)


def test_a_request_about_the_server_has_no_path() -> None:
    seen: queue.SimpleQueue[Environ] = queue.SimpleQueue()
    with serving(checked(seen_by(seen, dict))) as live:
        assert live.ask(b"OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n").body == b"ok"
        assert seen.get(timeout=TIMEOUT)["PATH_INFO"] == ""


def test_names_are_never_empty() -> None:
    here = Peer(("/run/x.sock", None), None)
    assert named(here, "site:81") == {"SERVER_NAME": "site", "SERVER_PORT": "81"}
    assert named(here, "[::1]") == {"SERVER_NAME": "[::1]", "SERVER_PORT": "80"}
    there = Peer(None, ("/run/x.sock", None), "https")
    assert named(there, "") == {"SERVER_NAME": "localhost", "SERVER_PORT": "443"}


@pytest.mark.parametrize("encode", [post, chunked])
@pytest.mark.parametrize("size", [1, 8192, 65537, len(DATA)])
def test_bodies(size: int, encode: Callable[[bytes], bytes]) -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        digest = hashlib.sha256()
        while piece := environ["wsgi.input"].read(50_000):
            digest.update(piece)
        assert environ["wsgi.input"].read(1) == b""
        start_response("200 OK", [TEXT])
        return [digest.hexdigest().encode()]

    with serving(checked(app)) as live, live.client() as client:
        for _ in range(2):
            expected = hashlib.sha256(DATA[:size]).hexdigest().encode()
            assert client.ask(encode(DATA[:size])).body == expected


LINES = [b"one\n", b"two\r\n", b"\n", b"l" * 200_000 + b"\n", b"end"]


@pytest.mark.parametrize(
    "look",
    [
        lambda e: list(e["wsgi.input"]),
        lambda e: e["wsgi.input"].readlines(),
        lambda e: list(iter(e["wsgi.input"].readline, b"")),
        lambda e: e["wsgi.input"].read().splitlines(keepends=True),
        lambda e: [e["wsgi.input"].readline(2), *e["wsgi.input"].readlines()],
        lambda e: [*e["wsgi.input"].readlines(5), e["wsgi.input"].read(0), *e["wsgi.input"]],
    ],
)
def test_lines(look: Callable[[Environ], Any]) -> None:
    seen: queue.SimpleQueue[list[bytes]] = queue.SimpleQueue()
    with serving(seen_by(seen, look)) as live:
        live.ask(chunked(*LINES))
        lines = seen.get()
        assert b"".join(lines) == b"".join(LINES)
        assert lines[-1] == b"end"


def test_the_body_is_read_while_it_arrives_by_a_thread_of_its_own() -> None:
    pieces: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        pieces.put(threading.current_thread())
        while piece := environ["wsgi.input"].read1(10):
            pieces.put(piece)
        start_response("200 OK", [TEXT])
        return [b"done"]

    with serving(app) as live, live.client() as client:
        data = post(b"helloworld")
        client.send(data[:-5])
        assert pieces.get(timeout=TIMEOUT) is not live.thread
        assert pieces.get(timeout=TIMEOUT) == b"hello"
        client.send(data[-5:])
        assert pieces.get(timeout=TIMEOUT) == b"world"
        assert client.answer().body == b"done"


def test_a_body_that_is_cut_off_or_refused_raises() -> None:
    raised: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
    begun = threading.Event()

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        begun.set()
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            raised.put(error)
            raise
        raise AssertionError("it never ended")

    with serving(app, max_body=1000) as live:
        client = live.client()
        client.send(post(b"x" * 900)[:-100])
        assert begun.wait(TIMEOUT)
        client.reset()
        assert isinstance(raised.get(timeout=TIMEOUT), RequestCutOff)
        begun.clear()
        with live.client() as client:
            data = chunked(b"x" * 500, b"x" * 600)
            client.send(data[:200])
            assert begun.wait(TIMEOUT)
            assert client.ask(data[200:]).status == 413
        error = raised.get(timeout=TIMEOUT)
        assert isinstance(error, RequestCutOff)
        assert isinstance(error.__cause__, BodyTooLarge)


def test_a_continue_is_sent_when_the_body_is_read() -> None:
    go = threading.Event()

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        assert go.wait(TIMEOUT)
        body: bytes = environ["wsgi.input"].read()
        start_response("200 OK", [TEXT])
        return [body]

    with serving(app) as live, live.client() as client:
        client.send(post(b"hello", "Expect: 100-continue")[:-5])
        client.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.socket.recv(1)
        client.socket.settimeout(TIMEOUT)
        go.set()
        assert client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert client.ask(b"hello").body == b"hello"


@source_only
def test_all_of_a_body_is_read_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = BodyPool()
    body = pool.acquire("POST /")
    for _ in range(3):
        body.feed(bytes(65536))
    body.finish()
    taken: list[int] = []
    unlease = BodyReader._unlease

    def counted(body: BodyReader, size: int) -> None:
        taken.append(size)
        unlease(body, size)

    monkeypatch.setattr(BodyReader, "_unlease", counted)
    assert io.BufferedReader(BodyFile(body)).read() == bytes(3 * 65536)
    assert taken == [65536] * 3
    body.release()
    pool.assert_balanced()
