"""Accepting connections: listeners that also last when descriptors run out, and the last ones.

asyncio's own loops don't: after a failed accept they go on, as often as the backlog is long, and
each failure logs a traceback and starts a timer that tries again (3.11 to 3.13). With a backlog
of 2,048 that was a fifth of a processor, and 100 KB of log a second. So on these loops the sockets
are accepted from here. Others (uvloop) bring something better, and faster.
"""

import asyncio
import contextlib
import errno
import logging
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol, TypeAlias

Factory: TypeAlias = Callable[[], asyncio.BaseProtocol]

logger = logging.getLogger("nbio")

TURN: Final = 64
"""Connections accepted before others get a turn of the loop."""

REST: Final = 0.5
"""Seconds before the next try when a connection couldn't be accepted."""

LOG_AGAIN: Final = 60.0
"""Seconds before the same trouble is logged again."""

PASSING: Final = frozenset(
    [
        errno.ECONNABORTED,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.EPROTO,
    ]
)
"""What accept(2) says of one connection that is gone already, rather than of the next."""


class Listener(Protocol):
    """Something that accepts connections."""

    def close(self) -> None:
        """Accept no more."""


async def listen(
    loop: asyncio.AbstractEventLoop,
    sock: socket.socket,
    make: Factory,
    backlog: int,
    tls: dict[str, Any],
) -> Listener:
    """Accept connections of a socket, each with a protocol that is made for it.

    `tls` are the options of a connection with TLS, none for one without. Raises OSError.
    """
    if isinstance(loop, asyncio.SelectorEventLoop):
        sock.listen(backlog)
        return Acceptor(loop, sock, make, tls)
    create: Any = loop.create_server
    if sock.family == socket.AF_UNIX:
        create = loop.create_unix_server
    listener: Listener = await create(make, sock=sock, backlog=backlog, **tls)
    return listener


async def join(
    loop: asyncio.AbstractEventLoop, accepted: socket.socket, make: Factory, tls: dict[str, Any]
) -> None:
    """Make a connection of one that was accepted. One that is gone already doesn't matter."""
    accepted.setblocking(False)
    with contextlib.suppress(OSError):
        await loop.connect_accepted_socket(make, accepted, **tls)


class Acceptor:
    """Accepts the connections of one socket, on a loop that watches descriptors."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        make: Factory,
        tls: dict[str, Any],
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._make = make
        self._tls = tls
        # Kept, since the loop alone doesn't keep them.
        self._joining: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        # When the trouble was logged last, and how often it was met since.
        self._logged = -LOG_AGAIN
        self._unlogged = 0
        self._watch()

    def close(self) -> None:
        """Accept no more. The socket stays open."""
        self._loop.remove_reader(self._sock)
        if self._timer is not None:
            self._timer.cancel()

    def _watch(self) -> None:
        self._timer = None
        self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        for _ in range(TURN):
            try:
                accepted, _address = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno not in PASSING:
                    self._rest(error)
                    return
            else:
                task = self._loop.create_task(join(self._loop, accepted, self._make, self._tls))
                self._joining.add(task)
                task.add_done_callback(self._joining.discard)

    def _rest(self, error: OSError) -> None:
        """Try again later: the socket would be shown as ready at once, and for ever."""
        self._loop.remove_reader(self._sock)
        self._timer = self._loop.call_later(REST, self._watch)
        self._unlogged += 1
        now = time.monotonic()
        if now - self._logged >= LOG_AGAIN:
            logger.error(
                "can't accept connections: %s (%d times); they wait in the kernel's queue. "
                "Raise the limit (ulimit -n), or lower max_connections",
                error.strerror,
                self._unlogged,
            )
            self._logged = now
            self._unlogged = 0


# --------------------------------------------------------------------- the last ones


def accept_queued(sockets: Iterable[socket.socket], backlog: int) -> list[socket.socket]:
    """Accept the connections that the kernel holds for these sockets, before they are closed.

    Closing a socket resets the connections in its queue, and with them requests that were sent
    before the server knew that it would end. Those that come while this runs aren't waited for.
    """
    queued: list[socket.socket] = []
    for sock in sockets:
        # Also when descriptors run out in the middle: the rest can't be helped then.
        with contextlib.suppress(OSError):
            for _ in range(queue_length(sock, backlog)):
                # One by one: those before a failure are kept.
                queued.append(sock.accept()[0])  # noqa: PERF401
    return queued


_UNACKED: Final = 24
"""Where `struct tcp_info` has the length of a listening socket's queue (tcp(7))."""


def queue_length(sock: socket.socket, backlog: int) -> int:
    """How many connections the kernel holds for a socket; the most there may be if it won't say."""
    if sys.platform == "linux" and sock.family in (socket.AF_INET, socket.AF_INET6):
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _UNACKED + 4)
        if len(info) == _UNACKED + 4:
            length: int = struct.unpack_from("=I", info, _UNACKED)[0]
            return length
    # The kernel lets one more in than it was told.
    return backlog + 1
