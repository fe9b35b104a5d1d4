"""ASGI's extensions on a real server: trailers both ways, files, early hints, debugging, TLS."""

import logging
import queue
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from nbio.asgi import AsgiSite, Receive, Scope, Send, http_scope
from nbio.config import Config
from nbio.errors import ClientDisconnected, ResponseError
from nbio.exchange import Peer
from nbio.heads import RequestHead
from nbio.peers import distinguished_name
from tests.live import TIMEOUT, get, post, serving

Part = Callable[[Receive, Send], Awaitable[None]]


def app_of(part: Part) -> Any:
    """An application without lifespan."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await part(receive, send)

    return app


async def with_trailers(receive: Receive, send: Send) -> None:
    headers = [(b"trailer", b"x-sum, x-more")]
    await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": True})
    await send({"type": "http.response.body", "body": b"some", "more_body": True})
    await send({"type": "http.response.body", "body": b"thing"})
    more = {"headers": [(b"x-sum", b"1")], "more_trailers": True}
    await send({"type": "http.response.trailers", **more})
    await send({"type": "http.response.trailers", "headers": [(b"X-More", b"2")]})


def test_response_trailers() -> None:
    with serving(app_of(with_trailers)) as live, live.client() as client:
        for _ in range(2):
            client.send(get("/", "TE: trailers"))
            raw = client.until(b"x-more: 2\r\n\r\n")
            assert raw.endswith(
                b"\r\n4\r\nsome\r\n5\r\nthing\r\n0\r\nx-sum: 1\r\nx-more: 2\r\n\r\n"
            )
        # Not for those who don't say that they take them.
        client.send(get())
        assert client.until(b"0\r\n\r\n").endswith(b"5\r\nthing\r\n0\r\n\r\n")
        assert live.ask(b"GET / HTTP/1.0\r\n\r\n").body == b"something"


async def trailers_unannounced(receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.trailers", "headers": []})


async def trailers_missing(receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "trailers": True})
    await send({"type": "http.response.body", "body": b"x"})


async def trailers_that_frame(receive: Receive, send: Send) -> None:
    await trailers_missing(receive, send)
    fields = [(b"content-length", b"5")]
    await send({"type": "http.response.trailers", "headers": fields})


async def late_hint(receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"x", "more_body": True})
    await send({"type": "http.response.early_hint", "links": []})


async def split_hint(receive: Receive, send: Send) -> None:
    await send({"type": "http.response.early_hint", "links": [b"a\r\nb: c"]})


async def early_file(receive: Receive, send: Send) -> None:
    await send({"type": "http.response.pathsend", "path": __file__})


async def missing_file(receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.pathsend", "path": "/no/such/file"})


async def no_file(receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.pathsend", "path": "/"})


@pytest.mark.parametrize(
    "part", [trailers_unannounced, split_hint, early_file, missing_file, no_file]
)
def test_what_makes_no_response_is_a_500(part: Part) -> None:
    with serving(app_of(part)) as live:
        assert live.ask(get()).status == 500


@pytest.mark.parametrize("part", [trailers_missing, trailers_that_frame, late_hint])
def test_a_response_that_goes_wrong_is_never_taken_for_whole(part: Part) -> None:
    with serving(app_of(part)) as live, live.client() as client:
        client.send(get("/", "TE: trailers"))
        with pytest.raises(ConnectionResetError):
            client.rest()


def test_request_trailers_come_with_the_last_piece() -> None:
    seen: queue.SimpleQueue[Any] = queue.SimpleQueue()

    async def part(receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            seen.put(message.get("nbio.request.trailers"))
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    with serving(app_of(part)) as live, live.client() as client:
        for body in (b"3\r\nabc\r\n", b""):
            client.ask(head + body + b"0\r\nX-Sum: 1\r\nx-more:  2 \r\n\r\n")
            last = seen.get(timeout=TIMEOUT)
            while not seen.empty():
                assert last is None
                last = seen.get()
            assert last == [(b"x-sum", b"1"), (b"x-more", b"2")]
        client.ask(head + b"0\r\n\r\n")
        assert seen.get(timeout=TIMEOUT) is None


def test_files_by_path(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"0123456789" * 100_000)

    async def part(receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]})
        await send({"type": "http.response.pathsend", "path": str(file)})

    with serving(app_of(part)) as live, live.client() as client:
        for _ in range(2):
            got = client.ask(get())
            assert got.body == file.read_bytes()
            assert (got.headers["content-length"], got.headers["x"]) == ("1000000", "y")


def test_early_hints() -> None:
    async def part(receive: Receive, send: Send) -> None:
        links = [b"</a.css>; rel=preload", b"</b.js>; rel=preload"]
        await send({"type": "http.response.early_hint", "links": links})
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"page"})

    with serving(app_of(part)) as live, live.client() as client:
        client.send(get())
        assert client.until(b"\r\n\r\n") == (
            b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n"
            b"link: </b.js>; rel=preload\r\n\r\n"
        )
        assert client.answer().body == b"page"
        # HTTP/1.0 has no interim responses.
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert client.until(b"\r\n").endswith(b"200 OK\r\n")


def test_debugging(caplog: pytest.LogCaptureFixture) -> None:
    offered: queue.SimpleQueue[bool] = queue.SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        offered.put("http.response.debug" in scope["extensions"])
        await send({"type": "http.response.debug", "info": {"template": "page.html"}})
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    with serving(app) as live:
        assert live.ask(get()).status == 200
        assert offered.get(timeout=TIMEOUT) is False
    with caplog.at_level(logging.DEBUG, logger="nbio"), serving(app) as live:
        assert live.ask(get()).status == 200
        assert offered.get(timeout=TIMEOUT) is True
    assert "page.html" in caplog.text


def test_tls_is_told_where_there_is_any() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None: ...

    site = AsgiSite(app, Config())
    head = RequestHead("GET", b"/", b"", "1.1", [])
    tls = {"tls_version": 0x0304}
    scope = http_scope(site, head, Peer(None, None, "https", tls))
    assert (scope["scheme"], scope["extensions"]["tls"]) == ("https", tls)
    assert "tls" not in http_scope(site, head, Peer(None, None))["extensions"]


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        (((("countryName", "DE"),), (("commonName", "a.example"),)), "CN=a.example,C=DE"),
        (((("commonName", "a"), ("userId", "b")),), "CN=a+UID=b"),
        (((("commonName", '#1, "+;<>\\'),),), r"CN=\#1\, \"\+\;\<\>" + "\\\\"),
        (((("serialNumber", " a "),),), "serialNumber=\\ a\\ "),
    ],
)
def test_the_name_in_a_certificate(subject: Any, name: str) -> None:
    assert distinguished_name(subject) == name


def test_after_a_disconnect_receive_says_so_and_send_raises() -> None:
    seen: queue.SimpleQueue[Any] = queue.SimpleQueue()
    begun = threading.Event()

    async def part(receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        begun.set()
        for _ in range(2):
            seen.put((await receive())["type"])
        for kind in ("body", "trailers", "early_hint"):
            with pytest.raises(OSError, match="gone") as caught:
                await send({"type": f"http.response.{kind}"})
            assert isinstance(caught.value, ClientDisconnected)
            assert not isinstance(caught.value, ResponseError)
        seen.put("raised")

    with serving(app_of(part)) as live:
        client = live.client()
        client.send(post(b"body"))
        assert begun.wait(TIMEOUT)
        client.reset()
        assert [seen.get(timeout=TIMEOUT) for _ in range(3)] == ["http.disconnect"] * 2 + ["raised"]
