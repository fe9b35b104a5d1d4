"""The chunked decoder (RFC 9112, section 7.1)."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbio.chunked import DONE, ChunkedDecoder
from nbio.errors import Refusal


class Parts:
    def __init__(self) -> None:
        self.data = b""
        self.ended = 0

    def feed(self, data: bytes | bytearray | memoryview) -> bool:
        assert len(data), "nothing is fed that is empty"
        self.data += bytes(data)
        return False

    def feed_block(self, block: bytearray, n: int) -> tuple[bytearray | None, bool]:
        raise AssertionError("only the receiver does this")

    def finish(self) -> None:
        self.ended += 1


def decode(*pieces: bytes, max_body: int = 0) -> tuple[bytes, ChunkedDecoder, bytes]:
    """The body, the decoder, and what followed."""
    decoder = ChunkedDecoder(
        max_body=max_body, max_line=64, max_extensions=100, max_trailers=100, max_fields=3
    )
    sink = Parts()
    rest = b""
    for piece in pieces:
        if decoder.state == DONE:
            rest += piece
            continue
        stop, _ = decoder.decode(piece, 0, len(piece), sink)
        rest += piece[stop:]
    assert sink.ended == (decoder.state == DONE)
    return sink.data, decoder, rest


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


GOOD = [
    (b"0\r\n\r\n", b""),
    (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    (b"1\r\na\r\n2\r\nbc\r\n00\r\n\r\n", b"abc"),
    (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    (b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    (b"00000000000000000000001\r\na\r\n0\r\n\r\n", b"a"),
    (b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
    (b"1;a\r\nx\r\n0;b\r\n\r\n", b"x"),
    (b'1;a=b;c="d e;\\"f"\r\nx\r\n0\r\n\r\n', b"x"),
    (b"1 ; a = b\r\nx\r\n0\r\n\r\n", b"x"),
    (b"0\r\nA: b\r\nC:\t d \r\n\r\n", b""),
]

BAD = [
    (b"\r\n", 400),
    (b"g\r\n", 400),
    (b"-1\r\n", 400),
    (b"+1\r\n", 400),
    (b"0x1\r\n", 400),
    (b" 1\r\n", 400),
    (b"1 \r\n", 400),
    (b"1_0\r\n", 400),
    (b"fffffffffffffffff\r\n", 400),
    (b"1\nx\r\n", 400),
    (b"1\rx\r\n", 400),
    (b"1\r\r\n", 400),
    (b"1;\r\nx", 400),
    (b"1;a=\r\n", 400),
    (b'1;a="b\r\n', 400),
    (b"1;a b\r\n", 400),
    (b"1;a\x00\r\n", 400),
    (b"1;" + b"a" * 64, 400),
    (b"1;" + b"a" * 64 + b"\r\n", 400),
    (b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n" * 4, 400),
    (b"1\r\nxy", 400),
    (b"1\r\nx\n", 400),
    (b"1\r\nx\ry", 400),
    (b"0\r\nno colon\r\n", 400),
    (b"0\r\nA : b\r\n", 400),
    (b"0\r\n folded\r\n", 400),
    (b"0\r\nA: b\x00\r\n", 400),
    (b"0\r\nA: b\n\r\n", 400),
    (b"0\r\n" + b"A: b\r\n" * 4, 431),
    (b"0\r\nA: " + b"b" * 100, 431),
    (b"0\r\nA: " + b"b" * 100 + b"\r\n", 431),
    (b"0\r\nA: " + b"b" * 60 + b"\r\nA: " + b"b" * 60 + b"\r\n", 431),
]


@pytest.mark.parametrize(("data", "body"), GOOD)
def test_every_split(data: bytes, body: bytes) -> None:
    for cut in range(len(data) + 1):
        got, decoder, rest = decode(data[:cut], data[cut:] + b"next")
        assert (got, decoder.state, rest) == (body, DONE, b"next")
    got, decoder, rest = decode(*bytewise(data), b"next")
    assert (got, decoder.state, rest) == (body, DONE, b"next")


@pytest.mark.parametrize(("data", "status"), BAD)
def test_refused_however_it_is_cut(data: bytes, status: int) -> None:
    for pieces in ([data], bytewise(data)):
        with pytest.raises(Refusal) as caught:
            decode(*pieces)
        assert caught.value.status == status


def test_the_limit_is_noticed_with_the_size() -> None:
    with pytest.raises(Refusal) as caught:
        decode(b"6\r\nhello \r\n5\r\n", max_body=10)
    assert caught.value.status == 413
    assert decode(b"6\r\nhello \r\n4\r\nyou!\r\n0\r\n\r\n", max_body=10)[0] == b"hello you!"


def test_trailers_are_kept_apart() -> None:
    _, decoder, _ = decode(b"0\r\nDigest: x \r\nHost: evil\r\n\r")
    assert decoder.trailers == [], "not yet"
    _, decoder, _ = decode(b"0\r\nDigest: x \r\nHost: evil\r\n\r\n")
    assert decoder.trailers == [(b"digest", b"x")], "and none that only makes sense in a head"


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.data())
def test_what_was_encoded_is_decoded(chunks: list[bytes], data: st.DataObject) -> None:
    encoded = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(encoded)), max_size=5)))
    edges = [0, *cuts, len(encoded)]
    pieces = [encoded[a:b] for a, b in itertools.pairwise(edges) if a < b]
    body, decoder, rest = decode(*pieces)
    assert (body, decoder.state, rest) == (b"".join(chunks), DONE, b"")
