"""Wing and Gong's search: small histories whose answer is known, and all small ones by hand."""

import itertools
import threading
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbio.verify.linearize import PENDING, Call, Recorder, linearize


def register(state: int, call: Call) -> Iterable[tuple[object, int]]:
    if call.name == "write":
        (value,) = call.args
        assert isinstance(value, int)
        yield None, value
    else:
        yield state, state


def write(value: int, began: int, ended: int, answer: object = None) -> Call:
    return Call(0, "write", (value,), answer, began, ended)


def read(answer: object, began: int, ended: int) -> Call:
    return Call(1, "read", (), answer, began, ended)


def test_overlapping_calls_may_come_in_either_order() -> None:
    for seen in (0, 1):
        found = linearize([write(1, 0, 3), read(seen, 1, 2)], register, 0)
        assert found.order is not None
        assert [c.name for c in found.order] == (
            ["read", "write"] if seen == 0 else ["write", "read"]
        )


def test_a_call_that_returned_comes_first() -> None:
    found = linearize([write(1, 0, 1), read(0, 2, 3)], register, 0)
    assert found.order is None
    assert [c.name for c in found.longest] == ["write"]
    assert "none of these can come next:\n  thread 1: read() -> 0" in str(found)


def test_new_and_then_old_is_no_order() -> None:
    history = [write(1, 0, 9), read(1, 1, 2), read(0, 3, 4)]
    assert linearize(history, register, 0).order is None


def test_a_pending_call_may_have_happened_or_not() -> None:
    for seen in (0, 1):
        history = [write(1, 0, 1, PENDING), read(seen, 2, 3)]
        assert linearize(history, register, 0).order is not None


def test_the_search_says_when_it_is_too_long() -> None:
    history = [write(i, 0, 100 + i) for i in range(12)] + [read(99, 200, 201)]
    with pytest.raises(OverflowError, match="more than 1,000 calls"):
        linearize(history, register, 0, most=1_000)


def by_hand(history: Sequence[Call]) -> bool:
    """Every order is tried."""
    for order in itertools.permutations(history):
        if any(b.ended < a.began for a, b in itertools.combinations(order, 2)):
            continue
        state, fits = 0, True
        for call in order:
            ((answer, state),) = register(state, call)
            fits = fits and answer == call.answer
        if fits:
            return True
    return False


@st.composite
def histories(draw: st.DrawFn) -> list[Call]:
    moments = draw(st.permutations(range(8)))
    calls = []
    for i in range(4):
        began, ended = sorted(moments[2 * i : 2 * i + 2])
        if draw(st.booleans()):
            calls.append(write(draw(st.integers(0, 1)), began, ended))
        else:
            calls.append(read(draw(st.integers(0, 1)), began, ended))
    return calls


@settings(max_examples=200, deadline=None)
@given(histories())
def test_it_agrees_with_trying_every_order(history: list[Call]) -> None:
    assert (linearize(history, register, 0).order is not None) == by_hand(history)


class Cell:
    """A counter whose step is two."""

    def __init__(self) -> None:
        self.value = 0
        self.inside = threading.Barrier(2)

    def add(self) -> int:
        before = self.value
        self.inside.wait()
        self.value = before + 1
        return before


def counter(state: int, call: Call) -> Iterable[tuple[object, int]]:
    yield state, state + 1


def test_a_lost_update_of_real_threads_is_found() -> None:
    cell, recorder = Cell(), Recorder()
    threads = [threading.Thread(target=recorder.call, args=(n, "add", cell.add)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [c.answer for c in recorder.history()] == [0, 0]
    assert linearize(recorder.history(), counter, 0).order is None


def test_what_is_raised_is_an_answer() -> None:
    recorder = Recorder()
    with pytest.raises(ZeroDivisionError):
        recorder.call(0, "divide", lambda: 1 // 0)
    assert [c.answer for c in recorder.history()] == [ZeroDivisionError]
