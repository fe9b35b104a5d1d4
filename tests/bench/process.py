"""What a server's whole process tree uses, from /proc; and processes kept to one core."""

import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")
STARTUP = 15.0


@dataclass(frozen=True)
class Usage:
    """CPU seconds and minor page faults so far, and the tree's memory now, in bytes."""

    cpu: float
    faults: int
    memory: int
    peak: int


def tree(root: int) -> list[int]:
    """The process and all its descendants."""
    found = [root]
    for pid in found:
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                found.extend(int(child) for child in task.read_text().split())
            except OSError:
                continue
    return found


def usage(root: int) -> Usage:
    """Add up the tree. Children that ended are in their parents' figures."""
    cpu = faults = memory = peak = 0
    for pid in tree(root):
        try:
            # The name, in brackets, may hold blanks.
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            status = Path(f"/proc/{pid}/status").read_text()
            shared = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        faults += int(stat[7]) + int(stat[8])
        cpu += sum(int(ticks) for ticks in stat[11:15])
        memory += field(shared, "Pss:")
        peak += field(status, "VmHWM:")
    return Usage(cpu * TICK, faults, memory, peak)


def field(text: str, name: str) -> int:
    """A field of /proc in bytes."""
    for line in text.splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0


def free_port() -> int:
    """A port nobody listens on at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def cores() -> tuple[int, int]:
    """A core for the server and one for the client."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


def start(
    command: Sequence[str], core: int, environment: dict[str, str], log: Path
) -> "subprocess.Popen[bytes]":
    """Start a process on one core, in a session of its own, with its output in `log`."""

    def prepare() -> None:
        os.sched_setaffinity(0, [core])
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    with log.open("wb") as out:
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            preexec_fn=prepare,
            start_new_session=True,
        )


@contextmanager
def running(
    command: Sequence[str], port: int, core: int, environment: dict[str, str], log: Path
) -> Iterator[int]:
    """A server until the end of the block; gives its pid.

    Raises RuntimeError, with what it printed last, when it doesn't listen.
    """
    process = start(command, core, environment, log)
    try:
        wait_for(process, port, log)
        yield process.pid
    finally:
        stop(process)


def wait_for(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    """Wait until somebody listens."""
    give_up = time.monotonic() + STARTUP
    while time.monotonic() < give_up and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    lines = log.read_text(errors="replace").strip().splitlines()
    raise RuntimeError(f"doesn't listen: {lines[-1] if lines else 'no output'}")


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End the session that `start` began, politely, then not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            continue
        if number is signal.SIGKILL:
            break
