"""Frames that a WebSocket client sends, and what must come back (RFC 6455, 5 and 7; RFC 7692)."""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"


class Frames(NamedTuple):
    """A client's bytes after the handshake, to an application that sends back what it gets.

    `echoed` are the messages and pongs that the server must send, as (opcode, payload); `code` is
    that of its close frame, 0 for one without, None when the connection must stay open; `fields`
    are the handshake's.
    """

    name: str
    section: str
    sent: bytes
    echoed: tuple[tuple[int, bytes], ...] = ()
    code: int | None = None
    fields: tuple[str, ...] = ()


def frame(kind: int, data: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    """A client's frame: masked, its length in as few bytes as it can be."""
    head = bytes([fin << 7 | rsv << 4 | kind])
    if len(data) < 126:
        head += bytes([0x80 | len(data)])
    elif len(data) < 65536:
        head += b"\xfe" + struct.pack("!H", len(data))
    else:
        head += b"\xff" + struct.pack("!Q", len(data))
    mask = b"\x11\x22\x33\x44"
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))


def closing(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


def deflated(data: bytes) -> bytes:
    """A payload as permessage-deflate has it (RFC 7692, 7.2.1)."""
    coder = zlib.compressobj(9, zlib.DEFLATED, -12)
    return (coder.compress(data) + coder.flush(zlib.Z_SYNC_FLUSH))[:-4]


def echoes() -> Iterator[Frames]:
    """Messages, whole and in fragments, and pings."""
    for length in (0, 1, 125, 126, 127, 65535, 65536):
        for kind in (TEXT, BINARY):
            data = b"x" * length
            name = f"{length} bytes of opcode {kind}"
            yield Frames(name, "RFC 6455, 5.2", frame(kind, data), ((kind, data),))
    for size in (0, 1, 125):
        data = b"p" * size
        yield Frames(f"a ping of {size}", "RFC 6455, 5.5.2", frame(PING, data), ((PONG, data),))
    a, c = frame(TEXT, b"a", fin=False), frame(CONT, b"c")
    for name, sent, *echoed in (
        ("two fragments", a + c, (TEXT, b"ac")),
        ("three fragments", a + frame(CONT, b"b", fin=False) + c, (TEXT, b"abc")),
        ("empty fragments", frame(TEXT, fin=False) + frame(CONT, fin=False) + c, (TEXT, b"c")),
        ("only empty fragments", frame(BINARY, fin=False) + frame(CONT), (BINARY, b"")),
        ("a ping between", a + frame(PING, b"p") + c, (PONG, b"p"), (TEXT, b"ac")),
        ("a pong between", a + frame(PONG, b"p") + c, (TEXT, b"ac")),
        ("a whole one behind", a + c + frame(TEXT, b"d"), (TEXT, b"ac"), (TEXT, b"d")),
    ):
        yield Frames(name, "RFC 6455, 5.4", sent, tuple(echoed))
    yield Frames("a pong that nobody asked for", "RFC 6455, 5.5.3", frame(PONG, b"x"))
    euro = frame(TEXT, b"\xe2", fin=False) + frame(CONT, b"\x82", fin=False) + frame(CONT, b"\xac")
    yield Frames("a character in fragments", "RFC 6455, 5.6", euro, ((TEXT, b"\xe2\x82\xac"),))
    for text in (b"\xf4\x8f\xbf\xbf", b"\xef\xbf\xbf", b"\0"):
        yield Frames(f"text {text!r}", "RFC 6455, 5.6", frame(TEXT, text), ((TEXT, text),))


def refused() -> Iterator[Frames]:
    """What fails the connection."""
    for kind in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield Frames(f"opcode {kind}", "RFC 6455, 5.2", frame(kind, b"x"), code=1002)
    for rsv in range(1, 8):
        yield Frames(f"RSV {rsv:03b}", "RFC 6455, 5.2", frame(TEXT, b"x", rsv=rsv), code=1002)
    for kind in (CONT, TEXT, BINARY, CLOSE, PING, PONG):
        sent = bytes([0x80 | kind]) + b"\x02\x03\xe8"
        yield Frames(f"opcode {kind} without mask", "RFC 6455, 5.1", sent, code=1002)
        sent = bytes([0x80 | kind]) + b"\x10" + b"\x03\xe8" * 8
        yield Frames(f"a longer opcode {kind} without mask", "RFC 6455, 5.1", sent, code=1002)
    for kind in (CLOSE, PING, PONG):
        long, part = frame(kind, b"\x03\xe8" + bytes(124)), frame(kind, b"\x03\xe8", fin=False)
        yield Frames(f"opcode {kind} of 126 bytes", "RFC 6455, 5.5", long, code=1002)
        yield Frames(f"a fragment of opcode {kind}", "RFC 6455, 5.5", part, code=1002)
    a = frame(TEXT, b"a", fin=False)
    for name, sent in (
        ("a continuation of nothing", frame(CONT, b"c")),
        ("a first fragment that continues nothing", frame(CONT, b"c", fin=False)),
        ("a text within a message", a + frame(TEXT, b"b")),
        ("a binary within a message", a + frame(BINARY, b"b", fin=False)),
        ("a text behind an empty fragment", frame(TEXT, fin=False) + frame(TEXT, b"b")),
    ):
        yield Frames(name, "RFC 6455, 5.4", sent, code=1002)
    for bad in (b"\xff", b"\xe2\x82", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\x80"):
        whole, parts = frame(TEXT, bad), frame(TEXT, bad, fin=False) + frame(CONT)
        yield Frames(f"text {bad!r}", "RFC 6455, 8.1", whole, code=1007)
        yield Frames(f"text {bad!r} in fragments", "RFC 6455, 8.1", parts, code=1007)
    for name, size in (("a byte too many", (16 << 20) + 1), ("63 bits", (1 << 63) - 1)):
        sent = b"\x82\xff" + struct.pack("!Q", size) + bytes(4)
        yield Frames(f"a length of {name}", "RFC 6455, 7.4.1", sent, code=1009)


def closes() -> Iterator[Frames]:
    """Close frames: a good one is answered by its like."""
    yield Frames("no code", "RFC 6455, 5.5.1", frame(CLOSE), code=0)
    for code in (1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999):
        yield Frames(f"code {code}", "RFC 6455, 7.4", closing(code), code=code)
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535):
        yield Frames(f"code {code}, which is none", "RFC 6455, 7.4", closing(code), code=1002)
    for name, sent, code in (
        ("a reason", closing(1000, "\u20ac".encode()), 1000),
        ("a reason of 123 bytes", closing(1000, b"x" * 123), 1000),
        ("a reason that is no text", closing(1000, b"\xff"), 1007),
        ("half a code", frame(CLOSE, b"\x03"), 1002),
        ("a message behind", closing(1000) + frame(TEXT, b"late"), 1000),
        ("a ping behind", closing(1000) + frame(PING, b"late"), 1000),
        ("another close behind", closing(1000) + closing(1001), 1000),
    ):
        yield Frames(name, "RFC 6455, 5.5.1", sent, code=code)


def compressed() -> Iterator[Frames]:
    """Messages by permessage-deflate; the application's echo comes back inflated here."""
    fields, half = (DEFLATE,), deflated(b"hello")
    first = frame(TEXT, half[:2], fin=False, rsv=4)
    for name, sent, text in (
        ("a message", frame(TEXT, half, rsv=4), b"hello"),
        ("one as it is", frame(TEXT, b"hello"), b"hello"),
        ("an empty one", frame(TEXT, b"\0", rsv=4), b""),
        ("two fragments", first + frame(CONT, half[2:]), b"hello"),
        ("a stored block", frame(TEXT, b"\0\5\0\xfa\xffhello\0", rsv=4), b"hello"),
    ):
        yield Frames(name, "RFC 7692, 7.2", sent, ((TEXT, text),), fields=fields)
    for name, sent, code in (
        ("a compressed continuation", first + frame(CONT, half[2:], rsv=4), 1002),
        ("a compressed ping", frame(PING, b"x", rsv=4), 1002),
        ("another extension's bit", frame(TEXT, half, rsv=6), 1002),
        ("text that is none, inflated", frame(TEXT, deflated(b"\xff"), rsv=4), 1007),
        ("more than may be, inflated", frame(BINARY, deflated(bytes(17 << 20)), rsv=4), 1009),
    ):
        yield Frames(name, "RFC 7692, 6.1", sent, code=code, fields=fields)


CASES = [*echoes(), *refused(), *closes(), *compressed()]
