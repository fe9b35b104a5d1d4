"""Who the client is behind proxies: parsers, and what they are believed."""

import asyncio
import contextlib
import errno
import socket
import struct
from typing import Any

import pytest

from nbio import Request, Response
from nbio.config import Config, Fields
from nbio.exchange import Peer
from nbio.proxy import (
    V2_SIGNATURE,
    ProxyError,
    Trust,
    forwarded,
    forwarded_peer,
    preface,
    x_forwarded,
)
from nbio.testing import Served, serve
from tests.ops.commands import TIMEOUT, raw

TRUST = Trust(["10.0.0.0/8", "127.0.0.1", "2001:db8::/32"])


def told(
    *fields: tuple[bytes, bytes], client: str = "127.0.0.1", kind: Fields = "x-forwarded"
) -> tuple[tuple[str, int | None] | None, str]:
    peer = forwarded_peer(Peer((client, 5), ("127.0.0.1", 80)), fields, TRUST, kind)
    return peer.client, peer.scheme


def test_only_trusted_peers_are_believed() -> None:
    fields = ((b"x-forwarded-for", b"1.2.3.4"), (b"x-forwarded-proto", b"https"))
    assert told(*fields) == (("1.2.3.4", 0), "https")
    assert told(*fields, client="192.0.2.1") == (("192.0.2.1", 5), "http")


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        # The rightmost that isn't trusted; what stands left of it is anybody's word.
        (b"6.6.6.6, 1.2.3.4, 10.1.1.1", ("1.2.3.4", 0)),
        (b"6.6.6.6, 1.2.3.4", ("1.2.3.4", 0)),
        (b"10.9.9.9, 10.1.1.1", ("10.9.9.9", 0)),
        (b"[2001:db8::1]:443, 10.1.1.1", ("2001:db8::1", 443)),
        (b"1.2.3.4:99", ("1.2.3.4", 99)),
        # What is malformed ends the walk at the last address that is known.
        (b"1.2.3.4, junk, 10.1.1.1", ("10.1.1.1", 0)),
        (b"junk", ("127.0.0.1", 5)),
        (b"1.2.3.4:70000", ("127.0.0.1", 5)),
        (b"", ("127.0.0.1", 5)),
    ],
)
def test_x_forwarded_for(chain: bytes, client: tuple[str, int]) -> None:
    assert told((b"x-forwarded-for", chain))[0] == client


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"for=1.2.3.4;proto=https", (("1.2.3.4", 0), "https")),
        (b'For="[2001:db9::1]:8";Proto=HTTPS, for=10.0.0.1', (("2001:db9::1", 8), "https")),
        (b"for=6.6.6.6, for=unknown, for=10.0.0.1", (("10.0.0.1", 0), "http")),
        (b"for=6.6.6.6, for=_hidden", (("127.0.0.1", 5), "http")),
        (b"for=6.6.6.6, for=\x00, for=10.0.0.1", (("10.0.0.1", 0), "http")),
        (b'for="1.2.3.4', (("127.0.0.1", 5), "http")),
        (b"for=1.2.3.4;proto=gopher", (("1.2.3.4", 0), "http")),
    ],
)
def test_forwarded(value: bytes, expected: tuple[tuple[str, int], str]) -> None:
    fields = ((b"forwarded", value), (b"x-forwarded-for", b"9.9.9.9"))
    assert told(*fields, kind="forwarded") == expected
    # Proxies write the one or the other. What they don't write may be the client's.
    assert told(*fields) == (("9.9.9.9", 0), "http")


def test_several_fields_are_one_list() -> None:
    assert forwarded("for=1.1.1.1") == [(("1.1.1.1", 0), "")]
    assert x_forwarded("1.1.1.1, 2.2.2.2", "https, http") == [
        (("1.1.1.1", 0), "https"),
        (("2.2.2.2", 0), "http"),
    ]
    assert told((b"x-forwarded-for", b"3.3.3.3"), (b"x-forwarded-for", b"10.1.1.1"))[0] == (
        "3.3.3.3",
        0,
    )


@pytest.mark.parametrize("text", ["10.0.0.0/33", "localhost", "", "10.0.0.1/8"])
def test_what_is_no_proxy_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a trusted proxy is an address"):
        Trust([text])


V1 = b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\n"
V2 = V2_SIGNATURE + struct.pack("!BBH4s4sHH", 0x21, 0x11, 12, b"\1\2\3\4", b"\5\6\7\10", 99, 80)


@pytest.mark.parametrize(
    ("data", "ends"),
    [
        (V1, (("192.0.2.1", 1234), ("192.0.2.2", 80))),
        (b"PROXY TCP6 ::1 ::2 1 2\r\n", (("::1", 1), ("::2", 2))),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN whatever it says\r\n", None),
        (V2, (("1.2.3.4", 99), ("5.6.7.8", 80))),
        (V2_SIGNATURE + b"\x20\x00\x00\x03\x04\x00\x00", None),
        (V2_SIGNATURE + b"\x21\x21\x00\x24" + bytes(15) + b"\1" + bytes(15) + b"\2\0\1\0\2",
         (("::1", 1), ("::2", 2))),
    ],
)  # fmt: skip
def test_a_preface_at_every_split(data: bytes, ends: object) -> None:
    for size in range(len(data)):
        assert preface(data[:size]) is None
    assert preface(data + b"GET ") == (len(data), ends)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 01234 80\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 70000 80\r\n",
        b"PROXY TCP4 ::1 ::2 1 2\r\n",
        b"PROXY TCP5 1 2 3 4\r\n",
        b"PROXY  TCP4 192.0.2.1 192.0.2.2 1234 80\r\n",
        b"PROXY " + b"x" * 200,
        V2_SIGNATURE + b"\x31\x11\x00\x0c" + bytes(12),
        V2_SIGNATURE + b"\x22\x11\x00\x0c" + bytes(12),
        V2_SIGNATURE + b"\x21\x11\x00\x0b" + bytes(11),
        V2_SIGNATURE + b"\x21\x11\xff\xff",
    ],
)
def test_what_is_no_preface(data: bytes) -> None:
    with pytest.raises(ProxyError):
        preface(data + b"\r\n" * 60)


