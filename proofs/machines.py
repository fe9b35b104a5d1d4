"""Hypothesis' machines, with more examples than `make test` gives them, and what they covered."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from nbio.verify.engine import Verdict
from proofs.changes import ROOT
from proofs.ledger import Row

SECONDS: Final = 900.0


@dataclass(frozen=True)
class Machine:
    """One of `tests/test_stateful_*.py`, with so many times the examples of `make test`."""

    name: str
    times: float
    claim: str
    not_shown: str


MACHINES: Final = (
    Machine(
        "pool",
        1.5,
        "the real pool is where the model is, by plan and by chance",
        "larger bounds than those of the planned walks; interleavings inside an event",
    ),
    Machine(
        "body",
        2.0,
        "a body gives its readers the bytes it was fed, in every way of reading",
        "threads beside each other; readers that sleep while something else happens",
    ),
    Machine(
        "connection",
        2.5,
        "a connection does what a reference without buffers says of its bytes",
        "ASGI, WSGI, TLS, WebSockets, upgrades, inline handlers, shutdown, exhausted pools; one "
        "connection at a time, bodies of at most 200 bytes",
    ),
    Machine(
        "server",
        3.0,
        "each client of a live server has its own answers, and nothing is left",
        "that an order of threads and sockets that didn't come about would do no harm; time-outs",
    ),
)


def run(machine: Machine) -> Row:
    """Let one machine run."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ran = subprocess.run(
        [*command, f"tests/test_stateful_{machine.name}.py"],
        cwd=ROOT,
        env={**os.environ, "NBIO_MACHINES": str(machine.times)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    lines = ran.stdout.splitlines()
    said = [line for line in lines if line.startswith("stateful test of")]
    verdict = {0: Verdict.CONFIRMED, 1: Verdict.REFUTED}.get(ran.returncode, Verdict.UNKNOWN)
    return Row(
        machine.claim,
        said[-1] if said else "the machine didn't come to its end",
        verdict if said else Verdict.UNKNOWN,
        f"{machine.times:g} times the examples of make test",
        time.perf_counter() - began,
        machine.not_shown,
        tuple(line for line in lines if line.startswith(("E  ", "FAILED", "ERROR")))[:40],
    )


def rows() -> Iterator[Row]:
    """One row a machine."""
    for machine in MACHINES:
        yield run(machine)
