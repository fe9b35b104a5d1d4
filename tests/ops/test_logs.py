"""The access log and request ids: what is told of a request, and that nobody can forge it."""

import json
import logging
import re
from collections.abc import Iterator

import pytest

from nbio import Request, Response
from nbio.access import ATOMS, compiled
from nbio.testing import Served, serve
from tests.ops.commands import raw


async def app(request: Request) -> Response:
    if request.path == "/fails":
        raise ValueError("on purpose")
    if request.path == "/id":
        return Response(request.headers.get("x-request-id") or "none")
    return Response(await request.body.read(), status=201, headers=[("X-Out", "1")])


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """The lines of the access log."""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = Lines()
    access = logging.getLogger("nbio.access")
    access.addHandler(handler)
    access.setLevel(logging.INFO)
    yield lines
    access.removeHandler(handler)


def ask(served: Served, target: str, *fields: str, method: str = "GET", body: bytes = b"") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: a", "Connection: close", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return raw((served.host, served.port), head + body)


def test_the_combined_format(logged: list[str]) -> None:
    with serve(app, access_log=True) as served:
        ask(
            served,
            "/a?b=c",
            "User-Agent: test/1",
            "Referer: http://there/",
            "Authorization: Basic am9lOnNlY3JldA==",
            method="POST",
            body=b"12345",
        )
    [line] = logged
    assert re.fullmatch(
        r"127\.0\.0\.1 - joe \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "
        r'"POST /a\?b=c HTTP/1\.1" 201 5 "http://there/" "test/1"',
        line,
    )


def test_every_atom(logged: list[str]) -> None:
    form = "|".join(f"{name}=%({name})s" for name in ATOMS) + "|%({user-agent}i)s|%({X-Out}o)s|%%"
    with serve(app, access_log=True, access_format=form) as served:
        answer = ask(served, "/x?y", "User-Agent: me", method="PUT", body=b"abc")
    [line] = logged
    *atoms, agent, out, percent = line.split("|")
    told = dict(part.split("=", 1) for part in atoms)
    assert (agent, out, percent) == ("me", "1", "%")
    assert told["m"] == "PUT"
    assert (told["U"], told["q"], told["s"]) == ("/x", "y", "201")
    assert (told["I"], told["c"], told["S"]) == ("3", "+", "http")
    assert (told["b"], told["B"], told["O"]) == ("3", "3", str(len(answer)))
    assert 0 <= float(told["L"]) < 30


@pytest.mark.parametrize("form", ["%(nothing)s", "%(h", "%(h)d"])
def test_what_is_no_format(form: str) -> None:
    with pytest.raises(ValueError, match="access_format"):
        compiled(form)


def test_nobody_can_write_a_line_of_their_own(logged: list[str]) -> None:
    with serve(app, access_log=True) as served:
        ask(served, "/", 'User-Agent: x" 200 "\\\t\x80\xff')
        ask(served, "/%0d%0aGET")
    assert logged[0].endswith('"x\\x22 200 \\x22\\x5c\\x09\\x80\\xff"')
    assert '"GET /%0d%0aGET HTTP/1.1"' in logged[1]
    assert all("\n" not in line and "\r" not in line for line in logged)


def test_lines_of_json(logged: list[str]) -> None:
    with serve(app, access_log=True, access_format="json", request_ids=True) as served:
        ask(served, "/a?b", method="POST", body=b"1234")
        ask(served, "/fails")
        raw((served.host, served.port), b"GET / HTTP/1.1\r\nHost : a\r\n\r\n")
    first, failed, refused = map(json.loads, logged)
    assert (first["method"], first["target"], first["status"]) == ("POST", "/a?b", 201)
    assert (first["received"], first["complete"], first["client"]) == (4, True, "127.0.0.1")
    assert re.fullmatch("[0-9a-f]{32}", first["id"])
    assert failed["status"] == 500
    assert (refused["status"], refused["method"]) == (400, None)


def test_request_ids_are_made_told_and_taken_from_trusted_proxies_only() -> None:
    fields = ["X-Request-ID: given-1"]
    with serve(app, request_ids=True) as served:
        head, _, body = ask(served, "/id", *fields).partition(b"\r\n\r\n")
        assert re.fullmatch(b"[0-9a-f]{32}", body)
        assert b"x-request-id: " + body in head
        assert ask(served, "/id").partition(b"\r\n\r\n")[2] != body
    with serve(app, request_ids=True, trusted_proxies=("127.0.0.1",)) as served:
        head, _, body = ask(served, "/id", *fields).partition(b"\r\n\r\n")
        assert body == b"given-1"
        assert b"x-request-id: given-1" in head
        # What could be mistaken for something else isn't taken.
        odd = ask(served, "/id", "X-Request-ID: a b").partition(b"\r\n\r\n")[2]
        assert re.fullmatch(b"[0-9a-f]{32}", odd)
    with serve(app) as served:
        head, _, body = ask(served, "/id").partition(b"\r\n\r\n")
        assert body == b"none"
        assert b"x-request-id" not in head


def test_without_observers_connections_are_plain() -> None:
    with serve(app) as served:
        assert served.run(kinds(served)) == {"Connection"}
    with serve(app, access_log=True) as served:
        assert served.run(kinds(served)) == {"Observed"}


async def kinds(served: Served) -> set[str]:
    return {type(served.server.connection()).__name__}
