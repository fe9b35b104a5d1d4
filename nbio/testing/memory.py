"""A client without sockets: requests go straight into the server's connection, in one loop.

    async with nbio.testing.client(app) as client:
        answer = await client.request("POST", "/upload", body=b"data")
        assert answer.status == 200

Everything but the kernel is real: the bytes, the parser, the pool, the timeouts.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Final, Self

import httptools

from nbio.errors import NbioError
from nbio.listening import Places
from nbio.server import AnyApp, Server
from nbio.testing import check

CLIENT: Final = ("127.0.0.1", 49152)
SERVER: Final = ("127.0.0.1", 80)


class Answer:
    """A response: `status`, `headers` (pairs, names in lower case), `trailers`, `body`."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.trailers: list[tuple[str, str]] = []
        self.body = b""

    def header(self, name: str) -> str | None:
        """The value of a field, of several the first; None when there is none."""
        return next((value for key, value in self.headers if key == name.lower()), None)

    def __repr__(self) -> str:
        return f"<Answer {self.status}, {len(self.body)} bytes>"


class _Reader:
    """Puts an answer together, by the callbacks of httptools."""

    def __init__(self, method: str) -> None:
        self.answer = Answer()
        self.complete = False
        self._headless = method == "HEAD"
        self._in_body = False
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.answer = Answer()
        self._in_body = False

    def on_header(self, name: bytes, value: bytes) -> None:
        field = (name.decode("latin-1").lower(), value.decode("latin-1"))
        (self.answer.trailers if self._in_body else self.answer.headers).append(field)

    def on_headers_complete(self) -> None:
        self.answer.status = self._parser.get_status_code()
        self._in_body = True
        if self._headless and self.answer.status >= 200:
            self.complete = True

    def on_body(self, data: bytes) -> None:
        self.answer.body += data

    def on_message_complete(self) -> None:
        if self.answer.status >= 200:
            self.complete = True


class MemoryTransport(asyncio.Transport):
    """The server's end of a connection that is no socket. Whatever is written is taken at once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__({"peername": CLIENT, "sockname": SERVER})
        self._loop = loop
        self._protocol: asyncio.BaseProtocol = asyncio.BaseProtocol()
        self._incoming = b""
        self._ended = self._paused = self._closing = False
        self.written: asyncio.Queue[bytes] = asyncio.Queue()

    # The server's side.

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._closing:
            self.written.put_nowait(bytes(data))

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.write(b"".join(list_of_data))

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is ever waiting to be written."""

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.written.put_nowait(b"")

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._loop.call_soon(self._deliver)

    def is_reading(self) -> bool:
        return not self._paused

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self.written.put_nowait(b"")
            self._loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()

    # The client's side.

    def receive(self, data: bytes, *, end: bool = False) -> None:
        """Bytes of the client arrive; `end`: and no more will."""
        self._incoming += data
        self._ended = self._ended or end
        self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        protocol = self._protocol
        while self._incoming and not self._paused and not self._closing:
            data = self._incoming
            if isinstance(protocol, asyncio.BufferedProtocol):
                buffer = memoryview(protocol.get_buffer(len(data)))
                size = min(len(buffer), len(data))
                buffer[:size] = data[:size]
                buffer.release()
                self._incoming = data[size:]
                protocol.buffer_updated(size)
            elif isinstance(protocol, asyncio.Protocol):
                self._incoming = b""
                protocol.data_received(data)
            protocol = self._protocol
        if self._ended and not self._incoming and not self._paused and not self._closing:
            self._ended = False
            if isinstance(protocol, asyncio.Protocol | asyncio.BufferedProtocol):
                stays = protocol.eof_received()
                if not stays:
                    self.close()


class MemoryConnection:
    """One connection, for raw bytes both ways."""

    def __init__(self, server: Server) -> None:
        self._transport = MemoryTransport(asyncio.get_running_loop())
        protocol = server.connection()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._transport.receive(data)

    def end(self) -> None:
        """Send no more."""
        self._transport.receive(b"", end=True)

    async def receive(self) -> bytes:
        """Some bytes of the server; none once it has closed."""
        data = await self._transport.written.get()
        if not data:
            self._transport.written.put_nowait(b"")
        return data

    def close(self) -> None:
        """Go away."""
        self._transport.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class MemoryClient:
    """Requests to an application, each on a connection of its own; made by `client`."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def connect(self) -> MemoryConnection:
        """A connection for raw bytes."""
        return MemoryConnection(self.server)

    async def request(
        self,
        method: str,
        target: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes | Iterable[bytes] = b"",
    ) -> Answer:
        """Send a request, and wait for the whole response.

        A `body` of bytes goes with a Content-Length, an iterable of them as chunks. Raises
        ConnectionError when the connection ends before the response does.
        """
        reader = _Reader(method)
        with self.connect() as connection:
            connection.send(encoded(method, target, headers, body))
            while not reader.complete:
                data = await connection.receive()
                if not data:
                    raise ConnectionError(f"closed before the end of {reader.answer!r}")
                reader.feed(data)
        return reader.answer

    async def get(self, target: str, *, headers: Iterable[tuple[str, str]] = ()) -> Answer:
        """A GET request; as `request`."""
        return await self.request("GET", target, headers=headers)


def encoded(
    method: str,
    target: str,
    headers: Iterable[tuple[str, str]],
    body: bytes | Iterable[bytes],
) -> bytes:
    """A request as bytes. Raises NbioError for a field that would be two lines."""
    fields = [(name, value) for name, value in headers]
    names = {name.lower() for name, _ in fields}
    if "host" not in names:
        fields.insert(0, ("Host", "test"))
    if isinstance(body, bytes):
        payload = body
        if body and not names & {"content-length", "transfer-encoding"}:
            fields.append(("Content-Length", str(len(body))))
    else:
        payload = b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in body if c) + b"0\r\n\r\n"
        fields.append(("Transfer-Encoding", "chunked"))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
    if any("\r" in line or "\n" in line for line in lines):
        raise NbioError("a request line or field with a line break would be two; send raw bytes")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + payload


@asynccontextmanager
async def client(app: AnyApp | str, **options: Any) -> AsyncIterator[MemoryClient]:
    """A client of `app`, in this loop; options are those of `Server`. The lifespan runs too.

    Raises StartupFailed, and at the end PoolImbalance for a body or block that isn't back.
    """
    server = Server(app, places=Places.nowhere(), **options)
    await server.start()
    try:
        yield MemoryClient(server)
    finally:
        await server.stop()
    check(server.pool)
