"""What the connections of a server share: buffers, the pool, the coarse clock, the count."""

import asyncio
import contextlib
import contextvars
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from email.utils import formatdate
from typing import Any, Protocol

from nbio.blocks import BlockPool
from nbio.body import BodyReader
from nbio.config import Config
from nbio.errors import PoolExhausted
from nbio.exchange import EAGER_TASKS, Exchange, Peer, Wire
from nbio.heads import HeadParser, RequestHead
from nbio.pool import BodyPool
from nbio.recording import Recorder

SCRATCH = 262144
NEVER = float("inf")

LARGE = 4
"""How many blocks' size a large one has."""

CANCEL_TIMEOUT = 1.0
"""Seconds that cancelled requests have, to clean up."""


AT_ONCE = 256
"""So many requests are begun, and if they don't wait answered, before the loop looks around."""

ARRIVAL = 1.0
"""Seconds that TLS handshakes under way have at shutdown."""


class Site(Protocol):
    """An application, in one of the interfaces, whose name is `interface`."""

    interface: str

    def begin(self, pool: BodyPool) -> None:
        """The server starts; this is its pool of bodies."""

    def end(self) -> None:
        """The server has stopped."""

    def exchange(
        self,
        wire: Wire,
        head: RequestHead,
        body: BodyReader | None,
        peer: Peer,
        /,
    ) -> Exchange:
        """Make the exchange for a request."""


class Timed(Protocol):
    """A connection, as the clock sees it."""

    deadline: float

    def shut_down(self) -> None:
        """The server is closing."""

    def abort(self) -> None:
        """The server has waited long enough."""

    def timed_out(self, now: float) -> None:
        """The deadline has passed; move it or act."""


