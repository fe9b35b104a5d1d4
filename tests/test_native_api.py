"""The native interface: streams, files, hints, trailers, typed fields, and types throughout."""

import asyncio
import contextvars
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import nbio
from docs.examples import native_api
from nbio import BodyReader, ClientDisconnected, File, Headers, Request, Response
from nbio.errors import ResponseError
from tests.live import TIMEOUT, chunked, get, post, serving

ROOT = Path(__file__).resolve().parent.parent


def test_the_example() -> None:
    with serving(native_api.handler) as live, live.client() as client:
        assert client.ask(get("/numbers")).body == b"0\n1\n2\n"
        assert client.ask(get("/lines")).body == b"line 0\nline 1\nline 2\n"
        client.send(get("/page"))
        assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 103 Early Hints\r\n")
        got = client.answer()
        assert got.body == Path(native_api.__file__).read_bytes()
        assert got.headers["content-length"] == str(len(got.body))
        data = chunked(b"12345")[:-2] + b"X-Count: 5\r\n\r\n"
        head, body = data.split(b"\r\n", 1)
        client.send(head.replace(b"/", b"/upload", 1) + b"\r\nTE: trailers\r\n" + body)
        assert client.until(b"x-size: 5\r\n\r\n").endswith(
            b"\r\n\r\n15\r\n5 bytes, 5 announced\n\r\n0\r\nx-size: 5\r\n\r\n"
        )
        fields = "Accept-Encoding: gzip, , br", "Cookie: theme=dark"
        assert client.ask(get("/headers", *fields)).body == (
            b"None None ['gzip', 'br'] dark 127.0.0.1 http\n"
        )
        assert client.ask(get("/patient")).body == b"done\n"
        assert client.ask(get("/nowhere")).status == 404
    with serving(native_api.synchronous) as live:
        assert live.ask(post(b"x" * 100_000)).body == b"100000 bytes\n"


def test_a_user_s_code_sees_every_type(tmp_path: Path) -> None:
    # As a user has it: a file beside an installed package. No expression may be Any.
    sample = tmp_path / "sample.py"
    sample.write_text(Path(native_api.__file__).read_text() + SAMPLE)
    wrong = tmp_path / "wrong.py"
    wrong.write_text(WRONG)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--disallow-any-expr",
        "--no-error-summary",
    ]
    command += ["--cache-dir", str(ROOT / ".mypy_cache"), str(sample), str(wrong)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    said = {line.partition(": error:")[0] for line in result.stdout.splitlines()}
    lines = enumerate(WRONG.splitlines(), 1)
    expected = {f"wrong.py:{number}" for number, line in lines if line.endswith("# wrong")}
    assert said == expected, result.stdout + result.stderr


SAMPLE = """

from typing import assert_type


async def types(request: nbio.Request) -> nbio.Response:
    assert_type(request.method, str)
    assert_type(request.path, str)
    assert_type(request.query, bytes)
    assert_type(request.client, tuple[str, int | None] | None)
    assert_type(request.headers["host"], str)
    assert_type(request.headers.get("host"), str | None)
    assert_type(request.headers.get_all("via"), list[str])
    assert_type(request.headers.get_int("age"), int | None)
    assert_type(request.headers.cookies, dict[str, str])
    assert_type(request.body, nbio.BodyReader)
    assert_type(await request.body.read(10), bytes)
    async for view in request.body.views():
        assert_type(view, memoryview)
    async for piece in request.body:
        assert_type(piece, bytes)
    for part in request.iter_body():
        assert_type(part, bytes)
    return nbio.Response(request.body.views(), headers=[("a", "b")])


server = nbio.Server(types, port=0)
assert_type(server.port, int)
assert_type(server.pool.stats().outstanding, int)
"""
WRONG = """import nbio


async def no_response(request: nbio.Request) -> str:
    return request.nothing  # wrong


nbio.Response(5)  # wrong
nbio.Response(status="200")  # wrong
nbio.run(no_response)  # wrong
"""


@pytest.mark.parametrize("asynchronous", [True, False])
def test_a_synchronous_stream_runs_in_a_thread_and_is_closed(asynchronous: bool) -> None:
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def pieces(path: str) -> Iterator[bytes | memoryview]:
        told.put(threading.current_thread())
        try:
            yield b"some"
            yield b""
            if path == "/raise":
                raise ZeroDivisionError
            yield memoryview(b"thing")
        finally:
            told.put("closed")

    def sync(request: Request) -> Response:
        return Response(pieces(request.path), trailers=lambda: {"X-End": "yes"})

    async def handler(request: Request) -> Response:
        return sync(request)

    with serving(handler if asynchronous else sync) as live:
        with live.client() as client:
            client.send(get("/", "TE: trailers"))
            assert client.until(b"yes\r\n\r\n").endswith(
                b"4\r\nsome\r\n5\r\nthing\r\n0\r\nx-end: yes\r\n\r\n"
            )
            assert told.get(timeout=TIMEOUT) is not live.thread
            assert told.get(timeout=TIMEOUT) == "closed"
            assert client.ask(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD").body == b""
            told.get(timeout=TIMEOUT)
            assert told.get(timeout=TIMEOUT) == "closed"
        with live.client() as client:
            client.send(get("/raise"))
            with pytest.raises(ConnectionResetError):
                client.rest()
        told.get(timeout=TIMEOUT)
        assert told.get(timeout=TIMEOUT) == "closed"


def test_a_synchronous_stream_is_closed_when_the_client_leaves() -> None:
    closed = threading.Event()

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield bytes(10_000)
        finally:
            closed.set()

    async def handler(request: Request) -> Response:
        return Response(endless())

    with serving(handler) as live:
        client = live.client()
        client.send(get())
        client.until(b"\r\n\r\n")
        client.reset()
        assert closed.wait(TIMEOUT)


def test_what_is_streamed_may_be_views_of_what_arrives() -> None:
    async def handler(request: Request) -> Response:
        return Response(request.body.views())

    with serving(handler) as live:
        assert live.ask(post(b"x" * 300_000)).body == b"x" * 300_000


@pytest.mark.parametrize("body", [bytearray(b"data"), memoryview(b"data"), [b"da", b"ta"]])
def test_other_bodies(body: Any) -> None:
    async def handler(request: Request) -> Response:
        return Response(body)

    with serving(handler) as live:
        assert live.ask(get()).body == b"data"


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 1000)
    data = path.read_bytes()

    async def handler(request: Request) -> Response:
        offset, _, size = request.path[1:].partition("-")
        return Response(File(path, offset=int(offset), size=int(size or -1)))

    def sync(request: Request) -> Response:
        return Response(File(path))

    with serving(handler) as live, live.client() as client:
        assert client.ask(get("/0")).body == data
        assert client.ask(get("/100000")).body == data[100_000:]
        assert client.ask(get("/10-20")).body == data[10:30]
        assert client.ask(get(f"/{len(data)}")).body == b""
    with serving(sync) as live:
        assert live.ask(get()).body == data
    for wrong in (-1, len(data) + 1):
        with pytest.raises(ValueError, match="256000 bytes"):
            File(path, offset=wrong)
    with pytest.raises(FileNotFoundError):
        File(tmp_path / "nothing")
    with pytest.raises(OSError, match="regular"):
        File(tmp_path)


def test_a_file_is_sent_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"data")
    response = Response(File(path))

    async def handler(request: Request) -> Response:
        return response

    with serving(handler) as live:
        assert live.ask(get()).body == b"data"
        assert live.ask(get()).status == 500


