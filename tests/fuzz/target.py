"""What must hold for any bytes whatever on a connection."""

import re

import httptools

from nbio.errors import Refusal
from nbio.heads import TOKEN
from nbio.http1 import HEAD
from tests.conformance import bodies, connections, disguises, heads, responses
from tests.conformance.core import Core, Message, read

NAME = re.compile(TOKEN)
VALUE = re.compile(rb"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?")
SMALL = {
    "max_request_line": 60,
    "max_head": 200,
    "max_headers": 4,
    "max_body": 40,
    "max_chunk_line": 20,
    "max_chunk_extensions": 30,
    "max_trailers": 40,
}
"""Limits that short inputs reach."""


def seeds() -> list[bytes]:
    """The conformance cases, as inputs: whole, and with small limits."""
    cases = [*heads.CASES, *bodies.CASES, *disguises.CASES, *connections.CASES, *responses.CASES]
    short = [case.data for case in cases if len(case.data) <= 1000]
    return [bytes([7, limits]) + data for data in short for limits in (0, 1)]


def check(data: bytes) -> None:
    """The first octet says how the rest is cut, the second under which limits. Raises if not."""
    if len(data) < 3:
        return
    step, options = data[0] % 32 + 1, SMALL if data[1] % 2 else {}
    stream = data[2:]
    whole = read([stream], **options)
    pieces = [stream[at : at + step] for at in range(0, len(stream), step)]
    messages, refused = whole
    again, also_refused = read(pieces, **options)
    assert again == messages, "what it means depends on how it is cut"
    # Of two faults, the one that is seen first gives the status.
    assert bool(also_refused) == bool(refused), "whether it is refused depends on how it is cut"
    for message in messages:
        well_formed(message)
        assert read([encoded(message)])[0] == [message], "said again, it means something else"
    if not options:
        agrees_with_llhttp(stream)


def well_formed(message: Message) -> None:
    """Nothing reaches the application that could be taken for something else further on."""
    method, path, query, version, fields, _, trailers = message
    assert NAME.fullmatch(method.encode()), method
    assert re.fullmatch(rb"/[!-~]*|\*", path), path
    assert re.fullmatch(rb"[!-~]*", query), query
    assert not re.search(rb"[\"#<>]", path + query)
    for name, value in [*fields, *trailers]:
        assert NAME.fullmatch(name), name
        assert name == name.lower(), name
        assert VALUE.fullmatch(value), value
    names = [name for name, _ in fields]
    assert names.count(b"host") == 1 or (version == "1.0" and b"host" not in names)
    assert not (b"content-length" in names and b"transfer-encoding" in names)
    assert names.count(b"content-length") <= 1


def encoded(message: Message) -> bytes:
    """The message as anybody would send it."""
    method, path, query, version, fields, body, trailers = message
    target = path + b"?" + query if query else path
    lines = [b"%b %b HTTP/%b" % (method.encode(), target, version.encode())]
    lines += [b"%b: %b" % field for field in fields]
    head = b"\r\n".join([*lines, b"", b""])
    if b"transfer-encoding" not in dict(fields):
        return head + body
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    tail = b"".join(b"%b: %b\r\n" % field for field in trailers)
    return head + chunk + b"0\r\n" + tail + b"\r\n"


class Llhttp:
    """llhttp on its own, as an oracle for where a head ends."""

    def __init__(self) -> None:
        self.ended = False
        self._parser = httptools.HttpRequestParser(self)

    def on_headers_complete(self) -> None:
        self.ended = True

    def end_of_head(self, data: bytes) -> int | None:
        for at in range(len(data)):
            try:
                self._parser.feed_data(data[at : at + 1])
            except httptools.HttpParserUpgrade:
                return at + 1
            except httptools.HttpParserError:
                return None
            if self.ended:
                return at + 1
        return None


def agrees_with_llhttp(stream: bytes) -> None:
    """Where we see a head's end, llhttp sees it too, however either is fed."""
    core = Core()
    receiver = core.receiver
    for at in range(len(stream)):
        receiver.receive(stream[at : at + 1], 1)
        try:
            found = receiver.next_head()
        except Refusal:
            return
        if found is not None:
            # Other versions and forms llhttp doesn't get to see as they are.
            if re.match(rb"[\r\n]*\S+ /\S* HTTP/1\.[01]\r\n", stream):
                assert Llhttp().end_of_head(stream) == at + 1
            return
        assert receiver.state == HEAD
