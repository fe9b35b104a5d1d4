"""All servers under all workloads, in one run: `make bench`.

    python -m tests.bench.run [--quick] [--rounds N] [--workloads a,b] [--servers x,y] [--out DIR]

The server is kept to one core, the client to another. Rounds alternate between the servers, so
that a busy neighbour falls on all of them. Run by the environment that has the peers.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench import clients, servers, workloads
from tests.bench.process import cores, free_port, running, usage
from tests.bench.report import write
from tests.bench.servers import Server
from tests.bench.workloads import Bench, Workload

ROOT = Path(__file__).parents[2]
IDLE = 10_000
WARM_UP = 0.3
LIBRARIES = (
    "uvicorn",
    "granian",
    "hypercorn",
    "gunicorn",
    "aiohttp",
    "socketify",
    "websockets",
    "uvloop",
    "httptools",
)


@dataclass
class Cell:
    """What was measured of one server under one workload, a value a round.

    `rate` in requests/s, or bytes/s where CPU time is per GB; `cpu` in microseconds a request, or
    seconds per GB; `faults` per the same; `memory` bytes, the tree's peak; `error` why there is
    nothing.
    """

    rate: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    faults: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    memory: int = 0
    errors: int = 0
    error: str = ""


@dataclass(frozen=True)
class Live:
    """A server that runs."""

    server: Server
    port: int
    pid: int


class Run:
    """One run of the suite."""

    def __init__(self, options: argparse.Namespace, into: Path) -> None:
        self.rounds: int = options.rounds
        self.seconds: float = options.seconds
        self.into = into
        self.server_core, self.client_core = cores()
        self.program = clients.build(into)
        self.cells: dict[str, dict[str, Cell]] = {}

    def workload(self, workload: Workload, chosen: Sequence[Server]) -> None:
        """Measure one workload on each of the servers that have it."""
        cells = self.cells[workload.name] = {}
        wanted = [s for s in chosen if workload.app in s.apps and workload.name not in s.skip]
        if workload.name == "idle":
            for server in wanted:
                self._alone(workload, server, cells)
            return
        with ExitStack() as stack:
            live = [
                started
                for server in wanted
                if (started := self._start(stack, workload, server, cells)) is not None
            ]
            for at in range(self.rounds * workload.weight):
                # Each goes first as often as any other.
                for one in live[at % len(live) :] + live[: at % len(live)]:
                    if not cells[one.server.name].error:
                        self._measure(workload, one, cells[one.server.name])

    def _start(
        self, stack: ExitStack, workload: Workload, server: Server, cells: dict[str, Cell]
    ) -> Live | None:
        """Start a server and warm it up; None, and the reason in its cell, when that fails."""
        cell = cells[server.name] = Cell()
        port = free_port()
        command = servers.command(server, workload.app, port, os.path.dirname(sys.executable))
        places = [str(ROOT)]
        if server.compiled:
            places.insert(0, str(ROOT / "build" / "compiled"))
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(places),
            # Else the source would be found in the working directory.
            "PYTHONSAFEPATH": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        log = self.into / f"{server.name}.log"
        try:
            pid = stack.enter_context(running(command, port, self.server_core, environment, log))
            live = Live(server, port, pid)
            if workload.app == "hello":
                clients.load(self.program, "get", port, self.client_core, 64, WARM_UP)
            else:
                self._ask(workload, live, WARM_UP)
        except (RuntimeError, OSError) as error:
            cell.error = str(error)
            return None
        return live

    def _ask(self, workload: Workload, live: Live, seconds: float) -> clients.Outcome:
        bench = Bench(self.program, live.port, self.client_core, seconds, 0.0)
        if workload.name == "latency":
            most = clients.load(self.program, "get", live.port, self.client_core, 64, seconds)
            bench = Bench(
                self.program,
                live.port,
                self.client_core,
                seconds,
                most.requests / most.seconds / 2,
            )
        return workload.client(bench)

    def _measure(self, workload: Workload, live: Live, cell: Cell) -> None:
        before = usage(live.pid)
        try:
            seen = self._ask(workload, live, self.seconds)
        except RuntimeError as error:
            cell.error = str(error)
            return
        after = usage(live.pid)
        cell.errors += seen.errors
        if not seen.requests or after.cpu < before.cpu:
            cell.error = "the server ended" if seen.requests else "no request was answered"
            return
        cell.memory = after.peak
        size = workload.size if workload.per == "GB" else 1
        cell.rate.append(seen.requests * size / seen.seconds)
        # The CPU time of this one has the search for its half load in it.
        if workload.name == "latency":
            cell.p50.append(seen.p50)
            cell.p99.append(seen.p99)
            return
        units = seen.requests * size / (1e9 if workload.per == "GB" else 1)
        scale = 1 if workload.per == "GB" else 1e6
        cell.cpu.append((after.cpu - before.cpu) / units * scale)
        cell.faults.append((after.faults - before.faults) / units)

    def _alone(self, workload: Workload, server: Server, cells: dict[str, Cell]) -> None:
        """Memory of idle connections: how much the tree grows, divided by their number."""
        with ExitStack() as stack:
            live = self._start(stack, workload, server, cells)
            if live is None:
                return
            cell = cells[server.name]
            try:
                # A loop that frees what it no longer needs does it on its next turns.
                time.sleep(0.5)
                before = usage(live.pid)
                with clients.idle(self.program, live.port, self.client_core, IDLE) as seen:
                    after = usage(live.pid)
                cell.errors += seen.errors
                cell.rate.append((after.memory - before.memory) / IDLE)
                cell.memory = after.peak
            except RuntimeError as error:
                cell.error = str(error)


def machine() -> dict[str, Any]:
    """Date, versions and processor; no name of the machine, no path."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "unknown",
    )
    return {
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": f"{model}, {os.cpu_count()} virtual cores",
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def chosen(text: str, known: dict[str, Any]) -> Iterator[Any]:
    """Entries by their names, all of them for an empty text."""
    for name in text.split(",") if text else known:
        if name not in known:
            raise SystemExit(f"there is no {name!r}, only: {', '.join(known)}")
        yield known[name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="one short round: does all of it run?")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one server in one round")
    parser.add_argument("--workloads", default="", help="names, by commas")
    parser.add_argument("--servers", default="", help="names, by commas")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 0.5
    with tempfile.TemporaryDirectory() as directory:
        run = Run(options, Path(directory))
        these = list(chosen(options.servers, servers.BY_NAME))
        for workload in chosen(options.workloads, workloads.BY_NAME):
            print(f"{workload.name} ...", flush=True)
            run.workload(workload, these)
            for name, cell in run.cells[workload.name].items():
                if cell.error or cell.errors:
                    print(f"  {name}: {cell.error or f'{cell.errors} errors'}", flush=True)
    result = {
        "machine": machine(),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "cells": {
            name: {server: vars(cell) for server, cell in cells.items()}
            for name, cells in run.cells.items()
        },
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.json").write_text(json.dumps(result, indent=1) + "\n")
    raise SystemExit(write(result, options.out))


if __name__ == "__main__":
    main()
