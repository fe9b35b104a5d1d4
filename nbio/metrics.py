"""Counts of a server for Prometheus, added up over its workers, and the port that tells them.

Each worker counts in a slab of numbers of its own, in memory that all of them share (it is mapped
before the first worker is forked): one writer a slab, so nothing is locked. Whichever worker is
asked adds the slabs up. A worker that takes a dead one's place goes on with that one's slab, so
that a counter never falls.
"""

import asyncio
import mmap
from bisect import bisect_left
from collections.abc import Callable
from typing import Final, NamedTuple

from nbio.observing import Outcome
from nbio.pool import PoolStats

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Upper bounds of the histogram of seconds."""


class Metric(NamedTuple):
    """One number of a slab."""

    name: str
    labels: str
    kind: str
    text: str


def _metrics() -> list[Metric]:
    rows = [
        Metric("nbio_requests_total", f'{{status="{n}xx"}}', "counter", "requests by status class")
        for n in range(1, 6)
    ]
    rows.append(Metric("nbio_requests_total", '{status="none"}', "counter", ""))
    seconds = "seconds from a request's head to the end of its response"
    for bound in (*BUCKETS, "+Inf"):
        label = f'{{le="{bound}"}}'
        rows.append(Metric("nbio_request_seconds_bucket", label, "histogram", seconds))
    rows += [
        Metric("nbio_request_seconds_sum", "", "histogram", seconds),
        Metric("nbio_refused_heads_total", "", "counter", "requests refused in their head"),
        Metric("nbio_cut_off_total", "", "counter", "responses that were not completed"),
        Metric("nbio_sent_bytes_total", "", "counter", "bytes of responses, head and body"),
        Metric("nbio_received_bytes_total", "", "counter", "bytes of request bodies"),
        Metric("nbio_connections", "", "gauge", "connections that are open"),
    ]
    bodies, blocks = "nbio_pool_bodies", "nbio_pool_blocks"
    rows += [
        Metric(f"{bodies}_acquired_total", "", "counter", "bodies taken from the pool"),
        Metric(f"{bodies}_released_total", "", "counter", "bodies given back"),
        Metric("nbio_pool_stale_closes_total", "", "counter", "closes after the release"),
        Metric("nbio_pool_double_closes_total", "", "counter", "second closes by a handler"),
        Metric("nbio_pool_leaks_total", "", "counter", "bodies found by the finalizer"),
        Metric(f"{blocks}_acquired_total", "", "counter", "blocks taken from the pool"),
        Metric(f"{blocks}_released_total", "", "counter", "blocks given back"),
        Metric(f"{blocks}_given_up_total", "", "counter", "blocks quarantined: a view was kept"),
        Metric(f"{bodies}_outstanding", "", "gauge", "bodies that are out"),
        Metric(f"{blocks}_outstanding", "", "gauge", "blocks that are out"),
        Metric(f"{blocks}_idle", "", "gauge", "blocks kept for reuse"),
    ]
    return rows


METRICS: Final = _metrics()
_AT: Final = {metric.name + metric.labels: index for index, metric in enumerate(METRICS)}
_HISTOGRAM: Final = _AT['nbio_request_seconds_bucket{le="0.001"}']
_SUM: Final = _AT["nbio_request_seconds_sum"]
_REFUSED: Final = _AT["nbio_refused_heads_total"]
_CUT: Final = _AT["nbio_cut_off_total"]
_SENT: Final = _AT["nbio_sent_bytes_total"]
_RECEIVED: Final = _AT["nbio_received_bytes_total"]
_CONNECTIONS: Final = _AT["nbio_connections"]
_POOL: Final = _AT["nbio_pool_bodies_acquired_total"]
_GAUGES: Final = _AT["nbio_pool_bodies_outstanding"]


class Slabs:
    """The numbers of `count` workers, in memory that forked processes share."""

    def __init__(self, count: int) -> None:
        self._map = mmap.mmap(-1, count * len(METRICS) * 8)
        self._numbers = memoryview(self._map).cast("d")
        self.count = count

    def slab(self, index: int) -> "memoryview[float]":
        """One worker's numbers."""
        return self._numbers[index * len(METRICS) : (index + 1) * len(METRICS)]

    def vacate(self, index: int) -> None:
        """A worker is gone: nothing of it is open or out any more, what it counted stays."""
        slab = self.slab(index)
        for at, metric in enumerate(METRICS):
            if metric.kind == "gauge":
                slab[at] = 0.0

    def total(self) -> list[float]:
        """The numbers of all workers, added up."""
        width = len(METRICS)
        return [sum(self._numbers[at::width].tolist()) for at in range(width)]

    def text(self) -> str:
        """All of them as Prometheus reads it (text format 0.0.4)."""
        lines: list[str] = []
        known: set[str] = set()
        for metric, value in zip(METRICS, self.total(), strict=True):
            family = metric.name
            if metric.kind == "histogram":
                family = "nbio_request_seconds"
            if family not in known:
                known.add(family)
                lines += [f"# HELP {family} {metric.text}", f"# TYPE {family} {metric.kind}"]
            lines.append(f"{metric.name}{metric.labels} {value:.15g}")
            if metric.labels == '{le="+Inf"}':
                lines.append(f"nbio_request_seconds_count {value:.15g}")
        return "\n".join(lines) + "\n"


