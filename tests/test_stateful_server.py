"""Hypothesis drives a live server over sockets: several clients at once, handlers that misbehave.

Clients send whole requests and parts, pipeline, stall, read a part of a response, end their half,
and vanish by a reset. Real sockets have no order but each connection's own, so the reference says
of each connection what must be answered whatever the others do: every reply in its turn, with the
bytes of its own request; an end only where there was a reason. After each example every connection
is gone, every body and block back.
"""

import asyncio
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from nbio import hub as hub_module
from nbio import protocol
from nbio.hub import Hub
from proofs.lives import Watch
from tests.live import TIMEOUT, Client, Live, _served
from tests.machines import budget
from tests.machines.handlers import HANDLERS, READERS, Notes, answer_of
from tests.machines.messages import BROKEN_HEADS, chunked, content
from tests.machines.reference import Reply, read_replies

pytestmark = [pytest.mark.nbio_unbalanced, pytest.mark.timeout(budget.SECONDS)]

BLOCK, HIGH, LOW = 64, 2, 1
DRAIN = 1000
AFTER = 1500
"""Bytes that a client sends behind a request after which the server may close: of more it would
see neither end nor reset before `linger_timeout`."""
CLIENTS = 4
BROKEN = [head for head in BROKEN_HEADS if b"Length: 201" not in head]
"""This server takes longer bodies."""
OPTIONS: dict[str, Any] = {
    "block_size": BLOCK, "high_water": HIGH, "low_water": LOW, "safety": "off",
    "max_drain": DRAIN, "linger_timeout": 5.0, "max_body": 5000, "max_request_line": 64,
    "max_headers": 6, "max_head": 400, "body_min_bytes": 0,
}  # fmt: skip
PATIENCE = 8.0 if budget.HUNT else TIMEOUT
"""Seconds that anything may take. A planted bug often shows by something that never comes."""
WATCH = Watch()
SEEN: set[str] = set()
EXPECTED = {
    *(f"answered {kind}" for kind in HANDLERS),
    *("refused", "answered to a half-closed", "reset", "closed early", "part of a response"),
}  # fmt: skip


@dataclass
class Sent:
    """One request: where its bytes end in the connection's, and what must be answered."""

    path: str
    kind: str
    body: bytes
    end: int
    status: int = 200
    headless: bool = False
    may_close: bool = False
    """After it the connection may end, or must."""


class Conn:
    """A client, and what it knows of its conversation."""

    def __init__(self, port: int) -> None:
        self.client = Client(port)
        self.client.socket.settimeout(PATIENCE)
        self.requests: list[Sent] = []
        self.data = b""
        self.pushed = 0
        self.out = b""
        self.over = self.ended = False

    def add(self, data: bytes, sent: Sent) -> None:
        self.data += data
        sent.end = len(self.data)
        self.requests.append(sent)

    def push(self, size: int) -> None:
        """Send some more of what there is; a server that has closed may refuse it."""
        part = self.data[self.pushed : self.pushed + size]
        if not part or self.ended or self.over:
            return
        try:
            self.client.send(part)
        except (BrokenPipeError, ConnectionResetError):
            assert self.may_be_over(), "closed without a reason"
            self.over = True
        self.pushed += len(part)

    @property
    def due(self) -> list[Sent]:
        """Requests that were sent whole."""
        return [sent for sent in self.requests if sent.end <= self.pushed]

    def may_be_over(self) -> bool:
        """Whether anything that was sent, in part too, is a reason to close."""
        before = [s for s, e in zip(self.requests, self.starts(), strict=True) if e < self.pushed]
        part = self.pushed not in (0, *(s.end for s in self.requests))
        return any(sent.may_close for sent in before) or (self.ended and part)

    def starts(self) -> list[int]:
        return [0, *(sent.end for sent in self.requests)][: len(self.requests)]

    def replies(self) -> list[Reply]:
        """Those that are here, without the interim ones."""
        heads = [Reply(0, headless=sent.headless) for sent in self.requests]
        found = read_replies(self.out, heads, self.over)
        return [reply for reply in found if reply.status >= 200]

    def receive(self, count: int) -> None:
        """Read until so many replies are here, or the server has closed."""
        while not self.over and sum(reply.whole for reply in self.replies()) < count:
            self.take(65536)

    def take(self, size: int) -> None:
        try:
            data = self.client.socket.recv(size)
        except ConnectionResetError:
            data = b""
        self.out += data
        self.over = self.over or not data

    def check(self) -> None:
        """What is here is right, as far as it goes."""
        for reply, sent in zip(self.replies(), self.requests, strict=False):
            assert reply.status == sent.status or 400 <= -sent.status * reply.status < 510, (
                f"{sent.path}: {reply}"
            )
            expected = answer_of(sent.kind, sent.body)
            if sent.status == 200 and reply.whole:
                assert reply.body == expected, f"{sent.path}: another body"
                SEEN.add(f"answered {sent.kind}")
            elif sent.status == 200:
                assert expected.startswith(reply.body), f"{sent.path}: another body"
            else:
                assert reply.close
                SEEN.add("refused" if sent.status < 0 else f"answered {sent.kind}")


