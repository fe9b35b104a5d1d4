"""A counterexample walked on real threads and tasks: to its end, or to the step that is refused."""

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from nbio.verify import replay
from nbio.verify.replay import Move, Outcome, follow
from tests.verify.closers import Pooled, closers, its_trace


@pytest.fixture(autouse=True)
def no_thread_stays_behind() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


@pytest.fixture(scope="module")
def trace() -> list[Move]:
    return its_trace()


# ---------------------------------------------------------------------- followed, refused


def test_threads_walk_the_counterexample_to_its_end(trace: list[Move]) -> None:
    pooled = Pooled()
    outcome = follow(trace, threads=closers(pooled.close))
    assert outcome.complete, outcome
    assert pooled.puts == [m.params["p"] for m in trace if m.action == "put"]
    assert outcome.ends == {"closer 0": "returned", "closer 1": "returned"}


def test_tasks_walk_the_same_counterexample(trace: list[Move]) -> None:
    pooled = Pooled()
    tasks = {f"closer {p}": lambda p=p: pooled.aclose(p) for p in (0, 1)}
    outcome = follow(trace, tasks=tasks)
    assert outcome.complete, outcome
    assert len(pooled.puts) == 2


def test_a_thread_and_a_task_walk_it_together(trace: list[Move]) -> None:
    pooled = Pooled()
    outcome = follow(
        trace,
        threads={"closer 0": lambda: pooled.close(0)},
        tasks={"closer 1": lambda: pooled.aclose(1)},
    )
    assert outcome.complete, outcome
    assert len(pooled.puts) == 2


def test_a_thousand_replays_come_out_the_same(trace: list[Move]) -> None:
    outcomes: list[Outcome] = []
    puts: list[list[int]] = []
    for _ in range(1000):
        pooled = Pooled()
        outcomes.append(follow(trace, threads=closers(pooled.close)))
        puts.append(pooled.puts)
    assert all(o == outcomes[0] for o in outcomes)
    assert all(p == puts[0] for p in puts)
    assert outcomes[0].complete
    assert len(puts[0]) == 2


def test_code_that_was_mended_refuses_and_says_where(trace: list[Move]) -> None:
    pooled = Pooled()
    outcome = follow(trace, threads=closers(pooled.mended))
    assert not outcome.complete
    assert outcome.refusal is not None
    second_load = [m.action for m in trace].index("load", 1) + 1
    first_store = [m.action for m in trace].index("store") + 1
    assert outcome.refusal.step == max(second_load, first_store)
    assert str(outcome.refusal).startswith(
        f"trace no longer possible at step {outcome.refusal.step}: expected closer "
    )
    assert len(pooled.puts) <= 1


def test_a_lock_that_was_added_is_told_with_the_line_that_waits_for_it(trace: list[Move]) -> None:
    pooled, lock = Pooled(), threading.Lock()

    def locked(p: int) -> None:
        with lock:
            pooled.close(p)

    outcome = follow(trace, threads=closers(locked), patience=0.2)
    assert outcome.refusal is not None
    assert "came to no other mark within 0.2 s; it is in " in outcome.refusal.came
    assert f"locked, {__file__}" in outcome.refusal.came
    assert pooled.puts == []
    first, second = (str(m) for m in trace[:2])
    assert sorted(outcome.ends.values()) == [
        f"was stopped at {first.replace('load', 'store')}",
        "was stopped before its marks",
    ], second


def test_an_exception_is_an_end_and_is_collected() -> None:
    def breaks() -> None:
        replay.at("load")
        none: dict[str, int] = {}
        none["key"] += 1

    outcome = follow([Move("load", {}, "a")], threads={"a": breaks})
    assert outcome.complete
    assert outcome.ends == {"a": "raised KeyError: 'key'"}
    assert isinstance(outcome.errors["a"], KeyError)
    assert str(outcome) == "followed all 1 steps\n  a raised KeyError: 'key'"


@pytest.mark.parametrize(
    ("body", "came"),
    [
        (lambda: None, "but a returned"),
        (lambda: 7, "but a returned 7"),
        (lambda: [][0], "but a raised IndexError: list index out of range"),
        (lambda: replay.at("other", x=3), "but a stands at other(x=3)"),
        (lambda: replay.at("wanted", n=2), "but a stands at wanted(n=2)"),
        (lambda: replay.at("wanted"), ""),
    ],
)
def test_what_came_instead_is_told(body: Callable[[], object], came: str) -> None:
    outcome = follow([Move("wanted", {"n": 1}, "a")], threads={"a": body})
    assert (outcome.refusal.came if outcome.refusal else "") == came


# ----------------------------------------------------------------------------- mapping


def test_steps_without_a_thread_are_done_by_the_driver_or_skipped() -> None:
    made: list[str] = []
    steps = [
        Move("get", {"r": 0}, "loop"),
        Move("ghost", {}, "observer"),
        Move("read", {"r": 0}, "handler 0"),
        Move("release", {"r": 0}, "framework"),
    ]

    def request() -> None:
        replay.at("read", r=0)
        made.append("read")
        replay.at("release")
        made.append("release")

    outcome = follow(
        steps,
        threads={"request 0": request},
        party=lambda move: f"request {move.params['r']}",
        does={"get": lambda move: made.append(f"get {move.params['r']}")},
        skip={"ghost"},
    )
    assert outcome.complete, outcome
    assert made == ["get 0", "read", "release"]


