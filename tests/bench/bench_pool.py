"""What the pool costs: one body's cycle, beside a bare lock and a standard queue.

    python -m tests.bench.bench_pool

Measured by pyperf, which calibrates, warms up, and takes its values in several processes; by CPU
time, since a neighbour that takes the processor isn't the pool's cost.
"""

import contextlib
import importlib
import platform
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from nbio._lifecycle import COPY
from nbio.blocks import BlockPool
from nbio.pool import BodyPool

DATA = b"x" * 100


def lock_row() -> Callable[[], None]:
    lock = threading.Lock()

    def one() -> None:
        with lock:
            pass

    return one


def queue_row() -> Callable[[], None]:
    items: queue.LifoQueue[object] = queue.LifoQueue()
    items.put(None)

    def one() -> None:
        items.put(items.get())

    return one


def block_row() -> Callable[[], None]:
    pool = BlockPool()

    def one() -> None:
        pool.put(pool.get())

    return one


def cycle_row(pool: BodyPool) -> Callable[[], None]:
    """Acquire, feed, lease, unlease, close with its recycling: the six events alone."""

    def one() -> None:
        body = pool.acquire("POST /bench")
        body.feed(DATA)
        body._lease(COPY)
        body._unlease(len(DATA))
        body.close()

    return one


def request_row(pool: BodyPool) -> Callable[[], None]:
    """What one small upload costs a server: as above with end, read as bytes, and release."""

    def one() -> None:
        body = pool.acquire("POST /bench")
        body.feed(DATA)
        body.finish()
        with contextlib.suppress(StopIteration):
            body.read(65536).send(None)
        body.release()

    return one


def measured(one: Callable[[], None]) -> Callable[[int], float]:
    """CPU seconds of so many operations, the loop's own included."""

    def measure(loops: int) -> float:
        start = time.process_time()
        for _ in range(loops):
            one()
        return time.process_time() - start

    return measure


def main() -> None:
    # Only the environment of the bench has it.
    pyperf: Any = importlib.import_module("pyperf")
    runner = pyperf.Runner(
        program_args=("-m", "tests.bench.bench_pool"), processes=6, values=8, min_time=0.05
    )
    runner.metadata["description"] = f"CPU time an operation, Python {platform.python_version()}"
    rows = {
        "with lock: pass": lock_row(),
        "LifoQueue put(get())": queue_row(),
        "BlockPool put(get())": block_row(),
        "body cycle, off": cycle_row(BodyPool(safety="off")),
        "body cycle, simple": cycle_row(BodyPool(safety="simple")),
        "body cycle, debug": cycle_row(BodyPool(safety="debug")),
        "request, simple": request_row(BodyPool()),
    }
    for name, one in rows.items():
        runner.bench_time_func(name, measured(one))


if __name__ == "__main__":
    main()
