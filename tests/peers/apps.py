"""What `tests/conformance/app.py` answers, for ASGI and WSGI servers; imports nothing of ours."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Fields = list[tuple[bytes, bytes]]
Answer = tuple[int, Fields, Sequence[bytes]]

ANSWERS: dict[str, Answer] = {
    "/length": (200, [(b"content-length", b"5")], [b"hello"]),
    "/stream": (200, [], [b"hello", b" world", b""]),
    "/trailers": (200, [], [b"he", b"llo", b""]),
    "/empty": (200, [(b"content-length", b"0")], [b""]),
    "/unread": (200, [(b"content-length", b"0")], [b""]),
    "/close": (200, [(b"connection", b"close"), (b"content-length", b"3")], [b"bye"]),
    "/204": (204, [], [b"not sent"]),
    "/204-stream": (204, [], [b"not", b"sent", b""]),
    "/205": (205, [], [b"not sent"]),
    "/304": (304, [], [b""]),
    "/426": (
        426,
        [(b"connection", b"upgrade"), (b"upgrade", b"frob"), (b"content-length", b"0")],
        [b""],
    ),
    "/426-alone": (426, [(b"upgrade", b"frob"), (b"content-length", b"0")], [b""]),
}


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Report the request as JSON; a few paths answer otherwise."""
    assert scope["type"] == "http"
    path = scope["path"]
    if path == "/raise":
        raise ValueError("on purpose")
    if path in ANSWERS:
        status, fields, pieces = ANSWERS[path]
    else:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                raise ConnectionError("cut off")
            body += message.get("body", b"")
            more = message.get("more_body", False)
        status, fields, pieces = reported(
            scope["method"],
            scope["raw_path"].decode(),
            scope["query_string"].decode(),
            scope["http_version"],
            [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
            body,
        )
    await send({"type": "http.response.start", "status": status, "headers": fields})
    for number, piece in enumerate(pieces, 1):
        more = number < len(pieces)
        await send({"type": "http.response.body", "body": piece, "more_body": more})


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The same, for WSGI."""
    path = environ["PATH_INFO"]
    if path == "/raise":
        raise ValueError("on purpose")
    if path in ANSWERS:
        status, fields, pieces = ANSWERS[path]
    else:
        path, _, query = environ.get("RAW_URI", path).partition("?")
        names = {name: name[5:].replace("_", "-").lower() for name in environ}
        seen = [[names[k], v] for k, v in environ.items() if k.startswith("HTTP_")]
        version = environ["SERVER_PROTOCOL"].removeprefix("HTTP/")
        body = environ["wsgi.input"].read()
        status, fields, pieces = reported(
            environ["REQUEST_METHOD"], path, query, version, seen, body
        )
    kept = [(k.decode(), v.decode()) for k, v in fields if k not in (b"connection", b"upgrade")]
    start_response(f"{status} Status", kept)
    return pieces


def reported(
    method: str, path: str, query: str, version: str, fields: list[list[str]], body: bytes
) -> Answer:
    """The report, as an answer."""
    report = {
        "method": method,
        "target": path + (f"?{query}" if query else ""),
        "version": version,
        "host": [value for name, value in fields if name == "host"],
        "fields": fields,
        "body": body.decode("latin-1"),
        "size": len(body),
    }
    data = json.dumps(report).encode()
    return 200, [(b"content-length", b"%d" % len(data))], [data]
