"""The handler the cases run against: it reports what it saw, or answers as the path says."""

import json
from collections.abc import AsyncIterator
from typing import Any

from nbio import Request, Response

REPORTED: list[str] = []
"""The methods and paths of the requests that were seen to their end."""


async def handler(request: Request) -> Response:
    """Report the request as JSON; a few paths answer otherwise."""
    path = request.path
    if path in ANSWERS:
        return ANSWERS[path]()
    if path == "/raise":
        raise ValueError("on purpose")
    body = await request.body.read()
    REPORTED.append(f"{request.method} {path}")
    return Response(json.dumps(describe(request, body)).encode())


def describe(request: Request, body: bytes) -> dict[str, Any]:
    """What was seen of a request."""
    query = request.query
    return {
        "method": request.method,
        "target": (request.raw_path + (b"?" + query if query else b"")).decode(),
        "version": request.http_version,
        "host": request.headers.get_all("host"),
        "fields": [[name, value] for name, value in request.headers.multi_items()],
        "body": body.decode("latin-1"),
        "size": len(body),
        "trailers": [[name, value] for name, value in request.trailers.multi_items()],
    }


async def stream(*pieces: bytes) -> AsyncIterator[bytes]:
    """A body in pieces."""
    for piece in pieces:
        yield piece


ANSWERS = {
    "/length": lambda: Response(b"hello"),
    "/stream": lambda: Response(stream(b"hello", b" world")),
    "/trailers": lambda: Response(stream(b"he", b"llo"), trailers=lambda: {"Digest": "x"}),
    "/empty": lambda: Response(),
    "/unread": lambda: Response(),
    "/close": lambda: Response(b"bye", headers={"Connection": "close"}),
    "/204": lambda: Response(b"not sent", status=204),
    "/204-stream": lambda: Response(stream(b"not", b"sent"), status=204),
    "/205": lambda: Response(b"not sent", status=205),
    "/304": lambda: Response(status=304),
    "/426": lambda: Response(status=426, headers={"Connection": "Upgrade", "Upgrade": "frob"}),
    "/426-alone": lambda: Response(status=426, headers={"Upgrade": "frob"}),
}
"""Answers that don't look at the request's body."""
