"""The server as a process: signals in the middle of traffic, stuck handlers, no descriptors."""

import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from nbio.accepting import accept_queued
from tests.conformance.replies import Ended, Replies
from tests.live import Client, get, serving
from tests.soak.apps import hello
from tests.soak.processes import Process, running


class Traffic:
    """A client that asks again and again; what it asked before the signal must be answered."""

    def __init__(self, process: Process, *, keep: bool) -> None:
        self._process = process
        self._keep = keep
        self.answered = 0
        self.lost: list[str] = []
        self.signalled = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            while not self.signalled.is_set():
                with self._process.connect() as sock:
                    self._use(sock)
        except ConnectionRefusedError:
            assert self.signalled.is_set()

    def _use(self, sock: socket.socket) -> None:
        replies = Replies(sock)
        while True:
            sock.sendall(get())
            before = not self.signalled.is_set()
            try:
                reply = replies.next()
            except Ended:
                if before:
                    self.lost.append("a request that was sent before the signal has no answer")
                return
            self.answered += 1
            if reply.values("connection") == ["close"] or not self._keep:
                return


@pytest.mark.parametrize("app", ["hello", "slowly"])
def test_a_signal_in_the_middle_of_traffic_loses_no_request(app: str) -> None:
    with running(f"tests.soak.apps:{app}") as process:
        clients = [Traffic(process, keep=n % 2 == 0) for n in range(12)]
        while min(client.answered for client in clients) < 20:
            assert all(client.thread.is_alive() for client in clients)
        for client in clients:
            client.signalled.set()
        process.signal(signal.SIGTERM)
        for client in clients:
            client.thread.join(20)
        assert [loss for client in clients for loss in client.lost] == []
        assert process.wait() == 0


def test_connections_that_are_still_queued_are_answered() -> None:
    with serving(hello) as live:

        async def stop() -> list[Client]:
            # The kernel accepts them; the loop can't, as it is here.
            clients = [live.client() for _ in range(30)]
            for client in clients:
                client.send(get())
            await live.server.stop()
            return clients

        for client in live.run(stop()):
            with client:
                reply = Replies(client.socket).next()
                assert (reply.body, reply.values("connection")) == (b"hello", ["close"])


class Endless(socket.socket):
    """A socket whose queue gets no shorter: a new client comes for each that is accepted."""

    def __init__(self, family: int) -> None:
        super().__init__(family)
        self.clients: list[socket.socket] = []

    def come(self) -> None:
        client = socket.socket(self.family)
        client.connect(self.getsockname())
        self.clients.append(client)

    def accept(self) -> tuple[socket.socket, Any]:
        self.come()
        return super().accept()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_the_last_ones_are_accepted_and_not_who_comes_after_them(
    family: int, tmp_path: Path
) -> None:
    with Endless(family) as endless:
        endless.bind(("127.0.0.1", 0) if family == socket.AF_INET else str(tmp_path / "a.sock"))
        endless.listen(20)
        endless.setblocking(False)
        for _ in range(5):
            endless.come()
        queued = accept_queued([endless], 20)
        # Of a Unix socket it can't be asked how many there are.
        assert len(queued) == (5 if family == socket.AF_INET else 21)
        for one in (*queued, *endless.clients):
            one.close()


def test_a_request_that_only_the_kernel_knows_is_answered() -> None:
    with serving(hello) as live, live.client() as client, live.client() as idle:
        for one in (client, idle):
            assert one.ask(get()).body == b"hello"

        async def stop() -> None:
            client.send(get())
            await live.server.stop()

        live.run(stop())
        reply = Replies(client.socket).next()
        assert (reply.body, reply.values("connection")) == (b"hello", ["close"])
        assert idle.rest() == b""


def test_a_silent_connection_does_not_hold_the_end_up() -> None:
    with running("tests.soak.apps:hello", "--shutdown-timeout", "30") as process:
        with process.connect() as silent:
            with process.connect() as client:
                client.sendall(get())
                assert Replies(client).next().body == b"hello", "so the silent one is accepted"
            began = time.monotonic()
            process.signal(signal.SIGTERM)
            assert silent.recv(1) == b""
        assert process.wait() == 0
        assert time.monotonic() - began < 10


def test_a_stuck_handler_does_not_keep_the_process() -> None:
    with running("tests.soak.apps:stuck", "--shutdown-timeout", "0.2") as process:
        with process.connect() as client:
            client.sendall(get())
            process.signal(signal.SIGTERM)
            with pytest.raises(Ended):
                Replies(client).next()
        assert process.wait(10) == 0


@pytest.mark.parametrize("plain", [False, True])
def test_no_descriptor_left(plain: bool) -> None:
    """What comes too much is turned away, or waits, without spinning; then it's as before."""
    with running("tests.soak.apps:hello", descriptors=64, plain=plain) as process:
        clients = [process.connect() for _ in range(100)]
        for client in clients:
            client.sendall(get())
        answers = [bool(client.recv(1000)) for client in clients[:40]]
        assert all(answers)
        used = process.cpu()
        # Measures what the server does while nothing happens, so something must be waited for.
        time.sleep(1)
        assert process.cpu() - used < 0.3, "it spins"
        for client in clients:
            client.close()
        # It learns of those ends one by one.
        while not answered(process):
            pass
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
        assert process.said.count("\n") < 10, "it logs without end"


@pytest.mark.parametrize("plain", [False, True])
def test_the_end_comes_without_a_descriptor_left(plain: bool) -> None:
    with running("tests.soak.apps:hello", descriptors=32, plain=plain) as process:
        clients = [process.connect() for _ in range(50)]
        for client in clients:
            client.sendall(get())
        assert clients[0].recv(1000)
        process.signal(signal.SIGTERM)
        for client in clients:
            client.close()
        assert process.wait() == 0
        assert "Traceback" not in process.said


def answered(process: Process) -> bool:
    with process.connect() as client:
        client.sendall(get())
        try:
            return Replies(client).next().body == b"hello"
        except Ended:
            return False