def test_what_the_driver_does_may_fail_and_nothing_stays_behind() -> None:
    def fails(move: Move) -> None:
        raise LookupError(str(move))

    steps = [Move("one", {}, "a"), Move("two", {"n": 2})]
    with pytest.raises(LookupError, match=r"two\(n=2\)"):
        follow(steps, threads={"a": lambda: replay.at("one")}, does={"two": fails})


def test_a_party_begins_when_its_first_step_is_due() -> None:
    begun: list[str] = []

    def party(name: str) -> None:
        begun.append(name)
        replay.at("go")
        begun.append(f"{name} went")

    threads = {name: lambda name=name: party(name) for name in "abc"}
    outcome = follow([Move("go", {}, "b"), Move("go", {}, "a")], threads=threads)
    assert begun == ["b", "b went", "a", "a went"]
    assert outcome.ends["c"] == "never began"


def test_the_rest_is_unwound_or_runs_on() -> None:
    def party(seen: list[str]) -> None:
        try:
            replay.at("one")
            replay.at("two")
            seen.append("two")
        finally:
            seen.append("cleaned up")

    stopped: list[str] = []
    outcome = follow([Move("one", {}, "a")], threads={"a": lambda: party(stopped)})
    assert stopped == ["cleaned up"]
    assert outcome.ends == {"a": "was stopped at two()"}
    assert outcome.errors == {}

    finished: list[str] = []
    outcome = follow([Move("one", {}, "a")], threads={"a": lambda: party(finished)}, then="finish")
    assert finished == ["two", "cleaned up"]
    assert outcome.ends == {"a": "returned"}


# ------------------------------------------------------------------- waiting for each other


STEPS = [Move("wait", {}, "reader"), Move("feed", {}, "feeder"), Move("wake", {}, "reader")]


def test_a_thread_that_waits_for_another_is_woken_by_its_step() -> None:
    ready, seen = threading.Condition(), list[str]()

    def reader() -> None:
        replay.at("wait")
        with ready:
            seen.append("waits")
            with replay.blocking():
                ready.wait(20)
        replay.at("wake")
        seen.append("woke")

    def feeder() -> None:
        replay.at("feed")
        with ready:
            seen.append("feeds")
            ready.notify()

    for _ in range(100):
        seen.clear()
        outcome = follow(STEPS, threads={"reader": reader, "feeder": feeder})
        assert outcome.complete, outcome
        assert seen == ["waits", "feeds", "woke"]


def test_a_task_that_waits_for_a_thread_is_woken_by_its_step() -> None:
    seen: list[str] = []
    wakes: list[Callable[[], None]] = []

    async def reader() -> None:
        await replay.reached("wait")
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        wakes.append(lambda: void(loop.call_soon_threadsafe(ready.set)))
        seen.append("waits")
        async with replay.blocking():
            await ready.wait()
        await replay.reached("wake")
        seen.append("woke")

    def feeder() -> None:
        replay.at("feed")
        seen.append("feeds")
        wakes[0]()

    outcome = follow(STEPS, threads={"feeder": feeder}, tasks={"reader": reader})
    assert outcome.complete, outcome
    assert seen == ["waits", "feeds", "woke"]


def void(_: object) -> None:
    """Take a value, give none."""


def test_a_waiter_whom_nobody_wakes_has_refused() -> None:
    async def reader() -> None:
        await replay.reached("wait")
        async with replay.blocking():
            await asyncio.Event().wait()
        await replay.reached("wake")

    steps = [STEPS[0], STEPS[2]]
    outcome = follow(steps, tasks={"reader": reader}, patience=0.1)
    assert str(outcome.refusal) == (
        "trace no longer possible at step 2: expected reader at wake(), but reader came to no "
        "other mark within 0.1 s"
    )
    assert outcome.ends == {"reader": "was stopped after wait()"}


def test_synchronous_code_in_a_task_holds_up_the_others_of_its_loop() -> None:
    async def closer(p: int) -> None:
        Pooled().close(p)

    steps = [Move("load", {"p": 0}, "a"), Move("load", {"p": 1}, "b")]
    tasks = {"a": lambda: closer(0), "b": lambda: closer(1)}
    outcome = follow(steps, tasks=tasks)
    assert outcome.refusal is not None
    assert outcome.refusal.step == 2
    assert outcome.refusal.came == (
        "but a stands at store(p=0) and holds up the event loop that b needs"
    )
    # A thread is not held up.
    threads = {"b": lambda: Pooled().close(1)}
    assert follow(steps, tasks={"a": tasks["a"]}, threads=threads).complete


def test_the_thread_that_a_task_hands_its_work_to_is_the_same_party(trace: list[Move]) -> None:
    pooled = Pooled()
    tasks = {f"closer {p}": lambda p=p: asyncio.to_thread(pooled.close, p) for p in (0, 1)}
    outcome = follow(trace, tasks=tasks)
    assert outcome.complete, outcome
    assert len(pooled.puts) == 2
