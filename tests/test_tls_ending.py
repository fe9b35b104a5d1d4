"""TLS has no half-closed connections: a last response arrives there too, and so does the end."""

import socket
import ssl
from pathlib import Path

import pytest
import trustme

from nbio import Request, Response
from tests.live import TIMEOUT, get, post, serving

AUTHORITY = trustme.CA()


async def forbidden(request: Request) -> Response:
    return Response(b"no", status=403)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (get("/", "Connection: close"), b"403"),
        (get("/", "A : b"), b"400"),
        (get("/", "A : b") + bytes(1000), b"400"),
        (post(bytes(600_000))[:400_000], b"403"),
    ],
)
def test_the_last_response_and_the_end(tmp_path: Path, data: bytes, status: bytes) -> None:
    path = tmp_path / "server.pem"
    AUTHORITY.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(path))
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    with (
        serving(forbidden, ssl_certfile=str(path), linger_timeout=0.2) as live,
        socket.create_connection(("127.0.0.1", live.server.port), timeout=TIMEOUT) as plain,
        context.wrap_socket(
            plain, server_hostname="localhost", suppress_ragged_eofs=False
        ) as secure,
    ):
        secure.sendall(data)
        answer = b""
        while piece := secure.recv(65536):
            answer += piece
        assert answer.startswith(b"HTTP/1.1 " + status)
