"""The sans-IO core: heads, their end, and where bodies end. No socket in here."""

import itertools
from dataclasses import replace
from typing import Any

import httptools
import pytest

from nbio.config import Config
from nbio.errors import Refusal
from nbio.heads import HeadParser, RequestHead
from nbio.http1 import COMPLETE, HEAD, Receiver
from nbio.targets import split_absolute, valid_host


class Parts:
    """A sink that keeps what it is fed."""

    def __init__(self) -> None:
        self.data = b""
        self.ended = 0

    def feed(self, data: bytes | bytearray | memoryview) -> bool:
        self.data += bytes(data)
        return False

    def feed_block(self, block: bytearray, n: int) -> tuple[bytearray | None, bool]:
        self.data += bytes(block[:n])
        return block, False

    def finish(self) -> None:
        self.ended += 1


def receiver(**options: Any) -> Receiver:
    config = replace(Config(), **options)
    heads = HeadParser(
        max_line=config.max_request_line,
        max_fields=config.max_headers,
        max_body=config.max_body,
    )
    return Receiver(config, heads)


def run(data: bytes, *cuts: int, **options: Any) -> list[tuple[RequestHead, bytes]]:
    """Feed `data`, cut into pieces; return every complete message."""
    core = receiver(**options)
    messages: list[tuple[RequestHead, bytes]] = []
    current: tuple[RequestHead, Parts] | None = None
    edges = [0, *cuts, len(data)]
    for start, end in itertools.pairwise(edges):
        if start < end:
            core.receive(data[start:end], end - start)
        while True:
            if core.state == HEAD:
                head = core.next_head()
                if head is None:
                    break
                current = (head, Parts())
                if core.state != COMPLETE:
                    core.start_body(current[1])
            if core.state != COMPLETE:
                break
            assert current is not None
            messages.append((current[0], current[1].data))
            assert current[1].ended == (1 if current[0].has_body else 0)
            core.next_message()
    return messages


def refused(data: bytes, **options: Any) -> int:
    with pytest.raises(Refusal) as caught:
        run(data, **options)
    return caught.value.status


def get(*lines: bytes, line: bytes = b"GET / HTTP/1.1", host: bool = True) -> bytes:
    fields = [b"Host: example.org", *lines] if host else list(lines)
    return b"\r\n".join([line, *fields, b"", b""])


TRAFFIC = (
    b"POST /a?b=c HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
    b"\r\nGET /second HTTP/1.1\r\nHost: h\r\n\r\n"
    b"POST /third HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n"
    b"GET /fourth HTTP/1.0\r\n\r\n"
)


def summary(messages: list[tuple[RequestHead, bytes]]) -> list[tuple[str, bytes, bytes, bytes]]:
    return [(head.method, head.path, head.query, body) for head, body in messages]


EXPECTED = [
    ("POST", b"/a", b"b=c", b"hello"),
    ("GET", b"/second", b"", b""),
    ("POST", b"/third", b"", b"abc0123456789"),
    ("GET", b"/fourth", b"", b""),
]


def test_every_split_in_two() -> None:
    for cut in range(len(TRAFFIC) + 1):
        assert summary(run(TRAFFIC, cut)) == EXPECTED, f"cut at {cut}"


def test_every_split_in_three_of_the_chunked_message() -> None:
    start = TRAFFIC.index(b"POST /third")
    message = TRAFFIC[start : TRAFFIC.index(b"GET /fourth")]
    for first in range(len(message)):
        for second in range(first, len(message)):
            assert summary(run(message, first, second)) == EXPECTED[2:3], (first, second)


def test_byte_by_byte() -> None:
    assert summary(run(TRAFFIC, *range(1, len(TRAFFIC)))) == EXPECTED


class Llhttp:
    """llhttp on its own, fed piece by piece, as an oracle for where a head ends."""

    def __init__(self) -> None:
        self.ended = False
        self.parser = httptools.HttpRequestParser(self)

    def on_headers_complete(self) -> None:
        self.ended = True

    def end_of_head(self, data: bytes) -> int | None:
        """How many bytes make a head; -1 when llhttp refuses them first; None if unfinished."""
        for at in range(len(data)):
            try:
                self.parser.feed_data(data[at : at + 1])
            except httptools.HttpParserUpgrade:
                return at + 1
            except httptools.HttpParserError:
                return -1
            if self.ended:
                return at + 1
        return None


def end_of_head(data: bytes) -> int | None:
    core = receiver()
    for at in range(len(data)):
        core.receive(data[at : at + 1], 1)
        try:
            if core.next_head() is not None:
                return at + 1
        except Refusal:
            return -1
    return None


HEADS = [
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\nmore",
    b"GET / HTTP/1.1\r\nHost: h\r\nEmpty:\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nzz",
    b"GET / HTTP/1.1\nHost: h\n\n",
    b"GET / HTTP/1.1\r\nHost: h\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\n\n",
    b"GET / HTTP/1.1\r\nHost: h\r\rX: y\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\n X: folded\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n",
]


