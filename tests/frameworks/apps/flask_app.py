"""Flask, by WSGI."""

import hashlib
from collections.abc import Iterator

from flask import Flask, Response, request, send_file

from tests.frameworks.apps.common import COUNT, EVENTS, FILE

app = Flask(__name__)


def hexdigest(pieces: Iterator[bytes]) -> str:
    found = hashlib.sha256()
    for piece in pieces:
        found.update(piece)
    return found.hexdigest()


@app.post("/upload")
def upload() -> str:
    file = request.files["file"].stream
    return hexdigest(iter(lambda: file.read(65536), b""))


@app.post("/digest")
def digest() -> str:
    return hexdigest(iter(lambda: request.stream.read(65536), b""))


@app.get("/stream")
def stream() -> Response:
    return Response((b"%d," % n for n in range(COUNT)), mimetype="text/plain")


@app.get("/events")
def events() -> Response:
    return Response(iter(EVENTS), mimetype="text/event-stream")


@app.get("/file")
def file() -> Response:
    return send_file(FILE)
