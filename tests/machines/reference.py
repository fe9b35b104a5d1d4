"""What a client's bytes mean, read a second time: slowly, all at once, without the server's code.

Written after `docs/http.md` and RFC 9112, for the kinds of message that the machines send. Each
look begins at the message's first byte again, so nothing is carried from one piece to the next.
"""

from dataclasses import dataclass, field
from typing import Final

MAX_LINE: Final = 64
MAX_HEAD: Final = 400
MAX_FIELDS: Final = 6
MAX_BODY: Final = 200
METHODS: Final = (b"GET", b"HEAD", b"POST", b"PUT", b"OPTIONS", b"TRACE")
DROPPED: Final = (b"content-length", b"host", b"transfer-encoding")
"""Trailers that nobody may see (of those that the machines send)."""


@dataclass
class Message:
    """One request, as far as its bytes have come.

    `refused` is the status of a head that isn't served, `bad` of a body that isn't; 0 for none.
    `end` is where the next message begins, once this is complete.
    """

    method: bytes = b""
    target: bytes = b""
    version: bytes = b"1.1"
    head: bool = False
    refused: int = 0
    keep: bool = True
    expects: bool = False
    chunked: bool = False
    length: int = 0
    body: bytes = b""
    bad: int = 0
    end: int = -1
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return self.end >= 0

    @property
    def missing(self) -> int:
        """Bytes that are known to be still to come."""
        return self.length - len(self.body)


def broken(text: bytes) -> bool:
    """Whether a line's text has a CR, LF or NUL in it; the last byte may be half a line's end."""
    return any(c in text for c in (b"\n", b"\0")) or b"\r" in text[:-1]


def read_message(data: bytes, at: int) -> Message:
    """The message that begins at `at`."""
    message = Message()
    for _ in range(2):
        if data.startswith(b"\r\n", at):
            at += 2
    rest = data[at:]
    message.method = rest[: rest.find(b" ")] if b" " in rest[:8] else b""
    size = rest.find(b"\r\n\r\n")
    if rest.startswith(b"\r\n"):
        message.refused = 400
    elif size < 0:
        lines = rest.split(b"\r\n")
        if any(broken(line + b"?") for line in lines[:-1]) or broken(lines[-1]):
            message.refused = 400
        elif len(lines[0]) > MAX_LINE and len(rest) > MAX_LINE + 2:
            message.refused = 414
        elif len(rest) > MAX_HEAD:
            message.refused = 431
    else:
        message.head = True
        message.refused = judge_head(rest[:size], message)
        if not message.refused:
            read_body(data, at + size + 4, message)
    return message


def judge_head(head: bytes, message: Message) -> int:
    """Fill in what a whole head says; the status it is refused with, or 0."""
    first, *lines = head.split(b"\r\n")
    if len(head) + 4 > MAX_HEAD:
        return 414 if len(first) > MAX_LINE else 431
    if len(first) > MAX_LINE:
        return 414
    if any(broken(line + b"?") for line in (first, *lines)) or first.count(b" ") != 2:
        return 400
    message.method, message.target, protocol = first.split(b" ")
    if not protocol.startswith(b"HTTP/1."):
        return 505
    if message.method not in METHODS:
        return 501
    message.version = protocol[5:]
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            return 400
        message.fields.append((name.lower(), value.strip()))
    return 431 if len(lines) > MAX_FIELDS else judge_fields(message)


def judge_fields(message: Message) -> int:
    """What the fields say of framing and connection; the status of a refusal, or 0."""
    lengths, codings, hosts, wishes, expected = (
        [value.lower() for name, value in message.fields if name == asked]
        for asked in (b"content-length", b"transfer-encoding", b"host", b"connection", b"expect")
    )
    if expected and expected != [b"100-continue"]:
        return 417
    if len(hosts) != 1 and (hosts or message.version == b"1.1"):
        return 400
    if lengths and codings:
        return 400
    if len(lengths) > 1 or (lengths and not lengths[0].isdigit()):
        return 400
    if codings and (message.version == b"1.0" or not codings[-1].endswith(b"chunked")):
        return 400
    if codings and codings != [b"chunked"]:
        return 501
    message.chunked = bool(codings)
    message.length = int(lengths[0]) if lengths else 0
    if message.length > MAX_BODY:
        return 413
    body = message.chunked or message.length > 0
    message.keep = wishes == [b"keep-alive"] if message.version == b"1.0" else not wishes
    message.expects = bool(expected) and body and message.version == b"1.1"
    return 400 if message.method == b"TRACE" and body else 0