@pytest.mark.parametrize("data", HEADS)
def test_the_end_of_a_head_is_where_llhttp_sees_it(data: bytes) -> None:
    theirs = Llhttp().end_of_head(data)
    ours = end_of_head(data)
    # We may notice later that a head is bad (with its last byte), never another end.
    assert ours == theirs


@pytest.mark.parametrize(
    ("data", "status"),
    [
        # RFC 9112, 6.3 and RFC 9110, 8.6: where the body ends.
        (get(b"Content-Length: 1", b"Content-Length: 2"), 400),
        (get(b"Content-Length: 1", b"Content-Length: 1"), 400),
        (get(b"Content-Length: 1, 1"), 400),
        (get(b"Content-Length: +1"), 400),
        (get(b"Content-Length: -1"), 400),
        (get(b"Content-Length: 0x1"), 400),
        (get(b"Content-Length: 1 2"), 400),
        (get(b"Content-Length:"), 400),
        (get(b"Content-Length: 99999999999999999999999999"), 413),
        (get(b"Content-Length: 1073741825"), 413),
        (get(b"Content-Length: 3", b"Transfer-Encoding: chunked"), 400),
        (get(b"Transfer-Encoding: chunked", b"Content-Length: 3"), 400),
        (get(b"Transfer-Encoding: gzip"), 400),
        (get(b"Transfer-Encoding: identity"), 400),
        (get(b"Transfer-Encoding: chunked, gzip"), 400),
        (get(b"Transfer-Encoding: chunked, chunked"), 400),
        (get(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400),
        (get(b"Transfer-Encoding: gzip, chunked"), 501),
        (get(b"Transfer-Encoding: xchunked"), 400),
        (get(b"Transfer-Encoding: chunked;q=1"), 400),
        (get(b"Transfer-Encoding:"), 400),
        (get(b"Transfer-Encoding: chunked", line=b"GET / HTTP/1.0"), 400),
        # RFC 9112, 5: field lines.
        (get(b"Bad Name: x"), 400),
        (get(b"Name : x"), 400),
        (get(b": x"), 400),
        (get(b"no colon"), 400),
        (get(b"A: b", b" folded"), 400),
        (get(b"A: b\0c"), 400),
        (get(b"A: b\x01c"), 400),
        (get(b"A: b\x7fc"), 400),
        (get(b"A: b\rc"), 400),
        (get(b"A\x80: b"), 400),
        (b"GET / HTTP/1.1\r\nHost: h\nA: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\n", 400),
        (b"GET / HTTP/1.1\r\n\r\nHost: h\r\n", 400),
        (b"GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400),
        # RFC 9112, 3.2: Host.
        (get(host=False), 400),
        (get(b"Host: example.org"), 400),
        (get(b"Host: a b", host=False), 400),
        (get(b"Host: a/b", host=False), 400),
        (get(b"Host: user@a", host=False), 400),
        (get(b"Host: a:b", host=False), 400),
        (get(b"Host: a:99999", host=False), 400),
        (get(b"Host: [::1", host=False), 400),
        (get(b"Host: [::g]", host=False), 400),
        (get(b"Host: a, b", host=False), 400),
        (get(b"Host: :80", host=False), 400),
        (get(b"Host: a\\b", host=False), 400),
        (get(line=b"GET http://example.org/ HTTP/1.1", host=False), 400),
        # RFC 9112, 3: the request line.
        (get(line=b"GET  / HTTP/1.1"), 400),
        (get(line=b"GET /  HTTP/1.1"), 400),
        (get(line=b" GET / HTTP/1.1"), 400),
        (get(line=b"GET / HTTP/1.1 "), 400),
        (get(line=b"GET\t/\tHTTP/1.1"), 400),
        (get(line=b"GET /"), 400),
        (get(line=b"GET"), 400),
        (get(line=b"GET / http/1.1"), 400),
        (get(line=b"GET / HTTP/1.11"), 400),
        (get(line=b"GET / HTTP/11"), 400),
        (get(line=b"GET / XTTP/1.1"), 400),
        (get(line=b"G(T / HTTP/1.1"), 400),
        (get(line=b"GET /a#b HTTP/1.1"), 400),
        (get(line=b"GET /a b HTTP/1.1"), 400),
        (get(line=b"GET /\x80 HTTP/1.1"), 400),
        (get(line=b"GET /\x00 HTTP/1.1"), 400),
        (get(line=b"GET a HTTP/1.1"), 400),
        (get(line=b"GET * HTTP/1.1"), 400),
        (get(line=b"GET ftp://a/ HTTP/1.1"), 400),
        (get(line=b"GET http:///a HTTP/1.1"), 400),
        (get(line=b"GET http://u@a/ HTTP/1.1"), 400),
        (get(line=b"FROB / HTTP/1.1"), 501),
        (get(line=b"get / HTTP/1.1"), 501),
        (get(line=b"CONNECT example.org:80 HTTP/1.1"), 501),
        (get(line=b"GET / HTTP/2.0"), 505),
        (get(line=b"GET / HTTP/0.9"), 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"\r\n\r\n\r\n" + get(), 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        # RFC 9110, 10.1.1: expectations.
        (get(b"Expect: the impossible", b"Content-Length: 1"), 417),
        # Limits.
        (get(line=b"GET /" + b"a" * 8192 + b" HTTP/1.1"), 414),
        (b"GET /" + b"a" * 9000, 414),
        (b"a" * 9000, 414),
        (get(b"A: " + b"b" * 65536), 431),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 66000, 431),
        (get(*[b"A: b"] * 100), 431),
    ],
)
def test_refusals(data: bytes, status: int) -> None:
    assert refused(data) == status


def test_a_head_parser_is_as_good_as_new_after_a_refusal() -> None:
    heads = HeadParser(max_line=8192, max_fields=100, max_body=0)
    bad = [
        get(b"Name : x"),
        get(line=b"FROB / HTTP/1.1"),
        get(b"Content-Length: x"),
        get(host=False),
    ]
    good = [
        get(b"Content-Length: 5"),
        get(b"Connection: close"),
        get(b"Proxy-Connection: close"),
        get(b"Proxy-Connection: upgrade", b"Upgrade: x"),
        get(b"Upgrade: x"),
        get(b"Transfer-Encoding: chunked"),
        get(b"Connection: upgrade", b"Upgrade: h2c"),
        get(line=b"GET / HTTP/1.0", host=False),
    ]
    for data in [*bad, *good]:
        try:
            heads.parse(data)
        except Refusal:
            assert data in bad
        else:
            assert data in good
        head = heads.parse(get(b"A: b"))
        assert head.headers == [(b"host", b"example.org"), (b"a", b"b")]
        assert head.keep_alive


@pytest.mark.parametrize(
    ("data", "keep_alive"),
    [
        (get(), True),
        (get(b"Connection: close"), False),
        (get(b"Connection: foo, Close"), False),
        (get(b"Connection: keep-alive", b"Connection: close"), False),
        (get(line=b"GET / HTTP/1.0"), False),
        (get(b"Connection: Keep-Alive", line=b"GET / HTTP/1.0"), True),
        (get(line=b"GET / HTTP/1.7"), True),
    ],
)
def test_persistence(data: bytes, keep_alive: bool) -> None:
    [(head, _)] = run(data)
    assert head.keep_alive is keep_alive


def test_values_lose_their_surrounding_whitespace_only() -> None:
    [(head, _)] = run(get(b"A: \t b  c \t ", b"D:", b"E:\xff"))
    assert head.headers[1:] == [(b"a", b"b  c"), (b"d", b""), (b"e", b"\xff")]


def test_absolute_form_overrides_host() -> None:
    [(head, _)] = run(get(b"A: b", line=b"GET http://other:81/p?q HTTP/1.1"))
    assert (head.path, head.query) == (b"/p", b"q")
    assert head.headers == [(b"host", b"other:81"), (b"a", b"b")]


def test_an_absolute_form_without_path() -> None:
    [(head, _)] = run(get(line=b"GET http://other?q HTTP/1.1"))
    assert (head.path, head.query) == (b"/", b"q")


def test_options_for_the_server() -> None:
    [(head, _)] = run(get(line=b"OPTIONS * HTTP/1.1"))
    assert (head.method, head.path) == ("OPTIONS", b"*")


def test_an_upgrade_is_ignored_and_the_body_is_not() -> None:
    data = get(b"Connection: upgrade", b"Upgrade: websocket", b"Content-Length: 2") + b"hi" + get()
    assert [body for _, body in run(data)] == [b"hi", b""]


def test_expectation() -> None:
    [(head, _)] = run(get(b"Expect: 100-Continue", b"Content-Length: 1") + b"x")
    assert head.expects
    [(head, _)] = run(get(b"Expect: 100-continue"))
    assert not head.expects


@pytest.mark.parametrize(
    "host", [b"", b"a", b"a.b:80", b"a:", b"127.0.0.1:0", b"[::1]", b"[::1]:8", b"a%20b", b"_x"]
)
def test_hosts(host: bytes) -> None:
    assert valid_host(host)
    assert valid_host(host), "remembered"


def test_absolute_targets() -> None:
    assert split_absolute(b"HTTPS://a/b") == (b"a", b"/b")
    assert split_absolute(b"http://") is None


def test_direct_never_reaches_past_the_body() -> None:
    core = receiver()
    data = get(b"Content-Length: 10") + b"abc"
    core.receive(data, len(data))
    assert core.next_head() is not None
    sink = Parts()
    core.start_body(sink)
    assert core.direct == 7
    core.filled(bytearray(b"defghijxxx"), 7)
    assert (sink.data, sink.ended, core.state) == (b"abcdefghij", 1, COMPLETE)
    assert core.direct == 0


def test_direct_within_a_chunk() -> None:
    core = receiver()
    data = get(b"Transfer-Encoding: chunked") + b"a\r\nab"
    core.receive(data, len(data))
    core.next_head()
    sink = Parts()
    core.start_body(sink)
    assert core.direct == 8
    core.filled(bytearray(b"cdefghij"), 8)
    assert core.direct == 0
    core.receive(b"\r\n0\r\n\r\nrest", 11)
    assert (sink.data, sink.ended, core.state) == (b"abcdefghij", 1, COMPLETE)
    assert core.pending == b"rest"
