"""Several processes: shared sockets, restarts, and an end that comes."""

import http.client
import os
import select
import signal
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.ops.commands import TIMEOUT, Command, get, nbio

APP = """
import asyncio, os, time
from nbio import Request, Response

VERSION = 1

async def app(request: Request) -> Response:
    if request.path == "/slow":
        await asyncio.sleep(0.2)
    if request.path == "/forever":
        open("reached", "w").close()
        await asyncio.Event().wait()
    if request.path == "/version":
        return Response(f"{VERSION}")
    return Response(f"{os.getpid()}")

def stuck(request: Request) -> Response:
    open("reached", "w").close()
    time.sleep(1000)

async def to_thread(request: Request) -> Response:
    await asyncio.to_thread(stuck, request)
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "application.py").write_text(APP, encoding="utf-8")
    # Whoever opens it at one end waits for the other.
    os.mkfifo(tmp_path / "reached")
    return tmp_path


def pids(port: int, count: int) -> set[int]:
    """The processes that answer, once as many as there are to be have done so."""
    found: set[int] = set()
    end = time.monotonic() + TIMEOUT
    while len(found) < count and time.monotonic() < end:
        found.add(int(get(port)))
    assert len(found) == count
    return found


def gone(pid: int) -> bool:
    """Wait until a process has ended."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(TIMEOUT * 1000))
    finally:
        os.close(fd)


def until(path: Path) -> None:
    """Wait until a process opens this end's other one."""
    with path.open("rb"):
        pass


def workers(*more: str) -> tuple[str, ...]:
    return ("application:app", "--port", "0", "--workers", "2", *more)


