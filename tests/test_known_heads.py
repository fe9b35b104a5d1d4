"""Field sections that are remembered: the same answers as a parser that remembers nothing."""

import pytest

from nbio.errors import Refusal
from nbio.heads import _KNOWN, _KNOWN_SIZE, _SEEN, HeadParser, RequestHead
from tests.live import source_only

FIELDS = [
    b"Host: a\r\n\r\n",
    b"Host: b\r\nX: 1\r\nx: 2\r\n\r\n",
    b"Host: a\r\nContent-Length: 5\r\n\r\n",
    b"Host: a\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n",
    b"Host: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"Host: a\r\nConnection: close\r\n\r\n",
    b"Host: a\r\nConnection: keep-alive\r\n\r\n",
    b"Host: a\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n",
    b"Host: a\r\nConnection: upgrade\r\nUpgrade: x, WebSocket\r\n\r\n",
    b"X: 1\r\n\r\n",
    b"Host: a\r\nHost: a\r\n\r\n",
    b"Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"Host: a\r\nBad Name: 1\r\n\r\n",
    b"\r\n",
]
LINES = [
    b"GET / HTTP/1.1\r\n",
    b"POST /path?query HTTP/1.1\r\n",
    b"GET /other HTTP/1.0\r\n",
    b"GET http://c/ HTTP/1.1\r\n",
    b"NONSENSE / HTTP/1.1\r\n",
    b"CONNECT / HTTP/1.1\r\n",
    b"GET / HTTP/2.0\r\n",
    b"GET /" + b"a" * 300 + b" HTTP/1.1\r\n",
]


def parser() -> HeadParser:
    return HeadParser(max_line=256, max_fields=100, max_body=1000)


def told(heads: HeadParser, head: bytes) -> object:
    """What the parser makes of a head, comparable."""
    try:
        found = heads.parse(head)
    except Refusal as refusal:
        return refusal.status, str(refusal)
    return {name: getattr(found, name) for name in RequestHead.__slots__}


@source_only
def test_what_is_remembered_means_what_it_meant() -> None:
    heads = parser()
    for _ in range(3):
        for fields in FIELDS:
            for line in LINES:
                assert told(heads, line + fields) == told(parser(), line + fields)
    assert heads._known, "nothing was remembered, so nothing was tested"


def test_a_request_with_remembered_fields_has_a_list_of_its_own() -> None:
    heads = parser()
    for _ in range(3):
        found = heads.parse(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert found.headers == [(b"host", b"a")]
        found.headers.append((b"x", b"mine"))
        found.expects = True


@source_only
def test_again_leaves_no_slot_out() -> None:
    head = RequestHead("GET", b"/", b"", "1.0", [])
    for number, name in enumerate(RequestHead.__slots__):
        setattr(head, name, [number])
    other = head.again("POST", b"/p", b"q")
    assert (other.method, other.path, other.query) == ("POST", b"/p", b"q")
    # Trailers come after the body, and are each request's own.
    assert other.trailers == ()
    for name in set(RequestHead.__slots__) - {"method", "path", "query", "trailers"}:
        assert getattr(other, name) == getattr(head, name), name


@pytest.mark.parametrize("size", [10, _KNOWN_SIZE])
def test_what_is_remembered_is_bounded(size: int) -> None:
    heads = parser()
    for number in range(_SEEN * 2):
        head = b"GET / HTTP/1.1\r\nHost: a\r\nX: %d%b\r\n\r\n" % (number, b"y" * size)
        heads.parse(head)
        heads.parse(head)
    assert len(heads._seen) <= _SEEN
    assert len(heads._known) <= _KNOWN
    assert all(len(fields) <= _KNOWN_SIZE for fields in heads._known)


def test_what_came_once_is_not_remembered() -> None:
    heads = parser()
    for number in range(10):
        heads.parse(b"GET / HTTP/1.1\r\nHost: a\r\nX: %d\r\n\r\n" % number)
    assert not heads._known
    heads.parse(b"GET / HTTP/1.1\r\nHost: a\r\nX: 7\r\n\r\n")
    assert list(heads._known) == [b"Host: a\r\nX: 7\r\n\r\n"]