class Hub:
    """Shared state of one server on one loop. Used on the loop's thread only."""

    def __init__(self, config: Config, site: Site, loop: asyncio.AbstractEventLoop) -> None:
        self.config = config
        self.site = site
        self.loop = loop
        self._recorder: Recorder | None = None
        make = BodyPool
        if config.record_trace:
            self._recorder = Recorder(config.record_trace)
            make = self._recorder.pool_class()
        self.pool = make(
            BlockPool(
                config.block_size, config.max_idle_blocks, config.max_blocks, safety=config.safety
            ),
            max_slots=config.max_bodies,
            high_water=config.high_water,
            low_water=config.low_water,
            safety=config.safety,
            large=large_blocks(config),
        )
        # Of a body of which so many bytes were read, and are missing, blocks may be so large.
        self._large = config.block_size * LARGE if self.pool.large is not None else NEVER
        self.heads = HeadParser(
            max_line=config.max_request_line,
            max_fields=config.max_headers,
            max_body=config.max_body,
        )
        # The kernel writes heads here. One for all: between get_buffer and buffer_updated of a
        # connection the loop does nothing else.
        self.scratch = bytearray(SCRATCH)
        self.scratch_view = memoryview(self.scratch)
        # A block the kernel writes bodies to, for the same reason one for all.
        self.spare: bytearray | None = None
        # Requests start in this context, not in that of whoever happened to finish before.
        self.context = contextvars.copy_context()
        self.connections: set[Timed] = set()
        # Connections whose TLS handshake isn't over, and when it is over at the latest.
        self.arriving: dict[asyncio.BaseProtocol, float] = {}
        self.running: set[Exchange] = set()
        # Those that will begin when the loop has read all that has arrived.
        self._ready: list[Exchange] = []
        # Requests whose application has so much time, with when that is over; in that order.
        self.patience = config.app_timeout
        self.overdue: dict[Exchange, float] = {}
        self.closing = False
        # At shutdown: some that were accepted aren't among the connections yet.
        self._joining = False
        # At shutdown: nothing is under way any more, or it was waited for long enough.
        self.enough = asyncio.Event()
        # Coarse: deadlines are compared with it, nothing is measured by it.
        self.now = loop.time()
        # When a connection that becomes idle now has been so for too long.
        self.idle_deadline = self.now + config.idle_timeout
        self.common = b""
        self.requests = 0
        self._second = 0
        self._step = tick_length(config)
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start the clock."""
        if self._recorder is not None:
            self._recorder.start(self.pool)
        self._tick()

    async def shut_down(
        self,
        timeout: float,
        queued: Sequence[socket.socket] = (),
        join: "Callable[[socket.socket], Awaitable[object]] | None" = None,
    ) -> None:
        """Let what is under way finish within `timeout` seconds; then cut it off.

        `queued` are connections that were accepted at the last moment; `join` makes this hub's of
        them.
        """
        self.closing = True
        self._joining = True
        if join is not None:
            # At once, since a TLS handshake may take its time; and what takes more is cut off.
            joining = [asyncio.ensure_future(join(accepted)) for accepted in queued]
            if joining:
                await asyncio.wait(joining, timeout=timeout)
            for late in joining:
                late.cancel()
        await self._arrive(min(timeout, ARRIVAL))
        self._joining = False
        for connection in list(self.connections):
            connection.shut_down()
        self._check_empty()
        await self._wait(timeout)
        if self.connections or self.running:
            self.enough.clear()
            for exchange in list(self.running):
                exchange.cancel()
            for connection in list(self.connections):
                connection.abort()
            # A task may refuse to be cancelled; it isn't waited for.
            await self._wait(CANCEL_TIMEOUT)

    async def _arrive(self, timeout: float) -> None:
        """Let handshakes that are under way come to their end. Nothing tells of those that fail."""
        end = self.loop.time() + timeout
        while any(latest > self.loop.time() for latest in self.arriving.values()):
            if self.loop.time() >= end:
                break
            await asyncio.sleep(ARRIVAL / 100)
        self.arriving.clear()

    async def _wait(self, timeout: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.enough.wait(), timeout)

    def stop(self) -> None:
        """Stop the clock, and give back what can be."""
        for exchange in list(self.running):
            exchange.close()
        if self._timer is not None:
            self._timer.cancel()
        self.return_spare()
        self.pool.drain()
        if self._recorder is not None:
            self._recorder.close()

    def remove(self, connection: Timed) -> None:
        """The connection is lost."""
        self.connections.discard(connection)
        self._check_empty()

    def begin(self, exchange: Exchange) -> None:
        """Begin an exchange soon, outside of every task.

        Those that begin at once do so when the loop has read from all sockets that it found
        readable, so that their responses go out one soon after the other: clients that get
        them as they read are still awake for the next. Waking one up for each response cost
        more than eager tasks save (docs/performance.md).
        """
        if self.patience:
            self.overdue[exchange] = self.now + self.patience
        self.running.add(exchange)
        if not exchange.begins_at_once:
            # Its task has to wait for the loop's next turn anyway.
            exchange.begin(self)
            return
        ready = self._ready
        if not ready:
            self.loop.call_soon(self._begin_ready, context=self.context)
        ready.append(exchange)

    def _begin_ready(self) -> None:
        ready = self._ready
        count = 0
        try:
            # It grows meanwhile: by the requests behind those that are answered at once.
            for exchange in ready:
                count += 1
                exchange.begin(self)
                if count == AT_ONCE:
                    break
        finally:
            del ready[:count]
            if ready:
                # What has been received since gets its turn before them.
                self.loop.call_soon(self._begin_ready, context=self.context)

    def start_task(self, coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None] | None":
        """Make a task of it, in the context of requests, and begin it if Python can do that.

        A real task either way, as `current_task` sees it. A loop with a task factory of its own
        has its say. None when the coroutine's end is to be the loop's too.
        """
        loop = self.loop
        context = self.context.copy()
        if not EAGER_TASKS or loop.get_task_factory() is not None:
            return loop.create_task(coroutine, context=context)
        try:
            return begun_task(coroutine, loop, context)
        except (SystemExit, KeyboardInterrupt) as error:
            self.end_loop(error)
            return None

    def end_loop(self, error: BaseException) -> None:
        """Have it come out of the loop, as from any task's step; not into whoever called us."""
        self.loop.call_soon(again, error)

    def ended(self, exchange: Exchange) -> None:
        """Nothing of the application's runs for this exchange any more."""
        self.running.discard(exchange)
        if self.overdue:
            self.overdue.pop(exchange, None)
        if self.closing:
            self._check_empty()

    def _check_empty(self) -> None:
        if self.closing and not self._joining and not self.connections and not self.running:
            self.enough.set()

    def take_spare(self, body: BodyReader, missing: int) -> bytearray | None:
        """The block to receive `missing` bytes of a body into; None when the pool has none left."""
        spare = self.spare
        large = missing >= self._large and body.consumed >= self._large
        if spare is not None:
            if large is (len(spare) == self._large):
                return spare
            self.return_spare()
        if large and self.pool.large is not None:
            with contextlib.suppress(PoolExhausted):
                self.spare = self.pool.large.get()
                return self.spare
        try:
            self.spare = self.pool.blocks.get()
        except PoolExhausted:
            return None
        return self.spare

    def return_spare(self) -> None:
        """Give the spare block back. Not while the loop receives into it."""
        spare, self.spare = self.spare, None
        if spare is not None:
            self.pool.put_block(spare)

    def _tick(self) -> None:
        """One timer for all deadlines of all connections."""
        self.now = now = self.loop.time()
        self.idle_deadline = now + self.config.idle_timeout
        self._timer = self.loop.call_at(now + self._step, self._tick)
        second = int(time.time())
        if second != self._second:
            self._second = second
            self.common = common_fields(second, self.config.server_header)
        late = [connection for connection in self.connections if connection.deadline <= now]
        for connection in late:
            connection.timed_out(now)
        if self.overdue:
            self._give_up_late(now)
        self.pool.drain()

    def _give_up_late(self, now: float) -> None:
        """Answer for the applications that have had their time."""
        late = [exchange for exchange, end in self.overdue.items() if end <= now]
        for exchange in late:
            del self.overdue[exchange]
            exchange.timed_out()


