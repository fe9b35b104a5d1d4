"""What an application may do with its lifespan, and what becomes of the server."""

from typing import Any

import pytest

from nbio.asgi import Receive, Scope, Send
from nbio.lifespan import StartupFailed
from nbio.testing import serve
from tests.ops.commands import raw

ASK = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


class App:
    """Does `kind` in its lifespan, and tells requests what that left."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.events: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.live(scope, receive, send)
            return
        state = scope.get("state")
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": repr(state).encode()})

    async def live(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.does("begin")
        self.events.append((await receive())["type"])
        if self.does("startup"):
            return
        if self.kind == "fails":
            await send({"type": "lifespan.startup.failed"})
            return
        scope["state"]["kept"] = 1
        await send({"type": "lifespan.startup.complete"})
        if self.does("serving"):
            return
        self.events.append((await receive())["type"])
        if self.kind == "fails at the end":
            await send({"type": "lifespan.shutdown.failed", "message": "so"})
        elif not self.does("shutdown"):
            await send({"type": "lifespan.shutdown.complete"})
            self.events.append("returned")

    def does(self, where: str) -> bool:
        if self.kind == f"raises at {where}":
            raise ValueError(self.kind)
        return self.kind == f"returns at {where}"


def asked(kind: str, **options: Any) -> tuple[bytes, list[str]]:
    app = App(kind)
    with serve(app, **options) as served:
        answer = raw((served.host, served.port), ASK)
    assert answer.startswith(b"HTTP/1.1 200")
    return answer.partition(b"\r\n\r\n")[2], app.events


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_a_lifespan_from_beginning_to_end(mode: str) -> None:
    body, events = asked("all of it", lifespan=mode)
    assert body == b"{'kept': 1}"
    assert events == ["lifespan.startup", "lifespan.shutdown", "returned"]


@pytest.mark.parametrize("kind", ["raises at begin", "raises at startup", "returns at startup"])
def test_without_a_startup_there_is_no_lifespan_and_no_state(kind: str) -> None:
    body, events = asked(kind)
    assert body == b"None"
    assert "lifespan.shutdown" not in events
    with pytest.raises(StartupFailed, match="doesn't support lifespan"):
        asked(kind, lifespan="on")


def test_a_lifespan_that_nobody_asks_for() -> None:
    assert asked("all of it", lifespan="off") == (b"None", [])


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_a_startup_that_fails_without_a_word(mode: str) -> None:
    with pytest.raises(StartupFailed, match="no reason given"):
        asked("fails", lifespan=mode)


@pytest.mark.parametrize(
    "kind",
    ["returns at serving", "raises at serving", "raises at shutdown", "fails at the end"],
)
def test_what_goes_wrong_after_the_startup_takes_nothing_from_requests(kind: str) -> None:
    assert asked(kind)[0] == b"{'kept': 1}"
