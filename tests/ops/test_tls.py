"""TLS: certificates both ways, their renewal, the application's view."""

import asyncio
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from nbio import Request, Response
from nbio.asgi import Receive, Scope, Send
from nbio.config import Config
from nbio.testing import serve
from nbio.tls import TlsError, make_context
from tests.ops.commands import TIMEOUT, nbio
from tests.ops.test_workers import gone

APP = """
from nbio import Request, Response

async def app(request: Request) -> Response:
    return Response(request.scheme)
"""
ASK = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def issue(authority: trustme.CA, directory: Path) -> tuple[Path, str]:
    """A server's certificate with its key in one file, and the serial number."""
    issued = authority.issue_cert("localhost", "127.0.0.1")
    path = directory / "server.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(str(path))
    decoded = ssl._ssl._test_decode_cert(str(only_certificate(path)))  # type: ignore[attr-defined]  # the stub has it not
    return path, decoded["serialNumber"]


def only_certificate(path: Path) -> Path:
    text = path.read_text()
    alone = path.with_suffix(".crt")
    alone.write_text(text[text.index("-----BEGIN CERTIFICATE") :])
    return alone


def client_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def ask(port: int, context: ssl.SSLContext, data: bytes = ASK) -> tuple[bytes, dict[str, Any]]:
    """The answer, and the server's certificate."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        shown: dict[str, Any] = secure.getpeercert() or {}
        secure.sendall(data)
        answer = b""
        while piece := secure.recv(65536):
            answer += piece
        return answer, shown


@pytest.mark.parametrize("processes", ["1", "2"])
def test_sighup_renews_the_certificate(
    tmp_path: Path, authority: trustme.CA, processes: str
) -> None:
    (tmp_path / "application.py").write_text(APP)
    path, first = issue(authority, tmp_path)
    options = ["--port", "0", "--ssl-certfile", str(path), "--workers", processes]
    with nbio(tmp_path, "application:app", *options) as command:
        port = command.port()
        answer, shown = ask(port, client_context(authority))
        assert answer.endswith(b"https")
        assert shown["serialNumber"] == first
        path, second = issue(authority, tmp_path)
        command.signal(signal.SIGHUP)
        for _ in range(2000):
            if ask(port, client_context(authority))[1]["serialNumber"] == second:
                break
        else:
            pytest.fail("the certificate isn't renewed")
        command.signal(signal.SIGTERM)
        assert command.end() == 0


@pytest.mark.parametrize("processes", ["1", "2"])
def test_sighup_renews_the_authorities_too(
    tmp_path: Path, authority: trustme.CA, processes: str
) -> None:
    told = APP.replace("request.scheme", 'f"{request.scheme} {os.getpid()}"')
    (tmp_path / "application.py").write_text(f"import os\n{told}")
    path, _ = issue(authority, tmp_path)
    first, second = trustme.CA(), trustme.CA()
    first.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    before, after = client_context(authority), client_context(authority)
    first.issue_cert("me@example.org").configure_cert(before)
    second.issue_cert("me@example.org").configure_cert(after)
    # In TLS 1.2 a session can be taken up again by who has it, without a certificate.
    before.maximum_version = ssl.TLSVersion.TLSv1_2
    options = ["--ssl-certfile", str(path), "--ssl-ca-certs", str(tmp_path / "ca.pem")]
    options += ["--ssl-client-auth", "required", "--port", "0", "--workers", processes]
    with nbio(tmp_path, "application:app", *options) as command:
        port = command.port()
        old: set[int] = set()
        while len(old) < int(processes):
            old.add(int(ask(port, before)[0].rpartition(b" ")[2]))
        session = shaken(port, before, None)
        assert b"https" not in refused(port, after)
        second.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        command.signal(signal.SIGHUP)
        if processes == "1":
            command.wait_for("reloaded .*server.pem and .*ca.pem")
        else:
            assert all(gone(pid) for pid in old)
        assert b"https" in ask(port, after)[0]
        assert b"https" not in refused(port, before)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            shaken(port, before, session)
        command.signal(signal.SIGTERM)
        assert command.end() == 0


def shaken(
    port: int, context: ssl.SSLContext, session: ssl.SSLSession | None
) -> ssl.SSLSession | None:
    """A handshake, perhaps with an earlier session; the session of this one."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as plain,
        context.wrap_socket(plain, server_hostname="localhost", session=session) as secure,
    ):
        return secure.session


@pytest.mark.parametrize("bad", ["server.pem", "ca.pem"])
def test_what_cannot_be_used_is_not_taken(tmp_path: Path, authority: trustme.CA, bad: str) -> None:
    (tmp_path / "application.py").write_text(APP)
    path, first = issue(authority, tmp_path)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    options = ["--ssl-certfile", str(path), "--ssl-ca-certs", str(tmp_path / "ca.pem")]
    with nbio(tmp_path, "application:app", "--port", "0", *options) as command:
        port = command.port()
        issue(authority, tmp_path)
        (tmp_path / bad).write_text("no certificate")
        command.signal(signal.SIGHUP)
        command.wait_for(f"the certificate in use is kept: .*{bad}")
        assert ask(port, client_context(authority))[1]["serialNumber"] == first