async def tells(request: Request) -> Response:
    return Response(f"{request.client} {request.scheme}")


def asked(served: Served, *fields: str, before: bytes = b"") -> bytes:
    lines = ["GET / HTTP/1.1", "Host: a", "Connection: close", *fields, "", ""]
    return raw((served.host, served.port), before + "\r\n".join(lines).encode())


def test_a_request_from_a_trusted_proxy() -> None:
    fields = ["X-Forwarded-For: 6.6.6.6, 1.2.3.4", "X-Forwarded-Proto: https"]
    with serve(tells, trusted_proxies=("127.0.0.0/8",)) as served:
        assert asked(served, *fields).endswith(b"('1.2.3.4', 0) https")
    with serve(tells, trusted_proxies=("10.0.0.0/8",)) as served:
        assert asked(served, *fields).endswith(b") http")
        assert b"1.2.3.4" not in asked(served, *fields)
    with serve(tells, trusted_proxies=("127.0.0.1",), forwarded="forwarded") as served:
        assert asked(served, "Forwarded: for=1.2.3.4;proto=https").endswith(b"('1.2.3.4', 0) https")


def test_only_trusted_proxies_may_ask_for_https_over_plain_http() -> None:
    data = b"GET https://h/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"

    def status(before: bytes = b"", **options: Any) -> bytes:
        with serve(tells, **options) as served:
            return raw((served.host, served.port), before + data)[9:12]

    assert status(trusted_proxies=("127.0.0.1",)) == b"200"
    assert status(V1, trusted_proxies=("127.0.0.1",), proxy_protocol=True) == b"200"
    assert status(trusted_proxies=("10.0.0.0/8",)) == b"421"


@pytest.mark.parametrize("before", [V1, V2])
def test_a_connection_with_a_preface(before: bytes) -> None:
    with serve(tells, trusted_proxies=("127.0.0.1",), proxy_protocol=True) as served:
        told_of = b"('192.0.2.1', 1234)" if before is V1 else b"('1.2.3.4', 99)"
        assert told_of in asked(served, before=before)


def test_a_preface_byte_by_byte_and_a_large_upload_behind_it() -> None:
    async def size(request: Request) -> Response:
        return Response(f"{request.client} {len(await request.body.read())}")

    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 900000\r\n\r\n"
    with serve(size, trusted_proxies=("127.0.0.1",), proxy_protocol=True) as served:
        with socket.create_connection((served.host, served.port), timeout=TIMEOUT) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(len(V2)):
                sock.sendall(V2[at : at + 1])
            sock.sendall(head + bytes(900_000))
            answer = b""
            while piece := sock.recv(65536):
                answer += piece
            assert answer.endswith(b"('1.2.3.4', 99) 900000")
        assert asked(served, before=V1 + b"").count(b"HTTP/1.1 200") == 1


def test_prefaces_under_way_when_the_server_ends() -> None:
    """One is followed by a request, which is answered; one by nothing, which ends soon."""
    options = {"trusted_proxies": ("127.0.0.1",), "proxy_protocol": True, "head_timeout": 60.0}
    with (
        serve(tells, **options, shutdown_timeout=60.0) as served,
        socket.create_connection((served.host, served.port), timeout=TIMEOUT) as asks,
        socket.create_connection((served.host, served.port), timeout=TIMEOUT) as silent,
    ):
        for client in (asks, silent):
            client.sendall(V1[:9])
        # Accepted after them, so they are accepted too.
        assert b"192.0.2.1" in asked(served, before=V1)

        async def stop() -> None:
            stopping = asyncio.ensure_future(served.server.stop())
            # It has told all connections when it waits for the first time.
            await asyncio.sleep(0)
            asks.sendall(V1[9:] + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            silent.sendall(V1[9:])
            await asyncio.wait_for(stopping, 10)

        served.run(stop())
        answer = b""
        while piece := asks.recv(65536):
            answer += piece
        assert b"connection: close" in answer
        assert answer.endswith(b"('192.0.2.1', 1234) http")
        assert silent.recv(1) == b""


def cut(served: Served, before: bytes) -> bool:
    try:
        return asked(served, before=before) == b""
    except OSError as error:
        # A reset, met at a receive, a send, or the end of sending.
        return isinstance(error, ConnectionError) or error.errno == errno.ENOTCONN


def test_connections_without_a_preface_or_from_others_are_cut() -> None:
    with serve(tells, trusted_proxies=("127.0.0.1",), proxy_protocol=True) as served:
        assert cut(served, b"")
        assert cut(served, b"PROXY TCP4 nonsense\r\n")
    with serve(tells, trusted_proxies=("10.0.0.1",), proxy_protocol=True) as served:
        assert cut(served, V1)
    options = {"trusted_proxies": ("127.0.0.1",), "proxy_protocol": True, "head_timeout": 0.1}
    with (
        serve(tells, **options) as served,
        socket.create_connection((served.host, served.port), timeout=TIMEOUT) as silent,
        contextlib.suppress(ConnectionResetError),
    ):
        assert silent.recv(1) == b""


@pytest.mark.parametrize(
    "options",
    [
        {"proxy_protocol": True},
        {"forwarded": "via"},
    ],
)
def test_options_that_make_no_sense(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"proxy_protocol|forwarded"):
        Config(**options)  # type: ignore[arg-type]  # that they are wrong is the point
