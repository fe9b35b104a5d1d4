"""What a replay refuses: parties, marks and names that can't be meant, threads that won't end."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from nbio.verify import replay
from nbio.verify.marks import Abandoned
from nbio.verify.replay import Move, ReplayError, follow
from tests.verify.closers import Pooled, its_trace, two_closers


@pytest.fixture(autouse=True)
def no_thread_stays_behind() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


@pytest.fixture(scope="module")
def trace() -> list[Move]:
    return its_trace()


def test_a_thread_that_cannot_be_ended_is_an_error_that_names_its_line() -> None:
    release = threading.Event()

    def stuck() -> None:
        replay.at("one")
        release.wait(20)

    before = set(threading.enumerate())
    try:
        with pytest.raises(ReplayError, match=r"not ended 0\.1 s after .*: a; it is in .*stuck, "):
            follow([Move("one", {}, "a")], threads={"a": stuck}, patience=0.1)
    finally:
        release.set()
        for thread in set(threading.enumerate()) - before:
            thread.join(20)


def test_a_step_without_a_party_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(
        ReplayError,
        match=r"step 1, get\(r=0\) of loop, has no party 'loop' \(there are: a\)\. Name one with "
        r"party=, do the action yourself with does=, or skip= it",
    ):
        follow([Move("get", {"r": 0}, "loop")], threads={"a": lambda: None})


def test_a_name_is_a_thread_or_a_task() -> None:
    async def nothing() -> None: ...

    with pytest.raises(ReplayError, match="a: a party is a thread or a task, not both"):
        follow([], threads={"a": lambda: None}, tasks={"a": nothing})


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        (lambda: replay.at("laod", p=0), "names no action of the model; did you mean 'load'"),
        (lambda: replay.at("zzzzzz", p=0), r"the mark zzzzzz\(p=0\) names no action of the model"),
        (lambda: replay.at("load", q=0), r"gives q, but load has no such parameter; it has: p"),
    ],
)
def test_a_misspelt_mark_does_not_pass_for_a_fix(
    trace: list[Move], mark: Callable[[], None], said: str
) -> None:
    bodies = {"closer 0": mark, "closer 1": mark}
    with pytest.raises(ReplayError, match=said):
        follow(trace, threads=bodies, model=two_closers())


def test_code_beside_a_party_needs_a_name_of_its_own() -> None:
    async def both() -> None:
        await asyncio.gather(replay.reached("one"), replay.reached("two"))

    steps = [Move("one", {}, "a"), Move("two", {}, "a")]
    with pytest.raises(ReplayError, match=r"a stands at one\(\) and comes to two\(\) as well"):
        follow(steps, tasks={"a": both})


def test_a_mark_does_nothing_while_nobody_replays() -> None:
    pooled = Pooled()
    pooled.close(0)
    pooled.close(1)
    asyncio.run(pooled.aclose(2))
    with replay.blocking():
        assert pooled.puts == [0]


def test_a_party_that_catches_everything_is_ended_all_the_same() -> None:
    def stubborn() -> None:
        try:
            replay.at("one")
        except Abandoned:
            replay.at("two")

    outcome = follow([Move("nothing", {}, "a")], threads={"a": stubborn})
    assert outcome.ends == {"a": "was stopped at one()"}


def test_marked_code_runs_without_numpy() -> None:
    code = (
        "import sys; sys.modules['numpy'] = None\n"
        "from nbio.verify import replay\n"
        "replay.at('load', p=0)\n"
        "outcome = replay.follow([replay.Move('a', {}, 'x')], threads={'x': lambda: None})\n"
        "print(outcome)\n"
        "import nbio.verify\n"
        "nbio.verify.check\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.startswith("trace no longer possible at step 1: expected x at a(), but x")
    assert run.stderr.endswith("nbio.verify needs NumPy: pip install 'nbio[verify]'\n")


def test_without_numpy_the_command_says_what_to_install() -> None:
    code = (
        "import runpy, sys; sys.modules['numpy'] = None\n"
        "runpy.run_module('nbio.verify', run_name='__main__')\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == "nbio.verify needs NumPy: pip install 'nbio[verify]'\n"
