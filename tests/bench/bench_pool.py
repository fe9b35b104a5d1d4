"""What the pool costs: one body's cycle, beside a bare lock and a standard queue.

    python tests/bench/bench_pool.py

Each row is the CPU time of one operation: the least and the median over many short rounds,
taken in turn so that a busy neighbour falls on all rows alike.
"""

import argparse
import contextlib
import platform
import queue
import statistics
import threading
import time
from collections.abc import Callable

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


def measure(one: Callable[[], None], loops: int) -> float:
    """CPU nanoseconds an operation, the loop's own included."""
    start = time.process_time_ns()
    for _ in range(loops):
        one()
    return (time.process_time_ns() - start) / loops


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=200)
    options.add_argument("--loops", type=int, default=500)
    chosen = options.parse_args()
    rows = {
        "with lock: pass": lock_row(),
        "LifoQueue put(get())": queue_row(),
        "BlockPool put(get())": block_row(),
        "body cycle, off": cycle_row(BodyPool(safety="off")),
        "body cycle, simple": cycle_row(BodyPool(safety="simple")),
        "body cycle, debug": cycle_row(BodyPool(safety="debug")),
        "request, simple": request_row(BodyPool()),
    }
    times: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(chosen.rounds):
        for name, one in rows.items():
            times[name].append(measure(one, chosen.loops))
    print(f"Python {platform.python_version()}, {platform.machine()}; CPU ns an operation")
    print(f"{'':24}{'least':>8}{'median':>8}")
    for name, found in times.items():
        print(f"{name:24}{min(found):8.0f}{statistics.median(found):8.0f}")


if __name__ == "__main__":
    main()
