"""Requests to be sent, good and broken ones, each with `/N` for its target."""

from itertools import pairwise
from typing import Final

from hypothesis import strategies as st

HEAD: Final = b"Host: t\r\n"
BROKEN_HEADS: Final = (
    b"GET /N HTTP/1.1\r\n\r\n",
    b"GET /N HTTP/1.1\r\nHost: t\r\nHost: t\r\n\r\n",
    b"POST /N HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
    b"POST /N HTTP/1.1\r\nHost: t\r\nContent-Length: abc\r\n\r\n",
    b"POST /N HTTP/1.1\r\nHost: t\r\nContent-Length: 201\r\n\r\nabc",
    b"GET /N HTTP/2.0\r\nHost: t\r\n\r\n",
    b"GET /N HTTP/1.1\r\nHost: t\nA: b\r\n\r\n",
    b"GET /N HTTP/1.1\r\nHost: t\r\nA: b\0\r\n\r\n",
    b"GET /N HTTP/1.1\r\nHost : t\r\n\r\n",
    b"POST /N HTTP/1.1\r\nHost: t\r\nExpect: tea\r\nContent-Length: 3\r\n\r\nabc",
    b"POST /N HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"POST /N HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"BREW /N HTTP/1.1\r\nHost: t\r\n\r\n",
    b"HEAD /N HTTP/1.1\r\n\r\n",
    b"GET /N" + b"n" * 60 + b" HTTP/1.1\r\nHost: t\r\n\r\n",
    b"GET /N HTTP/1.1\r\nHost: t\r\n" + b"A: b\r\n" * 6 + b"\r\n",
    b"GET /N HTTP/1.1\r\nHost: t\r\nA: " + b"b" * 400 + b"\r\n\r\n",
    b"TRACE /N HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc",
    b"\r\n\r\n\r\nGET /N HTTP/1.1\r\nHost: t\r\n\r\n",
)
BROKEN_CHUNKS: Final = (
    b"zz\r\nabc",
    b"3\r\nabcd\r\n",
    b"c9\r\nabc",
    b"3\nabc\r\n",
    b"3\r\nabc\rx",
    b"0\r\nno trailer\r\n\r\n",
    b"\r\n",
)


def content(size: int, seed: int) -> bytes:
    """Bytes of which no two neighbourhoods are alike."""
    return bytes(97 + (seed + i * 7 + i // 26) % 26 for i in range(size))


SIZES: Final = st.one_of(st.integers(1, 24), st.sampled_from((15, 16, 17, 32, 33, 48, 64, 120)))


@st.composite
def plain(draw: st.DrawFn) -> bytes:
    """A request without a body."""
    method = draw(st.sampled_from((b"GET", b"HEAD", b"OPTIONS")))
    version, field = draw(
        st.sampled_from(
            (
                (b"1.1", b""),
                (b"1.1", b""),
                (b"1.1", b"Connection: close\r\n"),
                (b"1.0", b""),
                (b"1.0", b"Connection: keep-alive\r\n"),
            )
        )
    )
    lead = draw(st.sampled_from((b"", b"", b"", b"\r\n\r\n")))
    return lead + b"%b /N HTTP/%b\r\n%b%b\r\n" % (method, version, HEAD, field)


@st.composite
def upload(draw: st.DrawFn) -> bytes:
    """A request with a body of known or unknown length."""
    fields = HEAD
    fields += draw(st.sampled_from((b"", b"", b"Expect: 100-continue\r\n")))
    fields += draw(st.sampled_from((b"", b"", b"", b"Connection: close\r\n")))
    size, seed = draw(SIZES), draw(st.integers(0, 25))
    body = content(size, seed)
    if draw(st.booleans()):
        return b"POST /N HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (fields, size, body)
    return b"POST /N HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n%b%b" % (
        fields,
        draw(chunks(body)),
        draw(endings()),
    )


@st.composite
def chunks(draw: st.DrawFn, body: bytes) -> bytes:
    """A body cut in chunks, without the last one."""
    cuts = draw(st.lists(st.integers(0, len(body)), max_size=3))
    return chunked(body, cuts, draw(st.sampled_from((b"", b"", b";a=b"))))


def chunked(body: bytes, cuts: list[int], extension: bytes = b"") -> bytes:
    """A body as chunks, cut at these places, without the last one."""
    places = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    pieces = [body[a:b] for a, b in pairwise(places)]
    return b"".join(b"%x%b\r\n%b\r\n" % (len(p), extension, p) for p in pieces)


def endings() -> st.SearchStrategy[bytes]:
    """The last chunk, with and without trailers."""
    return st.sampled_from((b"0\r\n\r\n", b"0\r\nA: 1\r\n\r\n", b"0\r\nHost: x\r\nB: 2\r\n\r\n"))


@st.composite
def broken_body(draw: st.DrawFn) -> bytes:
    """A chunked body that turns bad."""
    good = draw(chunks(content(draw(st.integers(1, 40)), 3)))
    return b"POST /N HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n%b%b" % (
        HEAD,
        good,
        draw(st.sampled_from(BROKEN_CHUNKS)),
    )


def requests() -> st.SearchStrategy[bytes]:
    """Any request; most are good, and most have a body."""
    good = st.one_of(plain(), upload(), upload(), upload())
    bad = st.one_of(broken_body(), st.sampled_from(BROKEN_HEADS))
    return st.integers(0, 5).flatmap(lambda n: good if n else bad)
