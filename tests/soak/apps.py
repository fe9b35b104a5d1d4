"""Handlers for servers in processes of their own."""

import asyncio
import threading

from nbio import Request, Response


async def hello(request: Request) -> Response:
    """Answer at once."""
    return Response(b"hello")


async def count(request: Request) -> Response:
    """Read the body, and say how long it was."""
    size = 0
    async for view in request.body.views():
        size += len(view)
    return Response(b"%d" % size)


async def slowly(request: Request) -> Response:
    """Answer after a while."""
    await asyncio.sleep(0.05)
    return Response(b"slowly")


def stuck(request: Request) -> Response:
    """Never answer, in a thread that can't be stopped."""
    threading.Event().wait()
    return Response()
