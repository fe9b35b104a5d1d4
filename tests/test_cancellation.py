"""Timeouts, task groups, cancellation and context, as applications use them."""

import asyncio
import contextvars
import queue
from typing import Any

import anyio
import pytest

from nbio import Request, Response
from nbio.asgi import Receive, Scope, Send
from tests.live import TIMEOUT, get, post, serving

WHO = contextvars.ContextVar("WHO", default="nobody")


async def read_late(request: Request) -> Response:
    """Waits for the body by three means that give up, and then reads all of it."""
    body = request.body
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await body.read()
    with anyio.move_on_after(0.001) as scope:
        async for _ in body.views():
            raise AssertionError("nothing has come")
    assert scope.cancelled_caught
    with pytest.raises(ExceptionGroup) as caught:
        await read_in_a_group_that_fails(request)
    assert isinstance(caught.value.exceptions[0], ZeroDivisionError)
    waiting.put("now")
    return Response(await body.read())


async def read_in_a_group_that_fails(request: Request) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(request.body.read())
        await asyncio.sleep(0)
        raise ZeroDivisionError


waiting: queue.SimpleQueue[str] = queue.SimpleQueue()


def test_a_read_that_is_given_up_takes_nothing_away() -> None:
    with serving(read_late) as live, live.client() as client:
        for _ in range(2):
            data = post(b"hello world")
            client.send(data[:-11])
            assert waiting.get(timeout=TIMEOUT) == "now"
            assert client.ask(data[-11:]).body == b"hello world"


def test_a_task_group_ends_a_stream_when_the_client_leaves() -> None:
    told: queue.SimpleQueue[str] = queue.SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def stream() -> None:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
            try:
                await anyio.sleep_forever()
            except BaseException as error:
                told.put(type(error).__name__)
                raise

        assert (await receive())["type"] == "http.request"
        async with anyio.create_task_group() as group:
            group.start_soon(stream)
            assert (await receive())["type"] == "http.disconnect"
            group.cancel_scope.cancel()
        told.put("over")

    with serving(app, lifespan="off") as live:
        client = live.client()
        client.send(get())
        client.until(b"first\r\n")
        client.reset()
        assert told.get(timeout=TIMEOUT) == "CancelledError"
        assert told.get(timeout=TIMEOUT) == "over"


async def native(request: Request) -> Response:
    before = WHO.get()
    WHO.set(request.path)
    await asyncio.sleep(0)
    # A task and a thread of the request's have its context.
    inner = await asyncio.create_task(current())
    assert inner == await asyncio.to_thread(WHO.get) == request.path
    return Response(before)


async def current() -> str:
    return WHO.get()


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    before = WHO.get()
    WHO.set(scope["path"])
    await receive()
    assert WHO.get() == scope["path"]
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": before.encode()})


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    before = WHO.get()
    WHO.set(environ["PATH_INFO"])
    start_response("200 OK", [])
    return [before.encode()]


@pytest.mark.parametrize("app", [native, asgi, wsgi])
def test_no_request_sees_another_s_context(app: Any) -> None:
    with serving(app, lifespan="off", threads=1) as live:
        with live.client() as client:
            for number in range(3):
                assert client.ask(get(f"/{number}")).body == b"nobody"
        with live.client() as client:
            client.send(b"".join(get(f"/{number}") for number in range(5)))
            client.end()
            assert client.rest().count(b"nobody") == 5


def test_cancelling_a_handler_s_own_task_is_its_own_affair() -> None:
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()

    async def handler(request: Request) -> Response:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            task.uncancel()
        told.put(task.cancelling())
        return Response("still here")

    with serving(handler) as live:
        assert live.ask(get()).body == b"still here"
        assert told.get(timeout=TIMEOUT) == 0
