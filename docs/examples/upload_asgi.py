"""An ASGI application that answers with the SHA-256 of what was uploaded.

    nbio docs.examples.upload_asgi:app

Try it: curl --data-binary @some-file http://127.0.0.1:8000/
"""

import hashlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]


async def app(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Hash the body as it comes."""
    if scope["type"] != "http":
        raise NotImplementedError(f"this application serves HTTP only, not {scope['type']}")
    digest = hashlib.sha256()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        digest.update(message.get("body", b""))
        more = message.get("more_body", False)
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": digest.hexdigest().encode() + b"\n"})