def test_curl_speaks_to_it(tmp_path: Path, authority: trustme.CA) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("no curl")
    (tmp_path / "application.py").write_text(APP)
    path, _ = issue(authority, tmp_path)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with nbio(tmp_path, "application:app", "--port", "0", "--ssl-certfile", str(path)) as command:
        url = f"https://localhost:{command.port()}/"
        run = subprocess.run(
            [curl, "-sv", "--ipv4", "--cacert", "ca.pem", url],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout == "https"
        assert "http/1.1" in run.stderr


def refused(port: int, context: ssl.SSLContext) -> bytes:
    """What comes back over a connection that isn't to be had; the handshake fails late in 1.3."""
    try:
        return ask(port, context)[0]
    except (ssl.SSLError, ConnectionError):
        return b""


async def tells_client(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    tls = scope["extensions"]["tls"]
    text = f"{scope['scheme']} {len(tls['client_cert_chain'])} {tls['tls_version']}"
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": text.encode()})


def test_clients_certificates(tmp_path: Path, authority: trustme.CA) -> None:
    path, _ = issue(authority, tmp_path)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    mine, others = client_context(authority), client_context(authority)
    authority.issue_cert("me@example.org").configure_cert(mine)
    trustme.CA().issue_cert("me@example.org").configure_cert(others)
    options = {"ssl_certfile": str(path), "ssl_ca_certs": str(tmp_path / "ca.pem")}
    with serve(tells_client, **options, ssl_client_auth="required") as served:
        assert ask(served.port, mine)[0].endswith(b"https 1 772")
        for context in (others, client_context(authority)):
            assert b"https" not in refused(served.port, context)
    with serve(tells_client, **options, ssl_client_auth="optional") as served:
        assert ask(served.port, client_context(authority))[0].endswith(b"https 0 772")


async def scheme(request: Request) -> Response:
    return Response(request.scheme)


def test_a_context_of_ones_own_and_alpn(authority: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with serve(scheme, ssl_context=context) as served:
        assert served.url.startswith("https://")
        for target in (b"/", b"https://a/"):
            data = ASK.replace(b"/", target, 1)
            assert ask(served.port, client_context(authority), data)[0].endswith(b"https")


def test_alpn_offers_http_11(tmp_path: Path, authority: trustme.CA) -> None:
    path, _ = issue(authority, tmp_path)
    context = client_context(authority)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        serve(scheme, ssl_certfile=str(path)) as served,
        socket.create_connection(("127.0.0.1", served.port), timeout=TIMEOUT) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        assert secure.selected_alpn_protocol() == "http/1.1"


def test_a_client_that_never_shakes_hands(tmp_path: Path, authority: trustme.CA) -> None:
    path, _ = issue(authority, tmp_path)
    with (
        serve(scheme, ssl_certfile=str(path), ssl_handshake_timeout=0.2) as served,
        socket.create_connection(("127.0.0.1", served.port), timeout=TIMEOUT) as plain,
    ):
        assert plain.recv(1) == b""


def test_a_handshake_under_way_when_the_server_ends(tmp_path: Path, authority: trustme.CA) -> None:
    path, _ = issue(authority, tmp_path)
    with (
        serve(scheme, ssl_certfile=str(path)) as served,
        socket.create_connection(("127.0.0.1", served.port), timeout=TIMEOUT) as plain,
    ):
        # Accepted after it, so the first one is accepted too.
        ask(served.port, client_context(authority))
        begun = threading.Event()

        async def stop() -> int:
            asyncio.get_running_loop().call_soon(begun.set)
            await served.server.stop()
            return served.server.requests

        stopping = asyncio.run_coroutine_threadsafe(stop(), served.loop)
        assert begun.wait(TIMEOUT)
        with client_context(authority).wrap_socket(plain, server_hostname="localhost") as secure:
            secure.sendall(ASK)
            assert secure.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert stopping.result(TIMEOUT) == 2


def test_a_large_upload_and_a_plain_client(tmp_path: Path, authority: trustme.CA) -> None:
    async def size(request: Request) -> Response:
        return Response(b"%d" % len(await request.body.read()))

    path, _ = issue(authority, tmp_path)
    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3000000\r\n\r\n"
    with serve(size, ssl_certfile=str(path)) as served:
        assert ask(served.port, client_context(authority), head + bytes(3_000_000))[0].endswith(
            b"3000000"
        )
        with socket.create_connection(("127.0.0.1", served.port), timeout=TIMEOUT) as plain:
            plain.sendall(ASK)
            assert b"200 OK" not in plain.recv(1000)


def test_a_key_with_a_password(tmp_path: Path, authority: trustme.CA) -> None:
    path, _ = issue(authority, tmp_path)
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    sealed = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (tmp_path / "key.pem").write_bytes(sealed)
    chain, sealed_key = str(path.with_suffix(".crt")), str(tmp_path / "key.pem")
    config = Config(
        port=0, ssl_certfile=chain, ssl_keyfile=sealed_key, ssl_keyfile_password="secret"
    )
    with serve(scheme, config=config) as served:
        assert ask(served.port, client_context(authority))[0].endswith(b"https")
    for password in ("wrong", ""):
        with pytest.raises(TlsError, match="ssl_certfile"):
            make_context(
                Config(ssl_certfile=chain, ssl_keyfile=sealed_key, ssl_keyfile_password=password)
            )


def test_no_certificate_at_all() -> None:
    with pytest.raises(TlsError, match="ssl_certfile"):
        make_context(Config(ssl_certfile="/no/such/file"))
    assert make_context(Config()) is None
