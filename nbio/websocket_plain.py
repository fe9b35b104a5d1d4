"""The WebSocket frames that nearly all are, without a parser's state (RFC 6455, 5.2).

A frame is plain when it is a whole message: text or binary, final, without extension bits,
masked, its length in as few bytes as it can be. All others are the parser's, and so are plain
ones above COLLECTED bytes that have arrived in part.
"""

from typing import Final

from websockets.frames import Opcode

try:
    from websockets.speedups import apply_mask
except ImportError:
    from websockets.utils import apply_mask

TEXT: Final = 0x81
BINARY: Final = 0x82
MASKED: Final = 0x80
KINDS: Final = {TEXT: Opcode.TEXT, BINARY: Opcode.BINARY}

COLLECTED: Final = 131072
"""So much memory a frame gets when it has begun; one that says it is longer gets it bit by bit."""


def plain_size(data: bytes, at: int) -> int:
    """The bytes of the plain frame that begins at `at`, with its head.

    0 when it isn't plain, or too little has arrived to tell.
    """
    if len(data) < at + 6 or data[at] not in (TEXT, BINARY):
        return 0
    length = data[at + 1] - MASKED
    if 0 <= length < 126:
        return length + 6
    if length == 126:
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        return wire_size(length) if length >= 126 else 0
    if length == 127 and len(data) >= at + 10:
        length = int.from_bytes(data[at + 2 : at + 10], "big")
        return wire_size(length) if 65536 <= length < 1 << 63 else 0
    return 0


def head_size(size: int) -> int:
    """How many of a client's frame's `size` bytes are its head."""
    return 6 if size < 132 else 8 if size < 65544 else 14


def wire_size(length: int) -> int:
    """The bytes of a client's frame with so long a payload, at the least."""
    return length + (6 if length < 126 else 8 if length < 65536 else 14)


def plain_payload(data: bytes, at: int, size: int) -> bytes:
    """The payload of the plain frame of `size` bytes at `at`, unmasked."""
    begin = at + head_size(size)
    return apply_mask(data[begin : at + size], data[begin - 4 : begin])


def plain_frame(kind: int, payload: bytes) -> bytes:
    """A server's frame, TEXT or BINARY, that is a whole message."""
    length = len(payload)
    if length < 126:
        return b"%c%c%b" % (kind, length, payload)
    if length < 65536:
        return b"%c\x7e%b%b" % (kind, length.to_bytes(2, "big"), payload)
    return b"%c\x7f%b%b" % (kind, length.to_bytes(8, "big"), payload)


class Arriving:
    """A plain frame of `size` bytes that has begun; the kernel writes its rest behind that."""

    __slots__ = ("_data", "_got")

    def __init__(self, begun: bytes, size: int) -> None:
        self._data = bytearray(size)
        self._got = 0
        self.rest()[: len(begun)] = begun
        self._got = len(begun)

    def rest(self) -> memoryview:
        """Where the bytes that are missing go."""
        return memoryview(self._data)[self._got :]

    def took(self, count: int) -> bool:
        """So many more have arrived; whether that is all."""
        self._got += count
        return self._got == len(self._data)

    @property
    def so_far(self) -> bytes:
        """What has arrived."""
        return bytes(self._data[: self._got])

    @property
    def kind(self) -> int:
        """TEXT or BINARY."""
        return self._data[0]

    def payload(self) -> bytes:
        """What it says, once all is here."""
        begin = head_size(len(self._data))
        return apply_mask(memoryview(self._data)[begin:], bytes(self._data[begin - 4 : begin]))
