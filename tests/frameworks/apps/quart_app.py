"""Quart: Flask's words on ASGI."""

import hashlib
from collections.abc import AsyncIterator

from quart import Quart, Response, request, send_file, websocket

from tests.frameworks.apps.common import BYE, COUNT, EVENTS, FILE

app = Quart(__name__)


@app.post("/upload")
async def upload() -> str:
    file = (await request.files)["file"]
    return hashlib.sha256(file.read()).hexdigest()


@app.post("/digest")
async def digest() -> str:
    found = hashlib.sha256()
    async for piece in request.body:
        found.update(piece)
    return found.hexdigest()


@app.get("/stream")
async def stream() -> Response:
    async def numbers() -> AsyncIterator[bytes]:
        for n in range(COUNT):
            yield b"%d," % n

    return Response(numbers(), mimetype="text/plain")


@app.get("/events")
async def events() -> Response:
    async def made() -> AsyncIterator[bytes]:
        for event in EVENTS:
            yield event

    return Response(made(), mimetype="text/event-stream")


@app.get("/file")
async def file() -> Response:
    return await send_file(FILE)


@app.websocket("/echo")
async def echo() -> None:
    while (text := await websocket.receive()) != "bye":
        await websocket.send(text)
    await websocket.close(BYE, "bye")
