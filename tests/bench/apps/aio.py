"""The workloads for aiohttp.web: `python -m tests.bench.apps.aio WORKLOAD PORT`."""

import sys
from typing import Any

import uvloop
from aiohttp import WSMsgType, web

from tests.bench.apps.payload import BIG, HELLO, TEXT


async def hello(request: Any) -> Any:
    """A GET of 13 bytes."""
    return web.Response(body=HELLO, headers={"content-type": TEXT})


async def big(request: Any) -> Any:
    """A GET of 16 MiB."""
    return web.Response(body=BIG, headers={"content-type": TEXT})


async def read(request: Any) -> Any:
    """Read the body in full."""
    return web.Response(text=str(len(await request.read())))


async def count(request: Any) -> Any:
    """Count the body's bytes."""
    size = 0
    async for part in request.content.iter_any():
        size += len(part)
    return web.Response(text=str(size))


async def echo(request: Any) -> Any:
    """Send every WebSocket message back."""
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


def main() -> None:
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/", globals()[sys.argv[1]])
    web.run_app(
        app,
        host="127.0.0.1",
        port=int(sys.argv[2]),
        access_log=None,
        print=None,
        loop=uvloop.new_event_loop(),
    )


if __name__ == "__main__":
    main()
