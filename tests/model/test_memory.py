"""The final design by memory steps: made of the tables, as fine as it says, and able to fail."""

import re

import pytest

from model.grain import memory
from model.lifecycle import SLOT
from model.registry import build
from nbio.verify.check import Report, check
from nbio.verify.engine import Search, Verdict
from nbio.verify.report import render
from tests.model.test_live import without

SMALL = {"slots": 1, "requests": 1, "blocks": 1, "leftovers": 0, "buffers": 1}


def refuted(report: Report) -> dict[str, int | None]:
    return {r.name: r.depth for r in report.results if r.verdict is Verdict.REFUTED}


def test_every_section_takes_the_steps_of_its_events_function() -> None:
    said: dict[str, set[str]] = {}
    for action in memory().actions:
        label, _, what = action.name.partition(" ")
        said.setdefault(label.partition("(")[0], set()).add(what)
    made = {
        "begin": "acquire",
        "feed": "feed",
        "cut": "fail",
        "wake_view": "wake",
        "viewed": "unlease",
    }
    for action_name, event in made.items():
        table = SLOT.events[event]
        loads = {w.removeprefix("loads ") for w in said[action_name] if w.startswith("loads")}
        stores = {w.removeprefix("stores ") for w in said[action_name] if w.startswith("stores")}
        assert stores == set(table.written)
        assert loads >= stores
        assert {"locks", "unlocks", "moves blocks and slots"} <= said[action_name]


def test_at_rest_it_is_where_the_atomic_world_is() -> None:
    """And nowhere else, but for a wake-up that comes when its sleeper sleeps again."""
    coarse, fine = Search(build("final", SMALL)).run(), Search(build("final-memory", SMALL)).run()
    names = [c.name for c in fine.program.cells]
    busy = [
        n for n, name in enumerate(names) if re.match(r"(pc|to_wake|to_free|interrupted)\b", name)
    ]
    shared = [names.index(c.name) for c in coarse.program.cells]
    called = [n for n, c in enumerate(coarse.program.cells) if c.name.startswith("called")]
    atomic = {coarse.state_at(n) for n in range(coarse.states)}
    states = (fine.state_at(n) for n in range(fine.states))
    rests = {tuple(s[n] for n in shared) for s in states if not any(s[n] for n in busy)}
    assert atomic <= rests
    for state in rests - atomic:
        assert tuple(v * (n not in called) for n, v in enumerate(state)) in atomic
    assert fine.states > 50 * coarse.states


def test_with_the_lock_it_holds_and_without_it_nearly_nothing_does() -> None:
    assert refuted(check(build("final-memory", SMALL), traces=False)) == {}
    report = check(build("final-memory", {**SMALL, "locked": 0, "operations": 2}))
    lost = refuted(report)
    assert lost["P11"] == 21
    assert {"L2", "P4", "P7", "P11"} <= set(lost)
    told = render(report, "P7", "again")
    assert "thread 0" in told
    assert "stores" in told


def test_a_finalizer_that_takes_the_lock_waits_for_the_thread_it_interrupted() -> None:
    report = check(memory(queued=0))
    assert refuted(report) == {"deadlock": 27}
    last = report.result("deadlock").trace[-1].instance
    assert last is not None
    # The thread whose release made the handle garbage still has the lock.
    assert last.label == "interrupt(0,0)"
    assert report.result("deadlock").trace[-2].instance is not None


@pytest.mark.parametrize(
    ("event", "rule", "prop", "bounds"),
    [
        ("close", "STALE", "P6", {"requests": 2, "leftovers": 0}),
        ("lease", "BUSY", "E1", {}),
        ("close", "DEFERRED", "P4", {}),
    ],
)
def test_a_guard_that_is_taken_out_is_missed_here_too(
    event: str, rule: str, prop: str, bounds: dict[str, int]
) -> None:
    model = memory(**bounds, machine=without(event, rule))
    assert prop in refuted(check(model, traces=False))
