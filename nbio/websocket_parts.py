"""What a WebSocket connection holds of what isn't whole yet, or isn't wanted: bounded, both."""

from typing import Final

STEP: Final = 4096
"""Bytes fed to the parser at a time: inflated, they may be a thousand times as many."""

QUEUED: Final = 65536
"""Bytes of messages above which no more are taken in until the application asks."""

CLOSE_TIMEOUT: Final = 5.0
"""Seconds that a client has to answer a close frame, or to close the connection."""

PONG: Final = b"\x8a"
"""How a pong of ours begins."""


class Parts:
    """A message in fragments, as it arrives (RFC 6455, 5.4). `begun` says that there is one.

    One buffer, not a list: a client may send fragments of a byte, and empty ones for ever.
    """

    __slots__ = ("_data", "begun")

    def __init__(self) -> None:
        self._data = bytearray()
        self.begun = False

    def take(self, data: bytes, final: bool) -> bytes | None:
        """Take a fragment; return the message with its last one."""
        if final and not self.begun:
            return data
        self._data += data
        self.begun = not final
        if not final:
            return None
        whole, self._data = bytes(self._data), bytearray()
        return whole


def without_pongs(data: list[bytes], last: bytes) -> tuple[list[bytes], bytes]:
    """The frames of `data` but the pongs, and the last of these, or `last` if there is none.

    To a client that doesn't read only the last is owed (RFC 6455, 5.5.3); all the answers to its
    pings would be memory without a bound.
    """
    pongs = [frame for frame in data if frame[:1] == PONG]
    rest = [frame for frame in data if frame[:1] != PONG]
    return rest, pongs[-1] if pongs else last
