"""Prometheus' numbers: read by its own parser, true, and added up over workers."""

import contextlib
import os
import signal
import socket
import time
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from websockets.sync.client import connect

from nbio import Request, Response
from nbio.asgi import Receive, Scope, Send
from nbio.exchange import Peer
from nbio.heads import RequestHead
from nbio.metrics import Metrics, Slabs
from nbio.observing import Outcome
from nbio.testing import serve
from tests.ops.commands import TIMEOUT, get, nbio, raw
from tests.ops.test_workers import gone, pids

APP = """
import os
from nbio import Request, Response

async def app(request: Request) -> Response:
    await request.body.read()
    return Response(f"{os.getpid()}")
"""
POST = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"


def scraped(port: int) -> dict[str, float]:
    """The numbers by name and label, through Prometheus' own parser."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(get(port, "/metrics").decode()):
        assert family.documentation
        for sample in family.samples:
            label = ",".join(f"{key}={value}" for key, value in sample.labels.items())
            found[f"{sample.name}{{{label}}}" if label else sample.name] = sample.value
    return found


def eventually(port: int, name: str, value: float) -> dict[str, float]:
    """Scrape until a number has a value: other workers' come a moment later."""
    end = time.monotonic() + TIMEOUT
    numbers = scraped(port)
    while numbers[name] != value and time.monotonic() < end:
        numbers = scraped(port)
    assert numbers[name] == value
    return numbers


def test_the_numbers_add_up_over_workers_and_their_successors(tmp_path: Path) -> None:
    (tmp_path / "application.py").write_text(APP)
    options = ["--port", "0", "--workers", "2", "--metrics-bind", "127.0.0.1:0"]
    with nbio(tmp_path, "application:app", *options) as command:
        line = command.wait_for(
            r"serving on http://127.0.0.1:(\d+), http://127.0.0.1:(\d+)/metrics with 2"
        )[0]
        port, metrics = int(line[1]), int(line[2])
        asked = 0
        seen: set[int] = set()
        while len(seen) < 2:
            seen.add(int(raw(("127.0.0.1", port), POST).rpartition(b"\r\n")[2]))
            asked += 1
        numbers = eventually(metrics, "nbio_requests_total{status=2xx}", asked)
        assert numbers["nbio_request_seconds_count"] == asked
        assert numbers["nbio_request_seconds_bucket{le=+Inf}"] == asked
        assert numbers["nbio_received_bytes_total"] == 5 * asked
        eventually(metrics, "nbio_pool_bodies_acquired_total", asked)
        numbers = eventually(metrics, "nbio_pool_bodies_released_total", asked)
        assert numbers["nbio_pool_bodies_outstanding"] == 0
        # Counters outlive the worker that counted.
        for victim in seen:
            os.kill(victim, signal.SIGKILL)
            assert gone(victim)
        command.wait_for("ended by signal 9", 2)
        pids(port, 2)
        numbers = scraped(metrics)
        assert numbers["nbio_requests_total{status=2xx}"] >= asked + 2
        command.signal(signal.SIGTERM)
        assert command.end() == 0


def test_connections_of_a_killed_worker_are_not_counted_for_ever() -> None:
    slabs = Slabs(2)
    first, second = Metrics(slabs, 0), Metrics(slabs, 1)
    first.connected(7)
    second.connected(2)
    outcome = Outcome(RequestHead("GET", b"/", b"", "1.1", []), Peer(None, None))
    outcome.status = 204
    first.over(outcome)
    slabs.vacate(0)
    lines = slabs.text().splitlines()
    assert "nbio_connections 2" in lines
    assert 'nbio_requests_total{status="2xx"} 1' in lines


def test_the_end_of_a_websocket_is_counted_without_another_event() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    with serve(app, metrics_bind="127.0.0.1:0", lifespan="off") as served:
        metrics = int(served.server.metrics_urls[0].rpartition(":")[2])
        with connect(f"ws://127.0.0.1:{served.port}", proxy=None, open_timeout=TIMEOUT):
            assert scraped(metrics)["nbio_connections"] == 1
        eventually(metrics, "nbio_connections", 0)


DIES = """
import asyncio, os
from nbio import Request, Response

async def app(request: Request) -> Response:
    if request.path == "/forever":
        await request.body.read(1)
        await asyncio.Event().wait()
    return Response(f"{os.getpid()}")
"""


def test_what_a_leaving_worker_held_when_it_died_is_not_out_for_ever(tmp_path: Path) -> None:
    """Nobody takes its slab over then: its successor started before, in another one."""
    (tmp_path / "application.py").write_text(DIES)
    options = ["--port", "0", "--workers", "2", "--metrics-bind", "127.0.0.1:0"]
    with nbio(tmp_path, "application:app", *options, "--shutdown-timeout", "600") as command:
        line = command.wait_for(
            r"serving on http://127.0.0.1:(\d+), http://127.0.0.1:(\d+)/metrics with 2"
        )[0]
        port, metrics = int(line[1]), int(line[2])
        before = pids(port, 2)
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as held:
            held.sendall(POST.replace(b" / ", b" /forever "))
            eventually(metrics, "nbio_pool_bodies_outstanding", 1)
            command.signal(signal.SIGHUP)
            after: set[int] = set()
            while len(after) < 2:
                after |= {int(get(port))} - before
            # Its last requests are the one that it holds: that one waits, the other has ended.
            eventually(metrics, "nbio_pool_bodies_outstanding", 1)
            for pid in before:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            assert held.recv(1) == b""
            eventually(metrics, "nbio_pool_bodies_outstanding", 0)
            numbers = eventually(metrics, "nbio_connections", 0)
            assert numbers["nbio_pool_bodies_acquired_total"] == 1


def test_every_kind_of_end(tmp_path: Path) -> None:
    async def app(request: Request) -> Response:
        if request.path == "/fails":
            raise ValueError("on purpose")
        return Response(status=int(request.path[1:]))

    with serve(app, metrics_bind="127.0.0.1:0") as served:
        for target in ("204", "301", "404", "fails"):
            head = f"GET /{target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            raw((served.host, served.port), head.encode())
        raw((served.host, served.port), b"GET / HTTP/3.0\r\n\r\n")
        metrics = int(served.server.metrics_urls[0].rpartition(":")[2])
        numbers = scraped(metrics)
        for status in ("2xx", "3xx", "4xx", "5xx"):
            assert numbers[f"nbio_requests_total{{status={status}}}"] == 1
        assert numbers["nbio_refused_heads_total"] == 1
        assert numbers["nbio_cut_off_total"] == 0
        answer = raw((served.host, metrics), b"PUT / HTTP/1.1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 405 ")
        answer = raw((served.host, metrics), b"GET /x HTTP/1.1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 404 ")
