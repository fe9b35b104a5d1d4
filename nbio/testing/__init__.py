"""Helpers for tests of code that uses nbio: nothing that was acquired may stay out.

`pytest_plugins = ["nbio.testing.plugin"]` in a conftest applies `watch` to every test.
"""

import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from nbio.errors import PoolImbalance
from nbio.pool import BodyPool


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
