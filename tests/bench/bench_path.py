"""What a request costs in nbio's own code: no kernel, no uvloop transport.

    python -m tests.bench.bench_path

CPU microseconds a request, the least of many short rounds: of whole requests, 16 of as many
connections in a turn of the loop, on transports that keep nothing, less an empty turn; and of
the parts that a GET consists of.
"""

import asyncio
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import uvloop

from nbio.config import Config
from nbio.hub import Hub
from nbio.loading import site_for
from nbio.protocol import Connection
from nbio.variant import COMPILED
from tests.bench.apps import asgi, native
from tests.bench.apps.payload import HELLO
from tests.bench.clients import REALISTIC

ROUNDS = 60
LOOPS = 400
CROWD = 16
GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n"
FIELDS = "".join(f"{name}: {value}\r\n" for name, value in REALISTIC).encode()
POST = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1024\r\n\r\n" + b"x" * 1024


class Nowhere:
    """A transport that takes everything, and has its writes counted."""

    def __init__(self, bench: "Bench") -> None:
        self._bench = bench

    def __getattr__(self, name: str) -> Callable[..., bool]:
        return lambda *_: False

    def write(self, data: bytes) -> None:
        self._bench.writes += 1

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def get_write_buffer_size(self) -> int:
        return 0


class Bench:
    """Some connections of a server that runs on the running loop."""

    def __init__(self, app: Any) -> None:
        config = Config(lifespan="off")
        self.site = site_for(app, config)
        self.hub = Hub(config, self.site, asyncio.get_running_loop())
        self.site.begin(self.hub.pool)
        self.hub.start()
        self.writes = 0
        self.crowd = [Connection(self.hub) for _ in range(CROWD)]
        for connection in self.crowd:
            nowhere: Any = Nowhere(self)
            connection.connection_made(nowhere)
        self.connection = self.crowd[0]

    async def requests(self, asked: list[bytes]) -> None:
        """A request on each connection, to the last write."""
        before = self.writes
        for connection, data in zip(self.crowd, asked, strict=True):
            connection.get_buffer(65536)[: len(data)] = data
            connection.buffer_updated(len(data))
        while self.writes < before + CROWD:
            await asyncio.sleep(0)

    def varied(self, number: int) -> bytes:
        """A request that no other is like."""
        return b"GET /?%d HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Id: %d\r\n\r\n" % (number, number)

    def parts(self) -> dict[str, Callable[[], object]]:
        """What a GET consists of, each repeatable."""
        connection, hub = self.connection, self.hub
        receiver = connection._receiver
        hub.scratch[: len(GET)] = GET
        receiver.receive(hub.scratch, len(GET))
        head = receiver.next_head()
        receiver.next_message()
        assert head is not None
        fields = asgi.HELLO_FIELDS

        def receive() -> None:
            receiver.keep(hub.scratch_view[: len(GET)].tobytes())
            receiver.next_head()
            receiver.next_message()

        def exchange() -> Any:
            return self.site.exchange(connection, head, None, connection._peer)

        one = exchange()

        def start() -> None:
            one.start(200, fields, HELLO, last=True)

        return {
            "receive a head": receive,
            "make the exchange": exchange,
            "send the response": start,
        }


def timed(one: Callable[[], object]) -> float:
    """CPU microseconds a call."""
    best = []
    for _ in range(ROUNDS):
        start = time.process_time_ns()
        for _ in range(LOOPS):
            one()
        best.append((time.process_time_ns() - start) / LOOPS / 1000)
    return min(best)


async def turn() -> float:
    """CPU microseconds of a turn of the loop in which nothing happens."""
    best = []
    for _ in range(ROUNDS):
        start = time.process_time_ns()
        for _ in range(LOOPS):
            await asyncio.sleep(0)
        best.append((time.process_time_ns() - start) / LOOPS / 1000)
    return min(best)


async def whole(app: Any, data: bytes | None) -> tuple[float, float]:
    """The least and the median CPU microseconds of a request; for None they vary."""
    bench = Bench(app)
    found: list[float] = []
    number = 0
    for _ in range(ROUNDS):
        asked = [data or bench.varied(number + at) for at in range(LOOPS)]
        number += LOOPS
        crowds = [asked[at : at + CROWD] for at in range(0, LOOPS, CROWD)]
        start = time.process_time_ns()
        for one in crowds:
            await bench.requests(one)
        found.append((time.process_time_ns() - start) / LOOPS / 1000)
    empty = await turn() / CROWD
    bench.hub.stop()
    return min(found) - empty, statistics.median(found) - empty


async def main() -> None:
    variant = "compiled" if COMPILED else "source"
    print(f"Python {platform.python_version()}, nbio's {variant}; CPU us a request")
    print(f"{'':34}{'least':>8}{'median':>8}")
    rows: list[tuple[str, Any, bytes | None]] = [
        ("GET, asgi", asgi.hello, GET),
        ("GET, native", native.hello, GET),
        ("GET, native inline", native.inline_hello, GET),
        ("GET of 16 fields, asgi", asgi.hello, GET[:-2] + FIELDS + b"\r\n"),
        ("GETs that never repeat, asgi", asgi.hello, None),
        ("POST of 1 KiB, asgi", asgi.read, POST),
        ("POST of 1 KiB, native", native.read, POST),
        ("POST of 1 KiB, native inline", native.inline_read, POST),
    ]
    for name, app, data in rows:
        least, median = await whole(app, data)
        print(f"{name:34}{least:8.2f}{median:8.2f}")
    bench = Bench(asgi.hello)
    for name, part in bench.parts().items():
        print(f"  {name:32}{timed(part):8.2f}")
    bench.hub.stop()


if __name__ == "__main__":
    uvloop.run(main())
