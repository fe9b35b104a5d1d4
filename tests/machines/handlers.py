"""Handlers for a live server: what they do with a body, good and bad, and what they must answer.

The first part of a path says which; the rest makes it one of a kind, so that what was seen of a
request can be asked for by its path.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from nbio.body import BodyReader
from nbio.errors import BodyClosedError, BodyError
from nbio.native import Request, Response
from tests.machines.messages import content

BIG: Final = content(400_000, 5)


class Notes:
    """What the handlers of all requests saw. Written on the server's loop."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.whole: dict[str, bytes] = {}
        """Bodies that a handler, or what it left, was told are complete."""
        self.kept: list[tuple[memoryview, bytes]] = []
        self.left: set[asyncio.Task[None]] = set()
        self.wrong: list[str] = []

    async def handle(self, request: Request) -> Response:
        """The server's handler."""
        self.called.append(request.path)
        return await HANDLERS[request.path.split("/")[1]](self, request)

    def leave(self, path: str, body: BodyReader, closed: bool) -> None:
        """Let a task read on after the request; `closed`: it must meet the body's end by then."""

        async def read() -> None:
            try:
                data = await body.read()
            except BodyClosedError:
                if not closed:
                    self.wrong.append(f"{path}: closed, though it is detached")
            except BodyError:
                pass
            else:
                self.whole[path] = data
            finally:
                body.close()

        task = asyncio.get_running_loop().create_task(read())
        self.left.add(task)
        task.add_done_callback(self.left.discard)


async def echo(notes: Notes, request: Request) -> Response:
    data = notes.whole[request.path] = await request.body.read()
    return Response(data)


async def views(notes: Notes, request: Request) -> Response:
    data = b""
    async for view in request.body.views():
        data += view
    notes.whole[request.path] = data
    return Response(data)


async def into(notes: Notes, request: Request) -> Response:
    data, target = b"", bytearray(50)
    while count := await request.body.readinto(target):
        data += target[:count]
    notes.whole[request.path] = data
    return Response(data)


async def pieces(notes: Notes, request: Request) -> Response:
    async def stream() -> AsyncIterator[bytes]:
        while data := await request.body.read(70):
            yield data

    return Response(stream())


async def early(notes: Notes, request: Request) -> Response:
    request.body.close()
    request.body.close()
    return Response(b"early")


async def thread(notes: Notes, request: Request) -> Response:
    closers = [threading.Thread(target=request.body.close) for _ in range(2)]
    for closer in closers:
        closer.start()
    for closer in closers:
        await asyncio.get_running_loop().run_in_executor(None, closer.join)
    return Response(b"thread")


async def half(notes: Notes, request: Request) -> Response:
    return Response(await request.body.read(1))


async def keep(notes: Notes, request: Request) -> Response:
    async for view in request.body.views():
        notes.kept.append((view[:9], bytes(view[:9])))
        break
    return Response(b"keep")


async def detach(notes: Notes, request: Request) -> Response:
    notes.leave(request.path, request.body.detach(), closed=False)
    return Response(b"detach")


async def leave(notes: Notes, request: Request) -> Response:
    notes.leave(request.path, request.body, closed=True)
    return Response(b"leave")


async def crash(notes: Notes, request: Request) -> Response:
    await request.body.read(1)
    raise RuntimeError("as told")


async def big(notes: Notes, request: Request) -> Response:
    return Response(BIG)


HANDLERS: Final[dict[str, Callable[[Notes, Request], Awaitable[Response]]]] = {
    h.__name__: h
    for h in (echo, views, into, pieces, early, thread, half, keep, detach, leave, crash, big)
}
READERS: Final = ("echo", "views", "into", "pieces")
"""Those that read all of it, and so never have to close the connection."""


def answer_of(kind: str, body: bytes) -> bytes:
    """What a handler answers to a request with this body; of a crash nothing is known."""
    if kind in READERS:
        return body
    return {"half": body[:1], "big": BIG, "crash": b""}.get(kind, kind.encode())