def started(command: Command) -> int:
    return int(command.wait_for(r"http://127.0.0.1:(\d+) with 2 workers")[0][1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_two_workers_share_a_socket_and_end(directory: Path, number: signal.Signals) -> None:
    with nbio(directory, *workers()) as command:
        both = pids(started(command), 2)
        assert command.process.pid not in both
        command.signal(number)
        assert command.end() == 0
        assert all(gone(pid) for pid in both)


class Load:
    """Clients that ask on and on, each request on a connection of its own, and what came of it."""

    def __init__(self, port: int, path: str = "/", clients: int = 4) -> None:
        self.answers: Counter[str] = Counter()
        self._port = port
        self._path = path
        self._stop = threading.Event()
        self._more = threading.Condition()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(clients)]
        self.clients = clients
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        while not self._stop.is_set():
            try:
                get(self._port, self._path)
                word = "ok"
            except (OSError, http.client.HTTPException, AssertionError) as error:
                word = type(error).__name__
            with self._more:
                self.answers[word] += 1
                self._more.notify_all()

    def until(self, more: int) -> None:
        """Wait for so many more good answers."""
        with self._more:
            enough = self.answers["ok"] + more
            assert self._more.wait_for(lambda: self.answers["ok"] >= enough, TIMEOUT)

    def end(self) -> Counter[str]:
        self._stop.set()
        for thread in self._threads:
            thread.join(TIMEOUT)
            assert not thread.is_alive()
        return self.answers


def test_a_killed_worker_under_load_loses_what_it_ran_and_is_replaced(directory: Path) -> None:
    with nbio(directory, *workers()) as command:
        port = started(command)
        both = pids(port, 2)
        load = Load(port, "/slow", clients=8)
        load.until(8)
        victim = both.pop()
        os.kill(victim, signal.SIGKILL)
        command.wait_for(f"worker {victim} ended by signal 9")
        load.until(16)
        answers = load.end()
        assert answers.pop("ok") >= 24
        # A client has one request at a time: more can't have been running.
        assert answers.total() <= load.clients
        assert victim not in pids(port, 2)


def test_sighup_replaces_the_workers_and_loses_nothing(directory: Path) -> None:
    with nbio(directory, *workers()) as command:
        port = started(command)
        before = pids(port, 2)
        load = Load(port)
        (directory / "application.py").write_text(APP.replace("VERSION = 1", "VERSION = 22"))
        command.signal(signal.SIGHUP)
        assert all(gone(pid) for pid in before)
        assert get(port, "/version") == b"22"
        answers = load.end()
        assert set(answers) == {"ok"}, answers
        assert not pids(port, 2) & before
        command.signal(signal.SIGTERM)
        assert command.end() == 0


SECOND_WAITS = """
import os
try:
    os.mkdir("first")
except FileExistsError:
    open("reached", "w").close()
    open("go").close()
"""


def test_one_is_replaced_after_the_other(directory: Path) -> None:
    """An old one serves on while the second replacement starts."""
    os.mkfifo(directory / "go")
    with nbio(directory, *workers()) as command:
        port = started(command)
        before = pids(port, 2)
        (directory / "application.py").write_text(SECOND_WAITS + APP)
        command.signal(signal.SIGHUP)
        until(directory / "reached")
        old, new = sorted(pids(port, 2), key=before.__contains__, reverse=True)
        assert (old in before, new in before) == (True, False)
        assert gone(next(iter(before - {old})))
        with (directory / "go").open("wb"):
            pass
        assert gone(old)
        assert not pids(port, 2) & before


def test_a_replacement_that_fails_leaves_the_workers_that_run(directory: Path) -> None:
    with nbio(directory, *workers()) as command:
        port = started(command)
        before = pids(port, 2)
        (directory / "application.py").write_text("not python")
        command.signal(signal.SIGHUP)
        command.wait_for("the workers that run are kept")
        assert pids(port, 2) == before
        (directory / "application.py").write_text(APP)
        command.signal(signal.SIGHUP)
        assert all(gone(pid) for pid in before)
        assert not pids(port, 2) & before


def test_workers_that_have_served_enough_are_replaced(directory: Path) -> None:
    options = ["--max-requests", "20", "--max-requests-jitter", "10"]
    with nbio(directory, *workers(*options)) as command:
        port = started(command)
        seen: set[bytes] = set()
        end = time.monotonic() + TIMEOUT
        while len(seen) < 5 and time.monotonic() < end:
            seen.add(get(port))
        assert len(seen) >= 5
        command.signal(signal.SIGTERM)
        assert command.end() == 0
        assert not [line for line in command.lines if "ERROR" in line]


@pytest.mark.parametrize(
    ("application", "code", "words"),
    [
        ("nowhere:app", 2, "no module 'nowhere'"),
        ("application:nothing", 2, "no attribute 'nothing'"),
    ],
)
def test_workers_that_cannot_start_end_it_all(
    directory: Path, application: str, code: int, words: str
) -> None:
    with nbio(directory, application, "--port", "0", "--workers", "2") as command:
        assert command.end() == code
        command.wait_for(f"nbio: error: .*{words}")


def test_a_bind_that_cannot_be_had_is_said_once(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        options = ["--port", port, "--workers", "2"]
        with nbio(directory, "application:app", *options) as command:
            assert command.end() == 1
            [line] = command.lines
            assert port in line


def test_a_worker_that_always_dies_is_not_started_without_end(directory: Path) -> None:
    with nbio(directory, *workers()) as command:
        port = started(command)
        (directory / "application.py").write_text("import os; os._exit(3)")
        for pid in pids(port, 2):
            os.kill(pid, signal.SIGKILL)
        begun = time.monotonic()
        # Two at a time; after the first the waits are 0.1, 0.2, 0.4 and 0.8 seconds.
        command.wait_for("ended with code 3", 10)
        assert time.monotonic() - begun > 1.5
        (directory / "application.py").write_text(APP)
        # Whoever sends it has mended something.
        command.signal(signal.SIGHUP)
        pids(port, 2)
        command.signal(signal.SIGTERM)
        assert command.end() == 0


def test_workers_end_when_their_supervisor_is_killed(directory: Path) -> None:
    with nbio(directory, *workers()) as command:
        both = pids(started(command), 2)
        command.process.kill()
        assert all(gone(pid) for pid in both)


def test_the_second_signal_does_not_wait(directory: Path) -> None:
    with nbio(directory, *workers("--shutdown-timeout", "600")) as command:
        port = started(command)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        connection.request("GET", "/forever")
        until(directory / "reached")
        command.signal(signal.SIGTERM)
        # Another one, since two of a kind may be delivered as one.
        command.signal(signal.SIGINT)
        assert command.end() == 0
        connection.close()
        assert not [line for line in command.lines if "is killed" in line]


@pytest.mark.parametrize("how", ["stuck", "to_thread"])
@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_stuck_thread_does_not_keep_it_from_ending(
    directory: Path, how: str, processes: str
) -> None:
    options = ["--port", "0", "--workers", processes, "--shutdown-timeout", "0.2"]
    with nbio(directory, f"application:{how}", *options) as command:
        port = command.port()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        connection.request("GET", "/")
        until(directory / "reached")
        begun = time.monotonic()
        command.signal(signal.SIGTERM)
        assert command.end() == 0
        assert time.monotonic() - begun < 15
        connection.close()
