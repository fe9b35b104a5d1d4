"""Every handler runs in a task of its own, a real one, however early it begins."""

import asyncio
import contextvars
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from nbio import Request, Response, inline
from tests.live import Client, get, post, serving

SEEN = contextvars.ContextVar("SEEN", default="nothing")
REQUESTS = {"get": get(), "post": post(b"body"), "large": post(b"x" * 200_000)}


async def judge() -> str:
    """What has to work in a real task."""
    task = asyncio.current_task()
    assert task is not None
    assert task in asyncio.all_tasks()
    assert SEEN.get() == "nothing", "a request starts in the server's context"
    SEEN.set("mine")
    never = asyncio.get_running_loop().create_future()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await never
    with anyio.move_on_after(0.001) as scope:
        await anyio.sleep_forever()
    assert scope.cancelled_caught
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 0)
        group.cancel_scope.cancel()
    assert asyncio.current_task() is task
    return "fine"


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    body = (await judge()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def native(request: Request) -> Response:
    await request.body.read()
    return Response(await judge())


@inline
def streams(request: Request) -> Response:
    """Has no task itself; what it streams has one."""
    assert asyncio.current_task() is None

    async def stream() -> AsyncIterator[bytes]:
        yield (await judge()).encode()

    return Response(stream())


async def quick(request: Request) -> Response:
    assert asyncio.current_task() is not None
    return Response(request.path)


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("app", [asgi, native, streams])
def test_a_handler_runs_in_a_real_task(app: Any, request_: bytes) -> None:
    with serving(app, lifespan="off") as live, live.client() as client:
        for _ in range(3):
            answer = client.ask(request_)
            assert (answer.status, answer.body) == (200, b"fine")
        # And behind one another: the next begins where the one before has ended.
        client.send(request_ * 2 + get("/", "Connection: close"))
        assert client.rest().count(b"fine") == 3


def test_a_handler_that_is_cancelled_ends_its_own_request_only() -> None:
    async def ends(request: Request) -> Response:
        if request.path == "/cancel":
            raise asyncio.CancelledError
        return Response("still here")

    with serving(ends) as live:
        with live.client() as client:
            client.send(get("/cancel"))
            client.rest()
        assert live.ask(get()).body == b"still here"


def test_thousands_of_pipelined_requests_do_not_nest() -> None:
    number = 3000
    with serving(quick) as live, live.client() as client:
        client.send(get("/") * (number - 1) + get("/last", "Connection: close"))
        answers = client.rest()
    assert answers.count(b"HTTP/1.1 200 OK") == number
    assert answers.endswith(b"/last")


EXITS = """
import sys
import nbio

{how} app(request):
    sys.exit(3)
"""


@pytest.mark.parametrize("how", ["async def", "@nbio.inline\ndef"])
def test_a_handler_that_exits_ends_the_server(how: str, tmp_path: Path) -> None:
    (tmp_path / "exits.py").write_text(EXITS.format(how=how))
    command = [sys.executable, "-m", "nbio", "--port", "0", "--interface", "native", "exits:app"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        port = int(process.stderr.readline().rpartition(":")[2])
        with Client(port) as client:
            client.send(get())
            assert client.rest().startswith(b"HTTP/1.1 500")
        process.communicate(timeout=20)
        assert process.returncode == 3
