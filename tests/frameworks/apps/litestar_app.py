"""Litestar."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

from litestar import Litestar, MediaType, Request, WebSocket, get, post, websocket
from litestar.response import File, Stream

from tests.frameworks.apps.common import BYE, COUNT, EVENTS, FILE

AnyRequest = Request[Any, Any, Any]
AnyWebSocket = WebSocket[Any, Any, Any]


@post("/upload", media_type=MediaType.TEXT, status_code=200)
async def upload(request: AnyRequest) -> str:
    file = (await request.form())["file"]
    return hashlib.sha256(await file.read()).hexdigest()


@post("/digest", media_type=MediaType.TEXT, status_code=200)
async def digest(request: AnyRequest) -> str:
    found = hashlib.sha256()
    async for piece in request.stream():
        found.update(piece)
    return found.hexdigest()


@get("/stream")
async def stream() -> Stream:
    async def numbers() -> AsyncIterator[bytes]:
        for n in range(COUNT):
            yield b"%d," % n

    return Stream(numbers())


@get("/events")
async def events() -> Stream:
    async def made() -> AsyncIterator[bytes]:
        for event in EVENTS:
            yield event

    return Stream(made(), media_type="text/event-stream")


@get("/file")
async def file() -> File:
    return File(FILE)


@websocket("/echo")
async def echo(socket: AnyWebSocket) -> None:
    await socket.accept()
    while (text := await socket.receive_text()) != "bye":
        await socket.send_text(text)
    await socket.close(BYE, "bye")


app = Litestar([upload, digest, stream, events, file, echo])
