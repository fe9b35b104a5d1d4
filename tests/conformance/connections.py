"""Persistence, pipelining, expectations, upgrades, the client's end (RFC 9112, 9; RFC 9110, 7)."""

from tests.conformance.cases import Case, chunks, get, post, refused, request, seen, taken

HELLO = post("Content-Length: 5", body=b"hello")


def old(*fields: str, target: str = "/") -> bytes:
    return get(*fields, target=target, version="1.0")


CASES: list[Case] = [
    # Persistence.
    taken("RFC 9112, 9.3", "HTTP/1.1 persists", get()),
    taken("RFC 9112, 9.6", "close", get("Connection: close"), ends="closed"),
    taken("RFC 9112, 9.6", "close in capitals", get("Connection: CLOSE"), ends="closed"),
    taken("RFC 9112, 9.6", "close in a list", get("Connection: a, close"), ends="closed"),
    taken("RFC 9112, 9.6", "close after empty members", get("Connection: ,, close"), ends="closed"),
    taken(
        "RFC 9112, 9.6",
        "close in a second field",
        get("Connection: a", "Connection: close"),
        ends="closed",
    ),
    taken(
        "RFC 9112, 9.6",
        "close beats keep-alive",
        get("Connection: keep-alive, close"),
        ends="closed",
    ),
    taken("RFC 9112, 9.6", "what only looks like close", get("Connection: closed")),
    taken(
        "RFC 9112, 9.6",
        "nothing after close is answered",
        get("Connection: close") + get(target="/ignored"),
        ends="closed",
    ),
    taken("RFC 9112, 9.3", "HTTP/1.0 doesn't persist", old(), ends="closed"),
    taken(
        "RFC 9112, 9.3",
        "HTTP/1.0 with keep-alive",
        old("Connection: keep-alive"),
        seen(has={"connection": "keep-alive"}),
    ),
    taken("RFC 9112, 9.3", "HTTP/1.0 with keep-alive in capitals", old("Connection: Keep-Alive")),
    taken(
        "RFC 9112, 9.3",
        "HTTP/1.0 with keep-alive and close",
        old("Connection: keep-alive, close"),
        ends="closed",
    ),
    taken(
        "RFC 9112, 9.6",
        "a last response says so",
        get("Connection: close"),
        seen(has={"connection": "close"}),
        ends="closed",
    ),
    taken("RFC 9112, 9.3", "Proxy-Connection means nothing", get("Proxy-Connection: close")),
    # Pipelining.
    taken(
        "RFC 9112, 9.3.2",
        "in order",
        get(target="/1") + get(target="/2") + get(target="/3"),
        seen(target="/1"),
        seen(target="/2"),
        seen(target="/3"),
    ),
    taken(
        "RFC 9112, 9.3.2",
        "with bodies",
        HELLO + chunks(b"1\r\nx\r\n0\r\n\r\n") + get(target="/3"),
        seen(body="hello"),
        seen(body="x"),
        seen(target="/3"),
    ),
    taken(
        "RFC 9112, 9.3.2",
        "behind a HEAD",
        request("HEAD / HTTP/1.1") + get(target="/2"),
        {"status": 200, "head": True},
        seen(target="/2"),
    ),
    taken("RFC 9112, 9.3.2", "twenty", get() * 20, *[seen()] * 20),
    Case(
        "garbage behind a request",
        "RFC 9112, 9.3.2",
        get() + b"garbage\r\n\r\n",
        (seen(), 400),
        "closed",
    ),
    Case(
        "garbage behind a body",
        "RFC 9112, 9.3.2",
        HELLO + b"\0",
        (seen(body="hello"), 400),
        "closed",
    ),
    Case(
        "garbage behind chunks",
        "RFC 9112, 9.3.2",
        chunks(b"1\r\nx\r\n0\r\n\r\n") + b"x\ny\r\n\r\n",
        (seen(body="x"), 400),
        "closed",
    ),
    Case(
        "a bad request behind a good one",
        "RFC 9112, 9.3.2",
        get() + get(host=None) + get(),
        (seen(), 400),
        "closed",
    ),
    Case(
        "a body longer than its length",
        "RFC 9112, 6.3",
        post("Content-Length: 1", body=b"xyz\r\n\r\n"),
        (seen(body="x"), 400),
        "closed",
    ),
    # Expectations.
    taken(
        "RFC 9110, 10.1.1",
        "100-continue, without waiting",
        post("Expect: 100-continue", "Content-Length: 5", body=b"hello"),
        seen(body="hello"),
        ends="kept",
    ),
    taken(
        "RFC 9110, 10.1.1",
        "100-continue in capitals",
        post("Expect: 100-CONTINUE", "Content-Length: 5", body=b"hello"),
        seen(body="hello"),
    ),
    taken(
        "RFC 9110, 10.1.1",
        "100-continue twice",
        post("Expect: 100-continue", "Expect: 100-continue", "Content-Length: 1", body=b"x"),
        seen(body="x"),
    ),
    taken("RFC 9110, 10.1.1", "100-continue without a body", get("Expect: 100-continue")),
    taken(
        "RFC 9110, 10.1.1",
        "100-continue in HTTP/1.0",
        request("POST / HTTP/1.0", "Expect: 100-continue", "Content-Length: 1", body=b"x"),
        seen(body="x"),
        ends="closed",
    ),
    taken("RFC 9110, 10.1.1", "an empty expectation", get("Expect:")),
    *refused(
        "RFC 9110, 15.5.18",
        417,
        an_unknown_expectation=post("Expect: the-impossible", "Content-Length: 1", body=b"x"),
        an_unknown_one_among_others=post("Expect: 100-continue, frob", "Content-Length: 1"),
        an_unknown_expectation_without_body=get("Expect: 200-ok"),
    ),
    Case(
        "an expectation and too long a body",
        "RFC 9110, 10.1.1",
        post("Expect: 100-continue", "Content-Length: 1073741825"),
        (413,),
        "closed",
    ),
    # Upgrades that aren't taken.
    taken(
        "RFC 9110, 7.8",
        "an upgrade is ignored",
        get("Connection: upgrade", "Upgrade: frob/1") + get(),
        seen(lacks=["upgrade"]),
        seen(),
    ),
    taken(
        "RFC 9110, 7.8",
        "h2c is ignored",
        get("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQ"),
    ),
    taken(
        "RFC 9110, 7.8",
        "an upgrade with a body",
        post("Connection: upgrade", "Upgrade: frob", "Content-Length: 5", body=b"hello") + get(),
        seen(body="hello"),
        seen(),
    ),
    taken(
        "RFC 9110, 7.8",
        "an upgrade in HTTP/1.0",
        old("Connection: upgrade", "Upgrade: frob"),
        ends="closed",
    ),
    taken("RFC 9110, 7.8", "Upgrade without Connection", get("Upgrade: websocket")),
    # The client's end.
    taken("RFC 9112, 9.6", "an answer after the client's end", get(), ends="closed", fin=True),
    taken(
        "RFC 9112, 9.6",
        "answers after the client's end",
        get() + HELLO,
        seen(),
        seen(body="hello"),
        ends="closed",
        fin=True,
    ),
    taken(
        "RFC 9112, 9.6",
        "the client's end in an empty line",
        get() + b"\r\n",
        ends="closed",
        fin=True,
    ),
    Case("nothing", "RFC 9112, 9.6", b"", (), "closed", fin=True),
    Case("half a head", "RFC 9112, 8", b"GET / HTTP/1.1\r\nHo", (), "closed", fin=True),
    Case(
        "half a body",
        "RFC 9112, 8",
        post("Content-Length: 5", body=b"he"),
        (400,),
        "closed",
        cut=True,
        fin=True,
    ),
    Case("half a chunk", "RFC 9112, 8", chunks(b"5\r\nhe"), (400,), "closed", cut=True, fin=True),
    Case(
        "chunks without the last",
        "RFC 9112, 8",
        chunks(b"2\r\nhe\r\n"),
        (400,),
        "closed",
        cut=True,
        fin=True,
    ),
    Case(
        "a last chunk without its end",
        "RFC 9112, 8",
        chunks(b"0\r\n"),
        (400,),
        "closed",
        cut=True,
        fin=True,
    ),
]
