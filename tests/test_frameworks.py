"""Starlette and FastAPI, as they come from PyPI."""

import hashlib
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import FastAPI, Request, UploadFile
from fastapi.responses import StreamingResponse
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.responses import StreamingResponse as StarletteStreaming
from starlette.routing import Route

from tests.live import chunked, get, post, serving

DATA = hashlib.shake_128(b"upload").digest(5_000_000)
DIGEST = hashlib.sha256(DATA).hexdigest()


async def numbers() -> AsyncIterator[bytes]:
    for n in range(1000):
        yield b"%d," % n


NUMBERS = b"".join(b"%d," % n for n in range(1000))


async def digest(request: StarletteRequest) -> Response:
    found = hashlib.sha256()
    async for piece in request.stream():
        found.update(piece)
    return JSONResponse({"sha256": found.hexdigest()})


async def stream(request: StarletteRequest) -> Response:
    return StarletteStreaming(numbers())


ran: list[str] = []


async def later(request: StarletteRequest) -> Response:
    body = await request.body()
    return PlainTextResponse(body, background=BackgroundTask(ran.append, "later"))


starlette = Starlette(
    routes=[
        Route("/digest", digest, methods=["POST"]),
        Route("/stream", stream),
        Route("/later", later, methods=["POST"]),
    ]
)

fastapi = FastAPI()


@fastapi.get("/items/{item}")
def item(item: int, q: str = "") -> dict[str, object]:
    return {"item": item, "q": q}


@fastapi.post("/upload")
async def upload(file: Annotated[UploadFile, "a form's file"]) -> dict[str, str]:
    found = hashlib.sha256()
    while piece := await file.read(65536):
        found.update(piece)
    return {"sha256": found.hexdigest()}


@fastapi.post("/digest")
async def fastapi_digest(request: Request) -> dict[str, str]:
    found = hashlib.sha256()
    async for piece in request.stream():
        found.update(piece)
    return {"sha256": found.hexdigest()}


@fastapi.get("/stream")
async def fastapi_stream() -> StreamingResponse:
    return StreamingResponse(numbers(), media_type="text/plain")


def test_starlette() -> None:
    with serving(starlette) as live, live.client() as client:
        for encode in (post, chunked):
            assert DIGEST.encode() in client.ask(encode(DATA, path="/digest")).body
        assert client.ask(get("/stream")).body == NUMBERS
        assert client.ask(post(b"hello", path="/later")).body == b"hello"
        assert client.ask(get("/nowhere")).status == 404
    assert ran == ["later"]


def test_fastapi() -> None:
    with serving(fastapi) as live, live.client() as client:
        assert client.ask(get("/items/3?q=x")).body == b'{"item":3,"q":"x"}'
        assert client.ask(get("/items/x")).status == 422
        assert client.ask(get("/openapi.json")).status == 200
        for encode in (post, chunked):
            assert DIGEST.encode() in client.ask(encode(DATA, path="/digest")).body
        assert client.ask(get("/stream")).body == NUMBERS


def test_a_form_upload() -> None:
    form = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n%b\r\n--b--\r\n'
    ) % DATA
    with serving(fastapi) as live:
        kind = "Content-Type: multipart/form-data; boundary=b"
        assert DIGEST.encode() in live.ask(post(form, kind, path="/upload")).body


def test_a_client_that_leaves_in_the_middle_of_an_upload() -> None:
    with serving(starlette) as live:
        for path in ("/digest", "/later"):
            client = live.client()
            client.send(post(DATA, path=path)[:100_000])
            client.reset()
        assert live.ask(get("/stream")).status == 200
