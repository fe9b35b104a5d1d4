"""The clients: wrk for GETs, and a small one in C, built here, for everything else."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent

# What a browser sends.
REALISTIC = (
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("Accept-Language", "en-GB,en;q=0.7,de;q=0.3"),
    ("Accept-Encoding", "gzip, deflate, br"),
    ("Referer", "https://example.org/catalogue/page-7?sort=price"),
    ("Cookie", "session=8f14e45fceea167a5a36dedd4bea2543; theme=dark; consent=yes"),
    ("DNT", "1"),
    ("Sec-GPC", "1"),
    ("Upgrade-Insecure-Requests", "1"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-User", "?1"),
    ("Priority", "u=0, i"),
    ("Cache-Control", "no-cache"),
)
"""With Host, which wrk adds, sixteen fields."""


@dataclass(frozen=True)
class Outcome:
    """What a client saw. Latencies in microseconds; 0 where they aren't measured."""

    requests: int
    errors: int
    seconds: float
    p50: float = 0.0
    p99: float = 0.0


class Missing(RuntimeError):
    """A client that isn't on this machine."""


def build(into: Path) -> Path:
    """Compile the C client. Raises Missing without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise Missing("no C compiler, so only GETs can be measured")
    program = into / "load"
    source = str(HERE / "load.c")
    subprocess.run([compiler, "-O2", "-std=gnu11", "-o", str(program), source], check=True)
    return program


def pinned(core: int) -> Callable[[], None]:
    """For a child: stay on one core."""
    return lambda: os.sched_setaffinity(0, [core])


def call(command: Sequence[str], core: int, limit: float) -> str:
    """Run a client to its end. Raises RuntimeError when it fails, or takes too long."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=limit, preexec_fn=pinned(core)
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"no end within {limit:.0f} s") from None
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["the client failed"])[-1])
    return done.stdout


def wrk(
    port: int,
    core: int,
    connections: int,
    seconds: float,
    *,
    headers: bool,
    pipeline: int,
    varied: bool,
) -> Outcome:
    """Closed loop of GETs."""
    program = shutil.which("wrk")
    if program is None:
        raise Missing("no wrk")
    whole = max(1, round(seconds))
    command = [program, "-t1", f"-c{connections}", f"-d{whole}s", "--timeout", "5s"]
    if headers:
        for name, value in REALISTIC:
            command += ["-H", f"{name}: {value}"]
    if pipeline > 1:
        command += ["-s", str(HERE / "pipeline.lua")]
    if varied:
        command += ["-s", str(HERE / "varied.lua")]
    command += [f"http://127.0.0.1:{port}/"]
    if pipeline > 1:
        command += ["--", str(pipeline)]
    return outcome(call(command, core, whole + 20))


def outcome(text: str) -> Outcome:
    """Read what wrk says."""
    match = re.search(r"(\d+) requests in ([0-9.]+)(ms|s|m)", text)
    if match is None:
        raise RuntimeError("wrk said nothing")
    unit = {"ms": 1e-3, "s": 1.0, "m": 60.0}[match[3]]
    errors = sum(
        int(number)
        for line in text.splitlines()
        if "errors" in line or "Non-2xx" in line
        for number in re.findall(r"(?:connect|read|write|timeout|responses:?) (\d+)", line)
    )
    return Outcome(int(match[1]), errors, float(match[2]) * unit)


def command_line(
    program: Path, mode: str, port: int, connections: int, seconds: float, size: int, rate: float
) -> list[str]:
    """How the C client is called."""
    values = (mode, port, connections, seconds, size, rate)
    return [str(program), *map(str, values)]


def load(
    program: Path,
    mode: str,
    port: int,
    core: int,
    connections: int,
    seconds: float,
    size: int = 0,
    rate: float = 0.0,
) -> Outcome:
    """Run the C client."""
    command = command_line(program, mode, port, connections, seconds, size, rate)
    said = json.loads(call(command, core, seconds + 20))
    return Outcome(said["requests"], said["errors"], said["seconds"], said["p50"], said["p99"])


@contextmanager
def idle(program: Path, port: int, core: int, connections: int) -> Iterator[Outcome]:
    """So many connections, each with one request behind it, open until the block ends."""
    command = command_line(program, "idle", port, connections, 0, 0, 0)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=pinned(core)
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError("the client couldn't open them all")
            said = json.loads(line)
            # Once around every server's clock.
            time.sleep(1)
            yield Outcome(said["requests"], said["errors"], said["seconds"])
        finally:
            process.stdin.close()
            process.wait(20)
