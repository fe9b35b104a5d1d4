"""Runs one case on a connection, and judges what came of it."""

import json
import re
import socket
from collections.abc import Iterable
from typing import Any

from tests.conformance.cases import Answer, Case, get
from tests.conformance.replies import Ended, Replies, Reply

TIMEOUT = 20.0
PROBE = "/probe"
DATE = re.compile(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")


def run(port: int, case: Case, pieces: Iterable[bytes] | None = None) -> None:
    """Send the case, in pieces if so given, and demand its answers. Raises AssertionError."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in [case.data] if pieces is None else pieces:
            sock.sendall(piece)
        if case.fin:
            sock.shutdown(socket.SHUT_WR)
        replies = Replies(sock)
        for number, wanted in enumerate(case.answers):
            head = not isinstance(wanted, int) and bool(wanted.get("head"))
            try:
                reply = replies.next(head=head)
                if reply.status == 100:
                    # May be sent, and needn't once some of the body is here (RFC 9110, 10.1.1).
                    reply = replies.next(head=head)
            except Ended:
                raise AssertionError(f"no answer {number}, but the end") from None
            judge(reply, wanted)
        if case.ends == "closed":
            assert replies.rest() == b"", "nothing but the end"
        else:
            sock.sendall(get(target=PROBE))
            assert json.loads(replies.next().body)["target"] == PROBE


def judge(reply: Reply, wanted: Answer) -> None:
    """Demand that a response is as it must be."""
    if isinstance(wanted, int):
        assert reply.status == wanted, f"{reply.status} {reply.body!r}"
        assert reply.values("connection") == ["close"], "a refusal closes, and says so"
        assert len(reply.values("date")) == 1
        return
    assert reply.status == wanted["status"], f"{reply.status} {reply.body!r}"
    for name, value in wanted.get("has", {}).items():
        assert reply.values(name) == [value], f"{name}: {reply.values(name)}"
    for name in wanted.get("lacks", ()):
        assert not reply.values(name), f"{name}: {reply.values(name)}"
    if "text" in wanted:
        assert reply.body.decode() == wanted["text"]
    if "trailed" in wanted:
        assert reply.trailers == wanted["trailed"]
    if wanted.get("dated"):
        [date] = reply.values("date")
        assert DATE.fullmatch(date), date
    report(reply, {key: value for key, value in wanted.items() if key not in ABOUT_RESPONSES})


ABOUT_RESPONSES = frozenset(["status", "head", "has", "lacks", "text", "trailed", "dated"])


def report(reply: Reply, wanted: dict[str, Any]) -> None:
    """Demand what the application saw."""
    seen = json.loads(reply.body) if wanted else {}
    for key, value in wanted.items():
        assert seen[key] == value, f"{key}: {seen[key]!r}"
