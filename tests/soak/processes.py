"""A server in a process of its own, and what the kernel says about that process."""

import os
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]
PAGE = resource.getpagesize()
TICKS = os.sysconf("SC_CLK_TCK")
WITHOUT_UVLOOP = """
import sys
sys.modules["uvloop"] = None
from nbio.cli import main
sys.exit(main())
"""


class Process:
    """A running `nbio`."""

    def __init__(self, popen: "subprocess.Popen[str]", out: IO[str]) -> None:
        self._popen = popen
        self._out = out
        self.pid = popen.pid
        self.said = ""
        self.port = 0
        while not self.port:
            line = out.readline()
            assert line, f"the server ended: {self.said}"
            self.said += line
            match = re.search(r"serving \w+ on http://127\.0\.0\.1:(\d+)", line)
            if match is not None:
                self.port = int(match[1])

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def memory(self) -> int:
        """Bytes that the process holds and shares with nobody."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        kinds = re.findall(r"^Private_(?:Clean|Dirty):\s+(\d+) kB$", rollup, re.MULTILINE)
        return sum(map(int, kinds)) * 1024

    def cpu(self) -> float:
        """Seconds of processor that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def signal(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def wait(self, timeout: float = 30) -> int:
        """Its exit code, once it has ended."""
        code = self._popen.wait(timeout)
        self.said += self._out.read()
        return code


@contextmanager
def running(
    app: str, *options: str, descriptors: int = 0, plain: bool = False
) -> Iterator[Process]:
    """Run the command line's server on a free port; `plain`: as where there is no uvloop."""

    def limit() -> None:
        if descriptors:
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

    start = ["-c", WITHOUT_UVLOOP] if plain else ["-m", "nbio"]
    command = [sys.executable, *start, app, "--port", "0", *options]
    popen = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=limit,
    )
    out = popen.stdout
    assert out is not None
    try:
        yield Process(popen, out)
    finally:
        with suppress(ProcessLookupError):
            popen.kill()
        popen.wait()
        out.close()
