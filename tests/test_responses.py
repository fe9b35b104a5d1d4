"""Response heads, framing and trailers, without a socket."""

import pytest

from nbio.errors import ResponseError
from nbio.heads import RequestHead
from nbio.responses import (
    CHUNKED,
    CLOSE,
    LENGTH,
    Framing,
    encode_fields,
    encode_trailers,
    refusal,
    wants_trailers,
)


def framed(
    status: int = 200,
    fields: list[tuple[bytes, bytes]] | None = None,
    size: int = -1,
    method: str = "GET",
    version: str = "1.1",
) -> tuple[Framing, bytes]:
    framing = Framing(True)
    return framing, framing.head(status, fields or [], size, method, version, b"")


@pytest.mark.parametrize("octet", [*range(9), *range(10, 32), 127])
def test_no_control_gets_into_a_head(octet: int) -> None:
    value = b"a" + bytes([octet]) + b"b"
    with pytest.raises(ResponseError):
        encode_fields(200, [(b"x", value)])
    with pytest.raises(ResponseError):
        encode_trailers([(b"x", value)])


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a\r\nb", b"\xe4", b"a\0"])
def test_names_are_tokens(name: bytes) -> None:
    for encode in (lambda pairs: encode_fields(200, pairs), encode_trailers):
        with pytest.raises(ResponseError):
            encode([(name, b"x")])


@pytest.mark.parametrize(
    "name", [b"Content-Length", b"transfer-encoding", b"HOST", b"Set-Cookie", b"Trailer"]
)
def test_what_is_no_trailer(name: bytes) -> None:
    with pytest.raises(ResponseError, match="send it before"):
        encode_trailers([(b"digest", b"x"), (name, b"5")])


def test_trailers_go_behind_chunks_only() -> None:
    trailers = [(b"Digest", b"x"), (b"a", b"\t \xe4")]
    framing, _ = framed()
    assert framing.kind == CHUNKED
    assert framing.end(trailers) == b"0\r\ndigest: x\r\na: \t \xe4\r\n\r\n"
    framing, _ = framed(version="1.0")
    assert framing.kind == CLOSE
    assert framing.end(trailers) == b""
    framing, _ = framed(fields=[(b"content-length", b"2")])
    assert framing.kind == LENGTH
    with pytest.raises(ResponseError, match="2 bytes too short"):
        framing.end(trailers)
    framing, _ = framed(method="HEAD")
    assert framing.end(trailers) == b""


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([], False),
        ([b"trailers"], True),
        ([b"gzip, Trailers"], True),
        ([b"gzip", b"trailers"], True),
        ([b"trailers2"], False),
        ([b"gzip;q=1"], False),
    ],
)
def test_who_takes_trailers(values: list[bytes], wanted: bool) -> None:
    head = RequestHead("GET", b"/", b"", "1.1", [(b"te", value) for value in values])
    assert wants_trailers(head) is wanted


@pytest.mark.parametrize(
    ("value", "close", "line"),
    [
        (b"close", True, b""),
        (b"Keep-Alive", False, b""),
        (b"Upgrade", False, b"connection: upgrade\r\n"),
        (b"upgrade, close", True, b"connection: upgrade\r\n"),
        (b"closed", False, b"connection: closed\r\n"),
        (b"", False, b""),
    ],
)
def test_the_applications_connection_options(value: bytes, close: bool, line: bytes) -> None:
    encoded = encode_fields(200, [(b"connection", value)])
    assert encoded.close is close
    assert encoded.block == b"HTTP/1.1 200 OK\r\n" + line


def test_a_refusal_of_a_head_has_no_content() -> None:
    whole = refusal(400, "no", b"")
    bare = refusal(400, "no", b"", to_head=True)
    assert whole == bare + b"no\n"
    assert b"content-length: 3\r\n" in bare