def large_blocks(config: Config) -> BlockPool | None:
    """The blocks for long bodies, if there are to be any.

    A body gets them once it has shown that it is long and its reader quick. To begin with them
    would let whoever sends one byte of each of many bodies take four times the memory.
    """
    if not config.max_large_blocks:
        return None
    idle = config.max_idle_blocks // LARGE**2
    size = config.block_size * LARGE
    return BlockPool(size, idle, config.max_large_blocks, safety=config.safety)


if sys.version_info >= (3, 12):

    def begun_task(
        coroutine: Coroutine[Any, Any, None],
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context,
    ) -> asyncio.Task[None]:
        """A task whose first step has been made."""
        return asyncio.Task(coroutine, loop=loop, context=context, eager_start=True)

else:

    def begun_task(
        coroutine: Coroutine[Any, Any, None],
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context,
    ) -> asyncio.Task[None]:
        """A task; its first step has to wait for the loop's next turn."""
        return loop.create_task(coroutine, context=context)


def again(error: BaseException) -> None:
    """Raise what was caught."""
    raise error


def tick_length(config: Config) -> float:
    """Seconds between looks at the clock: a quarter of the shortest timeout, at most half one."""
    shortest = min(
        config.head_timeout,
        config.idle_timeout,
        config.body_timeout,
        config.write_timeout,
        config.linger_timeout or 1.0,
        config.ws_ping_interval or 1.0,
        config.ws_ping_timeout,
        config.app_timeout or 1.0,
    )
    return max(0.01, min(0.5, shortest / 4))


def common_fields(second: int, server: str) -> bytes:
    """The fields every response has, for this second."""
    date = f"date: {formatdate(second, usegmt=True)}\r\n"
    return (date + (f"server: {server}\r\n" if server else "")).encode("latin-1")