class Service:
    """The server of all examples, and when it is at rest."""

    live: Live
    hub: Hub
    changed = threading.Condition()
    opened = made = 0
    """Connections of clients, and of the server: accepting takes a while."""

    def watch(self) -> None:
        """Be told of each connection that begins, and of each and each request that ends."""
        hub = self.hub
        begin = protocol.Connection.connection_made

        def begun(connection: protocol.Connection, transport: asyncio.Transport) -> None:
            begin(connection, transport)
            with self.changed:
                self.made += 1
                self.changed.notify_all()

        def told(function: Any) -> Any:
            def call(*args: object) -> None:
                function(*args)
                with self.changed:
                    self.changed.notify_all()

            return call

        mock.patch.object(protocol.Connection, "connection_made", begun).start()
        mock.patch.object(hub, "remove", told(hub.remove)).start()
        mock.patch.object(hub, "ended", told(hub.ended)).start()

    def rest(self) -> None:
        """Wait until every connection and every request is over."""
        with self.changed:
            quiet = self.changed.wait_for(self.is_at_rest, PATIENCE)
        assert quiet, f"{self.hub.connections} and {self.hub.running} don't come to an end"

    def is_at_rest(self) -> bool:
        hub = self.hub
        return self.made == self.opened and not hub.connections and not hub.running


SERVICE = Service()
NOTES = Notes()
PATHS = iter(range(1 << 30))