def read_body(data: bytes, at: int, message: Message) -> None:
    """Fill in the body that begins at `at`, as far as it has come."""
    if message.chunked:
        read_chunks(data, at, message)
    else:
        message.body = data[at : at + message.length]
        if len(message.body) == message.length:
            message.end = at + message.length


def line_at(data: bytes, at: int) -> tuple[bytes, int]:
    """The line that begins at `at`, and where the next does: -1 while it is unfinished.

    Raises ValueError for one that can't become a good line.
    """
    end = data.find(b"\r\n", at)
    text = data[at:] if end < 0 else data[at:end] + b"?"
    if broken(text):
        raise ValueError(text)
    return text.removesuffix(b"?"), (-1 if end < 0 else end + 2)


def read_chunks(data: bytes, at: int, message: Message) -> None:
    """Fill in a chunked body."""
    try:
        while True:
            line, after = line_at(data, at)
            if after < 0:
                return
            size = int(line.partition(b";")[0].strip(b" ").decode(), 16)
            if len(message.body) + size > MAX_BODY:
                message.bad = 413
                return
            if not size:
                break
            message.body += data[after : after + size]
            at = after + size
            ending = data[at : at + 2]
            if ending != b"\r\n"[: len(ending)]:
                raise ValueError(ending)
            if len(ending) < 2:
                return
            at += 2
        read_trailers(data, after, message)
    except ValueError:
        message.bad = 400


def read_trailers(data: bytes, at: int, message: Message) -> None:
    """Fill in the trailers, once they are whole. Raises ValueError for what are none."""
    found: list[tuple[bytes, bytes]] = []
    while True:
        line, after = line_at(data, at)
        if after < 0:
            return
        if not line:
            break
        name, colon, value = line.partition(b":")
        if not colon or b" " in name or not name:
            raise ValueError(line)
        found.append((name.lower(), value.strip()))
        at = after
    message.trailers = [(name, value) for name, value in found if name not in DROPPED]
    message.end = after


# ----------------------------------------------------------------------------- what was answered


@dataclass
class Reply:
    """A response. `close`: whether it says that the connection closes."""

    status: int
    body: bytes = b""
    whole: bool = True
    close: bool = False
    headless: bool = False
    """It has no content, whatever its Content-Length says: it answers a HEAD."""


def read_replies(out: bytes, expected: list[Reply], over: bool) -> list[Reply]:
    """What the server sent, response by response; `expected` says which of them answer a HEAD."""
    headless = iter([reply.headless for reply in expected if reply.status != 100])
    found: list[Reply] = []
    at = 0
    while (size := out.find(b"\r\n\r\n", at)) >= 0:
        line, *lines = out[at:size].split(b"\r\n")
        fields = dict(text.lower().split(b": ", 1) for text in lines)
        reply = Reply(int(line.split(b" ")[1]), close=fields.get(b"connection") == b"close")
        reply.headless = reply.status >= 200 and next(headless, False)
        at = size + 4
        if not reply.headless and reply.status >= 200:
            at = read_content(out, at, fields, reply, over)
        found.append(reply)
    return found


def read_content(out: bytes, at: int, fields: dict[bytes, bytes], reply: Reply, over: bool) -> int:
    """Fill in a reply's content; return where it ends."""
    if b"content-length" in fields:
        length = int(fields[b"content-length"])
        reply.body = out[at : at + length]
        reply.whole = len(reply.body) == length
        return at + length
    if fields.get(b"transfer-encoding") != b"chunked":
        reply.body, reply.whole = out[at:], over
        return len(out)
    while (end := out.find(b"\r\n", at)) >= 0:
        size = int(out[at:end], 16)
        reply.body += out[end + 2 : end + 2 + size]
        at = end + 4 + size
        if not size:
            return at
    reply.whole = False
    return at
