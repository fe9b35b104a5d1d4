"""Framing of responses (RFC 9112, 6; RFC 9110, 6, 8, 9 and 15), and those that come early."""

from tests.conformance.cases import Case, chunks, get, post, request, seen, taken


def old(*fields: str, target: str = "/") -> bytes:
    return get(*fields, target=target, version="1.0")


CASES: list[Case] = [
    # Responses.
    taken(
        "RFC 9110, 9.3.2",
        "HEAD has the length and no content",
        request("HEAD /length HTTP/1.1") + get(),
        {"status": 200, "head": True, "has": {"content-length": "5"}},
        seen(),
    ),
    taken(
        "RFC 9110, 9.3.2",
        "HEAD of a stream",
        request("HEAD /stream HTTP/1.1") + get(),
        {"status": 200, "head": True},
        seen(),
    ),
    *(
        taken(
            "RFC 9110, 15.3",
            f"{status} has no content",
            get(target=f"/{status}") + get(),
            {"status": status, "text": "", "lacks": ["content-length", "transfer-encoding"]},
            seen(),
        )
        for status in (204, 304)
    ),
    taken(
        "RFC 9110, 15.3.6",
        "205 has a length of zero",
        get(target="/205") + get(),
        {"status": 205, "text": "", "has": {"content-length": "0"}},
        seen(),
    ),
    taken(
        "RFC 9110, 15.3.5",
        "204 of a stream",
        get(target="/204-stream") + get(),
        {"status": 204, "text": "", "lacks": ["content-length", "transfer-encoding"]},
        seen(),
    ),
    taken(
        "RFC 9112, 7.1",
        "a stream is chunked",
        get(target="/stream") + get(),
        {
            "status": 200,
            "text": "hello world",
            "has": {"transfer-encoding": "chunked"},
            "lacks": ["content-length"],
        },
        seen(),
    ),
    taken(
        "RFC 9112, 7.1",
        "a stream to HTTP/1.0 isn't",
        old(target="/stream"),
        {"status": 200, "text": "hello world", "lacks": ["transfer-encoding", "content-length"]},
        ends="closed",
    ),
    taken(
        "RFC 9112, 9.3",
        "a stream to HTTP/1.0 with keep-alive",
        old("Connection: keep-alive", target="/stream"),
        {
            "status": 200,
            "text": "hello world",
            "lacks": ["transfer-encoding"],
            "has": {"connection": "close"},
        },
        ends="closed",
    ),
    taken(
        "RFC 9112, 9.3",
        "a length to HTTP/1.0 with keep-alive",
        old("Connection: keep-alive", target="/length"),
        {"status": 200, "text": "hello"},
    ),
    taken(
        "RFC 9112, 6.2",
        "an empty response says so",
        get(target="/empty") + get(),
        {"status": 200, "text": "", "has": {"content-length": "0"}},
        seen(),
    ),
    taken("RFC 9110, 6.6.1", "a response has a Date", get(), seen(dated=True)),
    Case("a refusal has a Date too", "RFC 9110, 6.6.1", get(host=None), (400,), "closed"),
    taken(
        "RFC 9112, 9.6",
        "the application closes",
        get(target="/close"),
        {"status": 200, "has": {"connection": "close"}},
        ends="closed",
    ),
    taken(
        "RFC 9110, 15.5.22",
        "426 keeps its upgrade",
        get(target="/426"),
        {"status": 426, "has": {"connection": "upgrade", "upgrade": "frob"}},
    ),
    taken(
        "RFC 9110, 7.8",
        "Upgrade brings its connection option",
        get(target="/426-alone"),
        {"status": 426, "has": {"connection": "upgrade", "upgrade": "frob"}},
    ),
    taken(
        "RFC 9110, 6.5.1",
        "trailers are sent to who takes them",
        get("TE: trailers", target="/trailers") + get(),
        {"status": 200, "text": "hello", "trailed": {"digest": "x"}},
        seen(),
    ),
    taken(
        "RFC 9110, 6.5.1",
        "trailers aren't sent to others",
        get(target="/trailers") + get(),
        {"status": 200, "text": "hello", "trailed": {}},
        seen(),
    ),
    taken(
        "RFC 9110, 6.5.1",
        "trailers aren't sent to HTTP/1.0",
        old("TE: trailers", target="/trailers"),
        {"status": 200, "text": "hello"},
        ends="closed",
    ),
    taken(
        "RFC 9110, 15.6.1",
        "an error of the application",
        get(target="/raise"),
        {"status": 500},
        ends="closed",
    ),
    *(
        Case(
            f"a refused HEAD has no content: {name}",
            "RFC 9110, 9.3.2",
            data,
            ({"status": status, "head": True, "has": {"connection": "close"}},),
            "closed",
        )
        for name, status, data in (
            ("no Host", 400, request("HEAD / HTTP/1.1", host=None)),
            ("an error of the application", 500, request("HEAD /raise HTTP/1.1")),
            (
                "a broken body",
                400,
                request("HEAD / HTTP/1.1", "Transfer-Encoding: chunked", body=b"x\r\n"),
            ),
            ("too long a body", 413, request("HEAD / HTTP/1.1", "Content-Length: 1073741825")),
        )
    ),
    # Early responses.
    taken(
        "RFC 9112, 9.3",
        "an unread body",
        post("Content-Length: 5", body=b"hello", target="/unread") + get(),
        {"status": 200},
        seen(),
    ),
    taken(
        "RFC 9112, 9.3",
        "unread chunks",
        request(
            "POST /unread HTTP/1.1", "Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"
        )
        + get(),
        {"status": 200},
        seen(),
    ),
    Case(
        "an unread body that is broken",
        "RFC 9112, 7.1",
        request(
            "POST /unread HTTP/1.1", "Transfer-Encoding: chunked", body=b"5\r\nhello\r\nxyz\r\n"
        ),
        (400,),
        "closed",
        cut=True,
    ),
    Case(
        "a broken body behind a good request",
        "RFC 9112, 9.3.2",
        get() + chunks(b"1\r\nx\r\nbroken\r\n"),
        (seen(), 400),
        "closed",
        cut=True,
    ),
]