def test_no_descriptor_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(3_000_000))

    async def handler(request: Request) -> Response:
        return Response(File(path), headers={"bad name": "x"} if request.path == "/bad" else None)

    with serving(handler) as live:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            assert live.ask(get("/bad")).status == 500
            client = live.client()
            client.send(get())
            client.until(b"\r\n\r\n")
            client.reset()
        live.run(asyncio.sleep(0))
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize("asynchronous", [True, False])
def test_early_hints(asynchronous: bool) -> None:
    def sync(request: Request) -> Response:
        request.send_early_hints(["</a>; rel=preload"])
        with pytest.raises(ResponseError):
            request.send_early_hints(["a\r\nb"])
        return Response("page")

    async def handler(request: Request) -> Response:
        return sync(request)

    with serving(handler if asynchronous else sync) as live, live.client() as client:
        client.send(get())
        assert client.until(b"\r\n\r\n") == (
            b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n"
        )
        assert client.answer().body == b"page"


def test_a_disconnect_can_be_waited_for() -> None:
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()

    async def handler(request: Request) -> Response:
        told.put(request.disconnected)
        await request.wait_disconnected()
        told.put(request.disconnected)
        return Response()

    with serving(handler) as live:
        client = live.client()
        client.send(get())
        assert told.get(timeout=TIMEOUT) is False
        client.reset()
        assert told.get(timeout=TIMEOUT) is True


NOTE = contextvars.ContextVar("NOTE", default="none")


def test_a_thread_has_a_context_of_its_request_s() -> None:
    def handler(request: Request) -> Response:
        before = NOTE.get()
        NOTE.set(request.path)
        return Response(before)

    with serving(handler, threads=1) as live, live.client() as client:
        assert [client.ask(get(f"/{n}")).body for n in range(3)] == [b"none"] * 3


def headers(*fields: tuple[bytes, bytes]) -> Headers:
    return Headers(fields)


def test_typed_fields() -> None:
    found = headers(
        (b"content-type", b'Text/HTML; x=y; Charset="UTF-8"'),
        (b"content-length", b"12"),
        (b"cookie", b"a=1; b=2; a=3; none"),
        (b"cookie", b"c=x=y"),
        (b"accept", b"a, b"),
        (b"accept", b",c"),
        (b"date", b"Tue, 15 Nov 1994 08:12:31 GMT"),
    )
    assert (found.media_type, found.charset) == ("text/html", "utf-8")
    assert found.content_length == 12
    assert found.cookies == {"a": "1", "b": "2", "c": "x=y"}
    assert found.get_list("Accept") == ["a", "b", "c"]
    assert found.get_date("date") == datetime(1994, 11, 15, 8, 12, 31, tzinfo=UTC)
    nothing = headers()
    assert (nothing.media_type, nothing.charset, nothing.content_length) == ("", None, None)
    assert (nothing.cookies, nothing.get_list("a"), nothing.get_date("date")) == ({}, [], None)
    for wrong in (b"-1", b"1.5", b"", b"\xb2"):
        with pytest.raises(ValueError, match="no number"):
            headers((b"age", wrong)).get_int("age")
    with pytest.raises(ValueError, match="date"):
        headers((b"date", b"soon")).get_date("date")


def test_everything_that_is_typed_is_exported() -> None:
    assert {"File", "Headers", "Request", "Response"} <= set(nbio.__all__)
    assert (BodyReader, ClientDisconnected) == (nbio.BodyReader, nbio.ClientDisconnected)
