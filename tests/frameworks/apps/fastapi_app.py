"""FastAPI: half of it in threads, as its users write it."""

import hashlib
from collections.abc import Iterator
from typing import Annotated

from fastapi import FastAPI, Request, UploadFile, WebSocket
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse, StreamingResponse

from tests.frameworks.apps.common import BYE, COUNT, EVENTS, FILE

PAGE = """<!doctype html>
<form id="form"><input type="file" name="file" id="file"><button id="send">Send</button></form>
<pre id="sum"></pre><pre id="events"></pre>
<script>
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await fetch("/upload", {method: "POST", body: new FormData(form)});
  document.getElementById("sum").textContent = await answer.text();
});
const source = new EventSource("/events");
let got = "";
source.onmessage = (event) => { got += event.data; };
source.onerror = () => { source.close(); document.getElementById("events").textContent = got; };
</script>
"""

app = FastAPI()


@app.get("/")
def page() -> HTMLResponse:
    return HTMLResponse(PAGE)


@app.get("/items/{item}")
def item(item: int, q: str = "") -> dict[str, object]:
    return {"item": item, "q": q}


@app.post("/upload", response_class=PlainTextResponse)
async def upload(file: Annotated[UploadFile, "a form's file"]) -> str:
    found = hashlib.sha256()
    while piece := await file.read(65536):
        found.update(piece)
    return found.hexdigest()


@app.post("/digest", response_class=PlainTextResponse)
async def digest(request: Request) -> str:
    found = hashlib.sha256()
    async for piece in request.stream():
        found.update(piece)
    return found.hexdigest()


def numbers() -> Iterator[bytes]:
    for n in range(COUNT):
        yield b"%d," % n


@app.get("/stream")
def stream() -> StreamingResponse:
    return StreamingResponse(numbers(), media_type="text/plain")


@app.get("/events")
def events() -> StreamingResponse:
    return StreamingResponse(iter(EVENTS), media_type="text/event-stream")


@app.get("/file")
def file() -> FileResponse:
    return FileResponse(FILE)


@app.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    while (text := await websocket.receive_text()) != "bye":
        await websocket.send_text(text)
    await websocket.close(BYE, "bye")
