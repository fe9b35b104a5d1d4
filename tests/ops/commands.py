"""`nbio` as a process, and what it says."""

import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

TIMEOUT = 30.0


class Command:
    """A running `nbio`, and the lines it has written to standard error so far."""

    def __init__(
        self, directory: Path, arguments: tuple[str, ...], pass_fds: tuple[int, ...] = ()
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "nbio", *arguments],
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=pass_fds,
        )
        self.lines: list[str] = []
        self._more = threading.Condition()
        self._over = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._more:
                self.lines.append(line)
                self._more.notify_all()
        with self._more:
            self._over = True
            self._more.notify_all()

    def wait_for(self, pattern: str, count: int = 1) -> list[re.Match[str]]:
        """Wait for so many lines that hold the pattern."""

        def found() -> list[re.Match[str]]:
            return [match for line in self.lines if (match := re.search(pattern, line))]

        with self._more:
            done = self._more.wait_for(lambda: len(found()) >= count or self._over, TIMEOUT)
            assert done and len(found()) >= count, f"no {pattern!r} in {''.join(self.lines)}"  # noqa: PT018
            return found()

    def port(self) -> int:
        return int(self.wait_for(r"https?://[^ :]+:(\d+)")[0][1])

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for the process to end; its exit code."""
        code: int = self.process.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        return code

    def close(self) -> None:
        # Workers, which write to it too, end when their supervisor is gone.
        self._reader.join(TIMEOUT)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def output(self) -> str:
        assert self.process.stdout is not None
        text: str = self.process.stdout.read()
        return text


@contextmanager
def nbio(directory: Path, *arguments: str, pass_fds: tuple[int, ...] = ()) -> Iterator[Command]:
    """Run `nbio arguments` in a directory."""
    command = Command(directory, arguments, pass_fds)
    try:
        yield command
    finally:
        command.process.kill()
        command.process.wait()
        command.close()


def get(port: int, path: str = "/", headers: dict[str, str] | None = None) -> bytes:
    """The body of an answer of 200."""
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        assert response.status == 200
        return response.read()
    finally:
        connection.close()


def raw(address: tuple[str, int] | str, data: bytes) -> bytes:
    """Send bytes, and receive all there is until the server closes."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    if isinstance(address, tuple) and ":" in address[0]:
        family = socket.AF_INET6
    with socket.socket(family) as sock:
        sock.settimeout(TIMEOUT)
        sock.connect(address)
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
        return answer
