"""Starlette."""

import hashlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from tests.frameworks.apps.common import BYE, COUNT, EVENTS, FILE

ran: list[str] = []


async def upload(request: Request) -> Response:
    async with request.form() as form:
        file = form["file"]
        assert isinstance(file, UploadFile)
        found = hashlib.sha256()
        while piece := await file.read(65536):
            found.update(piece)
    return PlainTextResponse(found.hexdigest())


async def digest(request: Request) -> Response:
    found = hashlib.sha256()
    async for piece in request.stream():
        found.update(piece)
    return PlainTextResponse(found.hexdigest())


async def stream(request: Request) -> Response:
    async def numbers() -> AsyncIterator[bytes]:
        for n in range(COUNT):
            yield b"%d," % n

    return StreamingResponse(numbers())


async def events(request: Request) -> Response:
    async def made() -> AsyncIterator[bytes]:
        for event in EVENTS:
            yield event

    return StreamingResponse(made(), media_type="text/event-stream")


async def file(request: Request) -> Response:
    return FileResponse(FILE)


async def later(request: Request) -> Response:
    return PlainTextResponse(await request.body(), background=BackgroundTask(ran.append, "later"))


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        if text == "bye":
            await websocket.close(BYE, "bye")
            return
        await websocket.send_text(text)


app = Starlette(
    routes=[
        Route("/upload", upload, methods=["POST"]),
        Route("/digest", digest, methods=["POST"]),
        Route("/stream", stream),
        Route("/events", events),
        Route("/file", file),
        Route("/later", later, methods=["POST"]),
        WebSocketRoute("/echo", echo),
    ]
)
