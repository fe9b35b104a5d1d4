"""ASGI applications that raise or send what they shouldn't, and requests that go wrong."""

import logging
import threading

import pytest

from nbio.asgi import Message, Receive, Scope, Send
from nbio.errors import NbioError, ResponseError
from tests.asgi_parts import answer, http, whole_body
from tests.live import chunked, get, post, serving


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (post(b"x", "Transfer-Encoding: chunked"), 400),
        (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000001\r\n\r\n", 413),
        (b"GET /" + b"a" * 10000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 70000 + b"\r\n\r\n", 431),
        (chunked(b"x")[:-5] + b"zz\r\n", 400),
    ],
)
def test_refusals_close_and_reach_nobody(data: bytes, status: int) -> None:
    calls: list[Scope] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        calls.append(scope)
        await answer(send)

    with serving(app, max_body=1_000_000) as live, live.client() as client:
        client.send(data)
        got = client.answer()
        assert (got.status, got.headers["connection"]) == (status, "close")
        assert client.closed()
        assert calls == []


@pytest.mark.parametrize(
    ("rest", "status"), [(b"zz\r\n", 400), (b"fffff\r\n", 413), (b"1\r\nxy", 400)]
)
def test_a_body_that_goes_wrong_later(rest: bytes, status: int) -> None:
    messages: list[Message] = []
    reading = threading.Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while not messages or messages[-1]["type"] != "http.disconnect":
            messages.append(await receive())
            reading.set()
        with pytest.raises(OSError, match="gone"):
            await answer(send)

    with serving(app, max_body=1000) as live, live.client() as client:
        client.send(chunked(b"good")[:-5])
        assert reading.wait(20)
        client.send(rest)
        assert client.answer().status == status
        assert client.closed()
    assert [m.get("body") for m in messages] == [b"good", None]


def test_disconnect_in_the_middle_of_a_body() -> None:
    messages: list[Message] = []
    first = threading.Event()
    done = threading.Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        messages.append(await receive())
        first.set()
        messages.append(await receive())
        done.set()

    with serving(app) as live:
        client = live.client()
        client.send(post(bytes(1000))[:-500])
        assert first.wait(20)
        client.reset()
        assert done.wait(20)
    assert messages[1] == {"type": "http.disconnect"}


def test_disconnect_is_told_to_who_waits_for_it_and_to_who_sends() -> None:
    waiting = threading.Event()
    told: list[object] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await whole_body(receive)
        waiting.set()
        told.append(await receive())
        try:
            await answer(send)
        except OSError as error:
            told.append(type(error).__name__)
        waiting.set()

    with serving(app) as live:
        client = live.client()
        client.send(get())
        assert waiting.wait(20)
        waiting.clear()
        client.reset()
        assert waiting.wait(20)
    assert told == [{"type": "http.disconnect"}, "ClientDisconnected"]


def test_an_exception_is_a_500_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("on purpose")

    with serving(app) as live:
        got = live.ask(get())
        assert (got.status, got.headers["connection"]) == (500, "close")
        assert live.ask(post(b"unread")).status == 500
    assert "on purpose" in caplog.text


def test_an_exception_after_the_start_cuts_the_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError("on purpose")

    with serving(app) as live, live.client() as client:
        client.send(get())
        raw = b""
        try:
            while piece := client.socket.recv(65536):
                raw += piece
        except ConnectionResetError:
            pass
        assert b"0\r\n\r\n" not in raw
    assert "on purpose" in caplog.text


def test_no_answer_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        pass

    with serving(app) as live:
        assert live.ask(get()).status == 500
    assert "without a complete response" in caplog.text


BODY = "http.response.body"


START = "http.response.start"


@pytest.mark.parametrize(
    "messages",
    [
        [{"type": BODY}],
        [{"type": START, "status": 200}, {"type": START, "status": 200}],
        [{"type": "http.response.frob"}],
        [{"type": START, "status": 99}, {"type": BODY}],
        [{"type": START, "status": "200"}, {"type": BODY}],
        [{"type": START, "status": 200, "headers": [("a", "b")]}, {"type": BODY}],
        [{"type": START, "status": 200, "headers": [(b"a b", b"c")]}, {"type": BODY}],
        [{"type": START, "status": 200, "headers": [(b"a", b"b\r\nc: d")]}, {"type": BODY}],
        [{"type": START, "status": 200, "headers": [(b"a", b"b\0")]}, {"type": BODY}],
        [{"type": START, "status": 200}, {"type": BODY, "body": "text"}],
        [
            {"type": START, "status": 200, "headers": [(b"content-length", b"1")]},
            {"type": BODY, "body": b"too long"},
        ],
        [
            {"type": START, "status": 200, "headers": [(b"content-length", b"9")]},
            {"type": BODY, "body": b"short"},
        ],
        [{"type": START, "status": 200, "headers": [(b"content-length", b"x")]}, {"type": BODY}],
    ],
)
def test_wrong_messages_are_refused(messages: list[Message]) -> None:
    refused: list[Exception] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            for message in messages:
                await send(message)
        except NbioError as error:
            refused.append(error)
            raise

    logging.disable(logging.ERROR)
    try:
        with serving(app) as live:
            assert live.ask(get()).status == 500
    finally:
        logging.disable(logging.NOTSET)
    assert isinstance(refused[0], ResponseError)


def test_after_the_response_receive_says_disconnect_and_send_refuses() -> None:
    seen: list[object] = []
    done = threading.Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, b"done")
        seen.append(await receive())
        try:
            await send({"type": BODY})
        except ResponseError:
            seen.append("refused")
        done.set()

    with serving(app) as live, live.client() as client:
        assert client.ask(post(b"unread")).body == b"done"
        assert done.wait(20)
        assert client.ask(get()).body == b"done", "the connection goes on"
    assert seen[:2] == [{"type": "http.disconnect"}, "refused"]