class ServerBesideReference(RuleBasedStateMachine):
    """Up to CLIENTS connections to one server that lives through all examples."""

    @initialize()
    def begin(self) -> None:
        self.conns: list[Conn] = []
        self.gone: list[Conn] = []
        self.first = next(PATHS)
        NOTES.__init__()  # type: ignore[misc]  # what earlier examples noted is forgotten

    def conn(self, n: int) -> Conn:
        """An old connection, or a new one."""
        if n >= len(self.conns) and len(self.conns) < CLIENTS:
            self.conns.append(Conn(SERVICE.live.server.port))
            SERVICE.opened += 1
        return self.conns[n % len(self.conns)]

    # ---------------------------------------------------------------------- what is sent

    @rule(
        n=st.integers(0, CLIENTS - 1),
        kind=st.sampled_from([*HANDLERS, *READERS]),
        size=st.sampled_from((0, 1, 63, 64, 65, 150, 400, 2000)),
        coding=st.sampled_from(("length", "chunked", "expect")),
        cuts=st.lists(st.integers(1, 500), max_size=3),
        now=st.sampled_from((1.0, 1.0, 0.7, 0.3)),
        close=st.sampled_from((False, False, False, True)),
    )
    def request(
        self,
        n: int,
        kind: str,
        size: int,
        coding: str,
        cuts: list[int],
        now: float,
        close: bool,
    ) -> None:
        conn = self.conn(n)
        if len(conn.data) > conn.pushed or conn.ended or len(conn.requests) > 6:
            conn.push(1 << 20)
            return
        lasts = [sent.end for sent in conn.requests if sent.may_close]
        if lasts and len(conn.data) + size - lasts[0] > AFTER:
            return
        body = content(size, next(PATHS) % 26)
        path = f"/{kind}/{next(PATHS)}"
        fields = b"Host: t\r\n" + (b"Connection: close\r\n" if close else b"")
        if coding == "chunked":
            fields += b"Transfer-Encoding: chunked\r\n"
            rest = chunked(body, cuts) + b"0\r\n\r\n"
        else:
            fields += b"Content-Length: %d\r\n" % size
            fields += b"Expect: 100-continue\r\n" if coding == "expect" else b""
            rest = body
        whole = b"POST %b HTTP/1.1\r\n%b\r\n%b" % (path.encode(), fields, rest)
        # Of a body that is waited for before anything is sent a client that expects a 100 is told.
        unread = kind not in READERS and size > DRAIN
        unread = unread or (coding == "expect" and (kind not in READERS or kind == "pieces"))
        sent = Sent(path, kind, body, 0, may_close=close or unread)
        if kind == "crash":
            sent.status, sent.may_close = 500, True
        conn.add(whole, sent)
        conn.push(int(len(whole) * now))

    @rule(n=st.integers(0, CLIENTS - 1), head=st.sampled_from(BROKEN))
    def broken(self, n: int, head: bytes) -> None:
        conn = self.conn(n)
        if any(sent.kind == "broken" for sent in conn.requests):
            return
        path = f"/broken/{next(PATHS)}"
        sent = Sent(path, "broken", b"", 0, status=-1, may_close=True)
        sent.headless = head.startswith(b"HEAD")
        conn.add(head.replace(b"/N", path.encode()), sent)
        conn.push(1 << 20)

    @precondition(lambda self: self.conns)
    @rule(n=st.integers(0, CLIENTS - 1), size=st.sampled_from((1, 40, 200, 1 << 20)))
    def go_on(self, n: int, size: int) -> None:
        self.conn(n % len(self.conns)).push(size)

    @precondition(lambda self: self.conns)
    @rule(n=st.integers(0, CLIENTS - 1))
    def end(self, n: int) -> None:
        """It sends no more, perhaps in the middle."""
        conn = self.conn(n % len(self.conns))
        if not conn.ended and not conn.over:
            conn.ended = True
            try:
                conn.client.end()
            except OSError:
                assert conn.may_be_over(), "closed without a reason"

    @precondition(lambda self: self.conns)
    @rule(n=st.integers(0, CLIENTS - 1))
    def vanish(self, n: int) -> None:
        conn = self.conns.pop(n % len(self.conns))
        conn.client.reset()
        self.gone.append(conn)
        SEEN.add("reset")

    # ------------------------------------------------------------------ what is received

    @precondition(lambda self: self.conns)
    @rule(n=st.integers(0, CLIENTS - 1))
    def receive(self, n: int) -> None:
        """All that is due."""
        conn = self.conn(n % len(self.conns))
        conn.receive(len(conn.due))
        self.judge(conn)

    @precondition(lambda self: self.conns)
    @rule(n=st.integers(0, CLIENTS - 1), size=st.sampled_from((1, 50, 5000)))
    def receive_a_part(self, n: int, size: int) -> None:
        """And leave the rest where it is."""
        # What a rule draws, and which rules there are, may not hang on what came how soon.
        conn = self.conn(n % len(self.conns))
        if not conn.over and len(conn.replies()) < len(conn.due):
            conn.take(size)
            conn.check()
            SEEN.add("part of a response")

    def judge(self, conn: Conn) -> None:
        conn.check()
        whole = [reply for reply in conn.replies() if reply.whole]
        if len(whole) < len(conn.due):
            assert conn.over
            assert conn.may_be_over(), "closed without a reason"
            SEEN.add("closed early")
        if conn.ended and whole:
            SEEN.add("answered to a half-closed")
        for reply, sent in zip(whole, conn.requests, strict=False):
            assert sent.may_close or not reply.close, f"{sent.path} is said to be the last"

    def teardown(self) -> None:
        budget.count("server")
        try:
            for conn in self.conns:
                conn.receive(len(conn.due))
                self.judge(conn)
        finally:
            for conn in self.conns:
                conn.client.socket.close()
            SERVICE.rest()
        SERVICE.live.run(self.settled())
        self.at_rest()

    async def settled(self) -> None:
        """What handlers left comes to its end: its connection has."""
        while NOTES.left:
            # A done task's callback, which takes it out, has its turn only if the loop has.
            await asyncio.wait(NOTES.left)
            await asyncio.sleep(0)

    def at_rest(self) -> None:
        assert NOTES.wrong == []
        sent = {s.path: (s, conn) for conn in (*self.conns, *self.gone) for s in conn.requests}
        for path in NOTES.called:
            assert sent[path][0].status > 0, f"{path} was refused, and reached its handler"
        for path, body in NOTES.whole.items():
            request, conn = sent[path]
            assert body == request.body, f"{path}: the handler has another body"
            assert request.end <= conn.pushed, f"{path}: told of an end that wasn't sent"
        for view, copy in NOTES.kept:
            assert bytes(view) == copy, "a kept view shows other bytes"
        NOTES.kept.clear()
        SERVICE.live.run(self.balanced())
        assert SERVICE.live.trouble == []

    async def balanced(self) -> None:
        SERVICE.hub.return_spare()
        SERVICE.hub.pool.assert_balanced()


TestServerBesideReference = ServerBesideReference.TestCase
TestServerBesideReference.settings = budget.within(250, 20)


@pytest.fixture(scope="module", autouse=True)
def service(told: list[str]) -> Iterator[None]:
    """The server; at the end what was covered is told."""
    logging.getLogger("nbio").setLevel(logging.CRITICAL + 1)
    with (
        mock.patch.object(protocol, "DIRECT", 100),
        mock.patch.object(hub_module, "BodyPool", WATCH.pool),
        _served(Live(NOTES.handle, OPTIONS)) as live,
    ):
        SERVICE.live = live
        hub = live.server._hub
        assert hub is not None
        SERVICE.hub = hub
        SERVICE.watch()
        yield
        mock.patch.stopall()
    logging.getLogger("nbio").setLevel(logging.NOTSET)
    share = WATCH.share(HIGH, LOW)
    missed = sorted(EXPECTED - SEEN)
    told.append(
        f"stateful test of a live server, {budget.BEGUN['server']} examples: {share}; "
        f"{len(EXPECTED & SEEN)} of {len(EXPECTED)} kinds of outcome"
        + (f"; not seen: {', '.join(missed)}" if missed else "")
    )
    budget.demand(share, 30, 50)
