"""The field's frameworks on a real server, driven by the field's clients."""

import asyncio
import hashlib
import importlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import httpx
import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.frameworks.apps.common import BYE, EVENTS, FILE, NUMBERS
from tests.live import TIMEOUT, Live, chunked, get, post, serving

DATA = hashlib.shake_128(b"upload").digest(2_000_000)
DIGEST = hashlib.sha256(DATA).hexdigest()
APPS = {
    "starlette": "starlette_app:app",
    "fastapi": "fastapi_app:app",
    "litestar": "litestar_app:app",
    "quart": "quart_app:app",
    "django-asgi": "django_app:asgi",
    "django-wsgi": "django_app:wsgi",
    "flask": "flask_app:app",
}
WEBSOCKETS = ["starlette", "fastapi", "litestar", "quart"]

# Their warnings are theirs to heed.
pytestmark = pytest.mark.filterwarnings("ignore")


class Serving(NamedTuple):
    name: str
    live: Live

    @property
    def url(self) -> str:
        return self.live.server.url


@pytest.fixture(scope="module", params=APPS)
def server(request: pytest.FixtureRequest) -> Iterator[Serving]:
    module, _, name = APPS[request.param].partition(":")
    app: Any = getattr(importlib.import_module(f"tests.frameworks.apps.{module}"), name)
    with serving(app) as live:
        assert live.server.interface == ("asgi" if "flask" not in request.param else "wsgi") or (
            request.param == "django-wsgi"
        )
        yield Serving(request.param, live)


def pieces(data: bytes) -> Iterator[bytes]:
    """The data without a length, so that the client sends chunks."""
    for at in range(0, len(data), 100_000):
        yield data[at : at + 100_000]


def takes_chunks(server: Serving) -> bool:
    # Django's WSGI handler reads nothing of a body without Content-Length.
    return server.name != "django-wsgi"


def test_httpx(server: Serving) -> None:
    with httpx.Client(base_url=server.url, timeout=TIMEOUT) as client:
        assert client.post("/upload", files={"file": ("name", DATA)}).text == DIGEST
        assert client.post("/digest", content=DATA).text == DIGEST
        if takes_chunks(server):
            assert client.post("/digest", content=pieces(DATA)).text == DIGEST
        with client.stream("GET", "/stream") as response:
            assert b"".join(response.iter_bytes()) == NUMBERS
        with client.stream("GET", "/events") as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            assert b"".join(response.iter_bytes()) == b"".join(EVENTS)
        assert client.get("/file").content == FILE.read_bytes()
        assert client.get("/nowhere").status_code == 404


def test_requests(server: Serving) -> None:
    with requests.Session() as session:
        url = server.url
        got = session.post(f"{url}/upload", files={"file": DATA}, timeout=TIMEOUT)
        assert got.text == DIGEST
        data = pieces(DATA) if takes_chunks(server) else DATA
        assert session.post(f"{url}/digest", data=data, timeout=TIMEOUT).text == DIGEST
        with session.get(f"{url}/stream", stream=True, timeout=TIMEOUT) as streamed:
            assert b"".join(streamed.iter_content(1000)) == NUMBERS


def test_aiohttp(server: Serving) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        for piece in pieces(DATA):
            yield piece
            await asyncio.sleep(0)

    async def main() -> None:
        timeout = aiohttp.ClientTimeout(TIMEOUT)
        async with aiohttp.ClientSession(server.url, timeout=timeout) as session:
            form = aiohttp.FormData()
            form.add_field("file", DATA, filename="name")
            async with session.post("/upload", data=form) as got:
                assert await got.text() == DIGEST
            if takes_chunks(server):
                async with session.post("/digest", data=slowly()) as got:
                    assert await got.text() == DIGEST
            async with session.get("/stream") as got:
                assert await got.read() == NUMBERS
            if server.name in WEBSOCKETS:
                async with session.ws_connect("/echo", compress=15) as socket:
                    await socket.send_str("hello")
                    assert await socket.receive_str() == "hello"
                    await socket.send_str("bye")
                    end = await socket.receive()
                    assert (end.type, end.data) == (aiohttp.WSMsgType.CLOSE, BYE)

    asyncio.run(main())


@pytest.mark.parametrize("server", WEBSOCKETS, indirect=True, scope="module")
def test_websockets(server: Serving) -> None:
    with connect(f"ws{server.url[4:]}/echo", proxy=None, open_timeout=TIMEOUT) as client:
        for message in ("hello", "", "x" * 100_000):
            client.send(message)
            assert client.recv(TIMEOUT) == message
        client.send("bye")
        with pytest.raises(ConnectionClosed) as caught:
            client.recv(TIMEOUT)
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (BYE, "bye")


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl here")
def test_curl(server: Serving, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(DATA)
    url = server.url
    requested = ["-F", f"file=@{file}", f"{url}/upload", "--next", "-sS"]
    if takes_chunks(server):
        requested += ["-X", "POST", "-T", "-", f"{url}/digest", "--next", "-sS"]
    # More than a mebibyte, so curl asks for a 100 (Continue) first.
    requested += ["--data-binary", f"@{file}", f"{url}/digest", "--next", "-sS", f"{url}/stream"]
    got = subprocess.run(
        ["curl", "-sS", "--max-time", str(TIMEOUT), *requested],
        input=DATA,
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout
    assert got == DIGEST.encode() * (3 if takes_chunks(server) else 2) + NUMBERS


def test_clients_that_leave_in_the_middle(server: Serving) -> None:
    for path in ("/digest", "/upload"):
        for encode in (post, chunked):
            client = server.live.client()
            client.send(encode(DATA, path=path)[:100_000])
            client.reset()
    client = server.live.client()
    client.send(get("/stream"))
    client.until(b"0,")
    client.reset()
    assert server.live.ask(get("/file")).body == FILE.read_bytes()