class Metrics:
    """One worker's counting."""

    def __init__(self, slabs: Slabs, index: int = 0) -> None:
        self.slabs = slabs
        self._slab = slab = slabs.slab(index)
        # The pool counts from nothing; a predecessor in this slab may have counted before.
        self._before = slab[_POOL:_GAUGES].tolist()
        slab[_CONNECTIONS] = 0.0

    def connected(self, count: int) -> None:
        """So many connections are open."""
        self._slab[_CONNECTIONS] = float(count)

    def over(self, outcome: Outcome) -> None:
        """Count a request."""
        slab = self._slab
        slab[_SENT] += outcome.sent
        if outcome.head is None:
            slab[_REFUSED] += 1
            return
        slab[outcome.status // 100 - 1 if 100 <= outcome.status < 600 else 5] += 1
        slab[_RECEIVED] += outcome.received
        if not outcome.complete:
            slab[_CUT] += 1
        slab[_SUM] += outcome.seconds
        # Buckets are cumulative.
        for at in range(_HISTOGRAM + bisect_left(BUCKETS, outcome.seconds), _SUM):
            slab[at] += 1

    def pool(self, stats: PoolStats) -> None:
        """Note what the pool counts."""
        slab, blocks = self._slab, stats.blocks
        now = (
            stats.acquired,
            stats.released,
            stats.stale_closes,
            stats.double_closes,
            stats.leaks,
            blocks.acquired,
            blocks.released,
            blocks.given_up,
        )
        for at, (before, count) in enumerate(zip(self._before, now, strict=True)):
            slab[_POOL + at] = before + count
        slab[_GAUGES] = stats.outstanding
        slab[_GAUGES + 1] = blocks.outstanding
        slab[_GAUGES + 2] = blocks.idle


HEAD_LIMIT: Final = 16384
TIMEOUT: Final = 10.0


class MetricsPort:
    """Answers `GET /metrics` on a listener of its own, one request a connection.

    `refresh` brings this worker's own numbers up to date first.
    """

    def __init__(self, metrics: Metrics, refresh: Callable[[], None]) -> None:
        self._metrics = metrics
        self._refresh = refresh

    def connect(self) -> asyncio.BaseProtocol:
        """Make a connection."""
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(limit=HEAD_LIMIT), self.answer)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            async with asyncio.timeout(TIMEOUT):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._response(head.split(b"\r\n", 1)[0].split(b" ")))
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, OSError):
            pass
        finally:
            writer.close()

    def _response(self, line: list[bytes]) -> bytes:
        if len(line) != 3 or line[0] not in (b"GET", b"HEAD"):
            status, body = b"405 Method Not Allowed\r\nallow: GET, HEAD", b""
        elif line[1].partition(b"?")[0] not in (b"/metrics", b"/"):
            status, body = b"404 Not Found", b"the metrics are at /metrics\n"
        else:
            self._refresh()
            status, body = b"200 OK", self._metrics.slabs.text().encode()
        return (
            b"HTTP/1.1 %b\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n"
            b"content-length: %d\r\nconnection: close\r\n\r\n%b"
        ) % (status, len(body), body if line[:1] != [b"HEAD"] else b"")
