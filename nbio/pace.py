"""How much a client has taken of what was sent to it.

A transport knows what is left in its own buffer, which says little. The kernel's buffer behind it
holds megabytes, and takes more only when a third of it is free, so a client that reads steadily
may seem to read nothing for a long time; and a transport with TLS doesn't tell what waits in the
plain one below it. The kernel knows what was acknowledged, and whether all of it was.
"""

import asyncio
import socket
import struct
import sys
from typing import Final

_UNACKED: Final = 24
_ACKED: Final = 120
_NOT_SENT: Final = 144
"""Where `struct tcp_info` has the segments that are out, the bytes that were acknowledged in all,
and those that weren't sent yet (tcp(7))."""
_SIZE: Final = 148


def _told(transport: asyncio.WriteTransport) -> bytes:
    """What the kernel tells of the connection; nothing unless it is TCP's, on Linux, and open."""
    sock = transport.get_extra_info("socket")
    if sys.platform != "linux" or sock is None or sock.family == socket.AF_UNIX:
        return b""
    try:
        info: bytes = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
    except OSError:
        return b""
    return info if len(info) == _SIZE else b""


def taken(transport: asyncio.WriteTransport) -> int:
    """How many bytes the client has taken, from some beginning of its own on.

    Where the kernel doesn't tell, what left the transport's buffer counts as taken.
    """
    info = _told(transport)
    if not info:
        return -transport.get_write_buffer_size()
    acked: int = struct.unpack_from("=Q", info, _ACKED)[0]
    return acked


def waiting(transport: asyncio.WriteTransport) -> bool:
    """Whether there are bytes that the client hasn't taken yet."""
    if transport.get_write_buffer_size():
        return True
    info = _told(transport)
    return bool(info) and any(struct.unpack_from("=I", info, at)[0] for at in (_UNACKED, _NOT_SENT))
