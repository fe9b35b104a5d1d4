"""What a compiled nbio does in its own way; `make test-compiled` runs this, and the rest too."""

import ast
import gc
import re
import threading
import traceback
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import nbio
from nbio.blocks import BlockPool
from nbio.body import BodyReader
from nbio.errors import BodyClosedError
from nbio.pool import BodyPool
from nbio.sections import OwnedLock
from proofs.histories import record

compiled_only = pytest.mark.skipif(not nbio.compiled, reason="nbio isn't compiled here")

ROUNDS = 2_000
HISTORIES = 500


class Careless:
    """An application's object, in a cycle, that closes its body when it is collected."""

    def __init__(self, body: BodyReader) -> None:
        self.body = body
        self.me = self

    def __del__(self) -> None:
        self.body.close()


@contextmanager
def collecting(threshold: int) -> Iterator[None]:
    """A collection at so few allocations."""
    before = gc.get_threshold()
    gc.set_threshold(threshold)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def test_an_owned_lock_knows_whose_it_is() -> None:
    lock = OwnedLock()
    seen: list[bool] = []
    with lock:
        other = threading.Thread(target=lambda: seen.append(lock.locked()))
        other.start()
        other.join()
        assert lock.locked()
    assert not lock.locked()
    assert seen == [False]


def test_subclasses_of_compiled_classes_are_compiled_too() -> None:
    """Or the class allows others, or is an interface, which anything can have."""
    root = Path(__file__).parent.parent
    modules = set(
        re.findall(r'"(\w+)"', (root / "hatch_build.py").read_text().partition("\n)\n")[0])
    )
    assert {"pool", "protocol", "native"} <= modules
    closed: set[str] = set()
    bases: list[tuple[str, str, str]] = []
    for file in sorted((root / "nbio").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                named = [ast.unparse(base) for base in node.bases]
                bases += [(file.stem, node.name, base) for base in named]
                if file.stem in modules and not node.decorator_list and "Protocol" not in named:
                    closed.add(node.name)
    for module, name, base in bases:
        assert base not in closed or module in modules, (
            f"{module}.{name}: list it in hatch_build.py"
        )


@compiled_only
def test_a_close_by_a_finalizer_that_interrupted_a_section_is_left_to_the_next_drain() -> None:
    pool = BodyPool(BlockPool(16))
    body = pool.acquire("POST /")
    body.feed(b"bytes")
    with pool._lock:
        # As a finalizer would, on this very thread.
        body.close()
        assert not body.closed
        assert pool.drain() == 0
    assert pool.drain() == 1
    assert body.closed
    pool.assert_balanced()


@pytest.mark.parametrize("threshold", [1, 2, 7])
def test_bodies_closed_by_the_collector_at_any_allocation_come_back(threshold: int) -> None:
    pool = BodyPool(BlockPool(16))
    stop = threading.Event()

    def use() -> None:
        while not stop.is_set():
            body = pool.acquire("other")
            body.feed(b"0123456789abcdefghij")
            body.release()

    other = threading.Thread(target=use)
    other.start()
    try:
        with collecting(threshold):
            for number in range(ROUNDS // 10):
                careless = pool.acquire(f"careless {number}")
                careless.feed(b"x")
                Careless(careless)
                del careless
                body = pool.acquire("plain")
                body.feed(b"0123456789abcdefghij")
                body.finish()
                assert body.read_blocking() == b"0123456789abcdefghij"
                body.release()
    finally:
        stop.set()
        other.join()
    gc.collect()
    pool.assert_balanced()
    assert pool.stats().leaks == 0


@compiled_only
@pytest.mark.nbio_unbalanced
def test_histories_of_the_compiled_pool_are_linearizable() -> None:
    """Each ends with a balanced pool, which `record` sees to."""
    seen = record(HISTORIES)
    assert seen.told == ""
    assert seen.histories == HISTORIES


@compiled_only
def test_what_applications_do_with_our_objects_still_works() -> None:
    class Json(nbio.Response):
        pass

    assert Json(b"{}", media_type="application/json").status == 200
    pool = BodyPool(BlockPool(16))
    body = pool.acquire("POST /")
    watch = weakref.ref(body)
    body.close()
    with pytest.raises(BodyClosedError) as caught:
        body.read_blocking()
    told = "".join(traceback.format_exception(caught.value))
    assert "nbio/body.py" in told
    del body, caught
    gc.collect()
    assert watch() is None
