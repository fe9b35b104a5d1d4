"""What WSGI has of files: `wsgi.input`, and `wsgi.file_wrapper`."""

import io
import os
import stat
from typing import Any, Final, Self

from nbio._lifecycle import COPY
from nbio.body import BodyReader, Buffer
from nbio.errors import BodyDisconnected, BodyProtocolError, BodyTooLarge, RequestCutOff
from nbio.files import FilePart

CUT_OFF: Final = (BodyDisconnected, BodyTooLarge, BodyProtocolError)

READ: Final = 65536
"""What `wsgi.input` reads ahead for lines, and what a file is read by, in bytes."""


class BodyFile(io.RawIOBase):
    """A request's body as a file; `wsgi.input` buffers it."""

    def __init__(self, body: BodyReader) -> None:
        super().__init__()
        self._body = body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        try:
            return self._body.readinto_blocking(buffer)
        except CUT_OFF as error:
            raise RequestCutOff(str(error)) from error

    def readall(self) -> bytes:
        # By blocks, where the base class's reads 8 KiB at a time.
        body = self._body
        parts: list[bytes] = []
        try:
            while body._block_for_lease(COPY, None):
                parts.append(body._copy(-1))
        except CUT_OFF as error:
            raise RequestCutOff(str(error)) from error
        return parts[0] if len(parts) == 1 else b"".join(parts)


class FileWrapper:
    """PEP 3333's `wsgi.file_wrapper`. A regular file goes out by sendfile."""

    def __init__(self, file: Any, block_size: int = READ) -> None:
        self._file = file
        self._block_size = block_size
        if hasattr(file, "close"):
            self.close = file.close

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        data: bytes = self._file.read(self._block_size)
        if not data:
            raise StopIteration
        return data

    def part(self) -> FilePart | None:
        """The rest of the file, by a descriptor of our own; None when it is no regular file."""
        # A file in text mode counts characters, a wrapper (gzip, a socket's file) has a
        # descriptor whose bytes are not what it reads.
        if not isinstance(self._file, io.BufferedReader | io.FileIO):
            return None
        raw = getattr(self._file, "raw", self._file)
        if not isinstance(raw, io.FileIO):
            return None
        try:
            offset = self._file.tell()
            fd = os.dup(self._file.fileno())
        except (OSError, ValueError):
            return None
        part = FilePart(fd, offset, 0)
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            part.close()
            return None
        part.size = max(0, info.st_size - offset)
        return part
