"""Helpers for tests of code that uses nbio: nothing that was acquired may stay out.

`pytest_plugins = ["nbio.testing.plugin"]` in a conftest applies `watch` to every test.
`serve(app)` runs a real server for a block, `client(app)` one without sockets; both are imported
when they are first used.
"""

import gc
import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nbio.errors import PoolImbalance
from nbio.pool import BodyPool

if TYPE_CHECKING:
    from nbio.testing.memory import Answer, MemoryClient, MemoryConnection, client
    from nbio.testing.serving import Served, serve

__all__ = [
    "Answer",
    "MemoryClient",
    "MemoryConnection",
    "Served",
    "balanced",
    "check",
    "client",
    "serve",
    "watch",
]

_HOMES = {
    "Answer": "memory",
    "MemoryClient": "memory",
    "MemoryConnection": "memory",
    "Served": "serving",
    "client": "memory",
    "serve": "serving",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'nbio.testing' has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"nbio.testing.{home}"), name)
    globals()[name] = value
    return value


@contextmanager
def balanced(pool: BodyPool) -> Iterator[BodyPool]:
    """Check at the end of the block that all of the pool's slots and blocks are back.

    Raises PoolImbalance, naming what is out or was leaked and where it was acquired.
    """
    leaks = pool.stats().leaks
    yield pool
    check(pool, leaks)


def check(pool: BodyPool, leaks: int = 0) -> None:
    """Check that a pool is balanced, and that no more than `leaks` had to be mended.

    Raises PoolImbalance.
    """
    # Handles that only a cycle keeps alive would otherwise be found in some later test.
    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        stats = pool.stats()
    pool.assert_balanced()
    if stats.leaks > leaks:
        texts = [str(entry.message) for entry in caught]
        raise PoolImbalance(
            f"{stats.leaks - leaks} bodies were never given back, only found by the finalizer\n"
            + "\n".join(texts)
        )


@contextmanager
def watch() -> Iterator[list[BodyPool]]:
    """Collect every BodyPool made in the block, and check them all at its end."""
    pools: list[BodyPool] = []
    before = BodyPool.on_create
    BodyPool.on_create = pools.append
    try:
        yield pools
    finally:
        BodyPool.on_create = before
    for pool in pools:
        check(pool)
