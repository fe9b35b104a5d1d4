"""The workloads: what is asked of a server, and what is counted."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.bench.clients import Outcome, load, wrk

KIB = 1024
MIB = 1024 * KIB

Per = Literal["request", "GB"]


@dataclass(frozen=True)
class Bench:
    """What a client needs to know of one measurement."""

    program: Path
    port: int
    core: int
    seconds: float
    rate: float


@dataclass(frozen=True)
class Workload:
    """One row of the table. `app` is the application; `per` what CPU time is divided by."""

    name: str
    title: str
    app: str
    client: Callable[[Bench], Outcome]
    per: Per = "request"
    size: int = 0
    # Of how many rounds the median is taken, times the number asked for.
    weight: int = 1


def gets(
    connections: int, *, headers: bool = False, pipeline: int = 1, varied: bool = False
) -> Callable[[Bench], Outcome]:
    return lambda b: wrk(
        b.port, b.core, connections, b.seconds, headers=headers, pipeline=pipeline, varied=varied
    )


def sends(mode: str, connections: int, size: int) -> Callable[[Bench], Outcome]:
    return lambda b: load(b.program, mode, b.port, b.core, connections, b.seconds, size)


def steady(bench: Bench) -> Outcome:
    """GETs at a constant rate, whatever the server does (open loop)."""
    return load(bench.program, "rate", bench.port, bench.core, 64, bench.seconds, 0, bench.rate)


def nothing(bench: Bench) -> Outcome:
    raise NotImplementedError("idle connections are held, not asked")


WORKLOADS = (
    Workload("get", "GET of 13 bytes, 64 keep-alive connections", "hello", gets(64), weight=2),
    Workload(
        "get-headers", "the same, 16 header fields", "hello", gets(64, headers=True), weight=1
    ),
    Workload(
        "get-varied",
        "the same, no two requests alike in target or fields",
        "hello",
        gets(64, varied=True),
    ),
    Workload("get-pipelined", "the same, pipelined by 16", "hello", gets(64, pipeline=16)),
    Workload(
        "post-1k",
        "POST of 1 KiB, read in full, 64 connections",
        "read",
        sends("post", 64, KIB),
    ),
    Workload(
        "post-64k",
        "POST of 64 KiB, read in full, 16 connections",
        "read",
        sends("post", 16, 64 * KIB),
        "GB",
        64 * KIB,
    ),
    Workload(
        "post-16m",
        "POST of 16 MiB, read in full, 1 connection",
        "read",
        sends("post", 1, 16 * MIB),
        "GB",
        16 * MIB,
    ),
    Workload(
        "count-16m",
        "POST of 16 MiB, counted (native: views), 1 connection",
        "count",
        sends("post", 1, 16 * MIB),
        "GB",
        16 * MIB,
        weight=2,
    ),
    Workload(
        "chunked-16m",
        "the same in chunks of 64 KiB",
        "count",
        sends("chunked", 1, 16 * MIB),
        "GB",
        16 * MIB,
    ),
    Workload(
        "response-16m",
        "GET of 16 MiB, 1 connection",
        "big",
        sends("get", 1, 16 * MIB),
        "GB",
        16 * MIB,
    ),
    Workload(
        "websocket-64", "WebSocket echo of 64 B, 256 connections", "echo", sends("ws", 256, 64)
    ),
    Workload(
        "websocket-64k",
        "WebSocket echo of 64 KiB, 256 connections",
        "echo",
        sends("ws", 256, 64 * KIB),
        "GB",
        64 * KIB,
    ),
    Workload("idle", "10,000 idle connections", "hello", nothing),
    Workload(
        "latency", "GETs at a constant half of the server's own most (open loop)", "hello", steady
    ),
)
BY_NAME = {workload.name: workload for workload in WORKLOADS}
