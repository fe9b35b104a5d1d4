"""Files as response bodies: by sendfile(2) where the socket is plain, by reading elsewhere.

The event loops can't be asked: uvloop has no `loop.sendfile`. So the transport is let run
empty, and the kernel is called on a duplicate of its socket's descriptor, which the loop
watches for room. Reading a file that isn't cached holds the loop up while the disk is asked;
that is the price of not copying, and read-ahead keeps it small.
"""

import asyncio
import os
import stat
from typing import Final, Protocol

PIECE: Final = 1 << 20
"""After so many bytes the loop gets a turn."""

READ: Final = 1 << 18
"""Bytes read at a time where sendfile can't be used."""


class FilePart:
    """`size` bytes of an open file from `offset` on. Owns the descriptor; close it."""

    __slots__ = ("fd", "offset", "size")

    def __init__(self, fd: int, offset: int, size: int) -> None:
        self.fd = fd
        self.offset = offset
        self.size = size

    def close(self) -> None:
        """Close the file; again without effect."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()


class File(FilePart):
    """A regular file as a response's body, which is sent once: `Response(File("page.html"))`.

    `size` bytes of it from `offset` on; all the rest for a negative size. It is opened here and
    closed when it has been sent, or when nobody has it any more.
    Raises OSError when there is no such file, ValueError for an offset beyond its end.
    """

    __slots__ = ()

    def __init__(
        self, path: str | bytes | os.PathLike[str], *, offset: int = 0, size: int = -1
    ) -> None:
        self.fd = -1
        whole = open_file(path)
        left = whole.size - offset
        if not 0 <= offset <= whole.size:
            raise ValueError(f"{os.fsdecode(path)!r} has {whole.size} bytes, none at {offset}")
        super().__init__(whole.fd, offset, left if size < 0 else min(size, left))
        # The descriptor is ours now.
        whole.fd = -1


def open_file(path: str | bytes | os.PathLike[str]) -> FilePart:
    """Open a whole regular file. Raises OSError when there is none."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    part = FilePart(fd, 0, 0)
    info = os.fstat(fd)
    if not stat.S_ISREG(info.st_mode):
        part.close()
        raise IsADirectoryError(f"{os.fsdecode(path)!r} is no regular file")
    part.size = info.st_size
    return part


class Line(Protocol):
    """The connection, as a file sees it."""

    def write(self, data: bytes) -> None:
        """Send."""

    def drained(self) -> "asyncio.Future[None]":
        """A future that is done when there is room for more."""

    def may_send(self) -> bool:
        """Whether anything can be sent at all."""

    async def room(self, fd: int) -> None:
        """Wait until `fd`, a duplicate of the socket's, has room, or the connection is lost."""


async def send_by_kernel(line: Line, socket_fd: int, part: FilePart) -> bool:
    """Send by sendfile(2); return whether all of it was sent. The transport is empty.

    Raises OSError when the client is gone or the file became shorter.
    """
    fd = os.dup(socket_fd)
    offset, left = part.offset, part.size
    try:
        while left and line.may_send():
            try:
                sent = os.sendfile(fd, part.fd, offset, min(left, PIECE))
            except BlockingIOError:
                await line.room(fd)
                continue
            if not sent:
                raise EOFError("the file became shorter while it was sent")
            offset += sent
            left -= sent
            if left:
                await asyncio.sleep(0)
    finally:
        os.close(fd)
    return not left


async def send_by_reading(line: Line, part: FilePart) -> bool:
    """Send through the transport; return whether all of it was sent. Raises as send_by_kernel."""
    offset, left = part.offset, part.size
    while left and line.may_send():
        data = await asyncio.to_thread(os.pread, part.fd, min(left, READ), offset)
        if not data:
            raise EOFError("the file became shorter while it was sent")
        line.write(data)
        offset += len(data)
        left -= len(data)
        await line.drained()
    return not left
