"""L1 to L3: what must come to pass does, and each promise and guard that it needs is needed."""

from dataclasses import replace

import pytest

from model.lifecycle import SLOT
from model.live import PROMISES, live
from model.registry import build
from nbio.verify.check import Report, check
from nbio.verify.engine import Verdict
from nbio.verify.machine import Machine


def refuted(report: Report) -> set[str]:
    """The properties that are, without the numbers of who."""
    return {r.name[:2] for r in report.results if r.verdict is Verdict.REFUTED}


@pytest.mark.parametrize(
    ("promise", "properties"),
    [
        ("returns", {"L1", "L3"}),
        ("runs", {"L1", "L2", "L3"}),
        ("drains", {"L1", "L3"}),
        ("timeouts", {"L1", "L2", "L3"}),
    ],
)
def test_every_promise_is_needed(promise: str, properties: set[str]) -> None:
    assert refuted(check(live())) == set()
    report = check(build("final-live", {promise: 0}))
    assert refuted(report) == properties
    for result in report.results:
        if result.verdict is Verdict.REFUTED:
            # A run that goes on for ever, or stays: with the step it comes back to.
            assert result.lasso is not None
            assert 0 <= result.lasso < len(result.trace)
            assert result.trace[0].instance is None


def test_promises_name_actions() -> None:
    actions = {a.name for a in live().actions}
    assert {a for says in PROMISES.values() for a in says} <= actions


def without(event: str, outcome: str, forgets: str = "") -> Machine:
    """The lifecycle with one rule dropped, or one of its writes forgotten."""
    table = SLOT.events[event]
    number = next(i for i, r in enumerate(table.rules) if r.outcome.name == outcome)
    if not forgets:
        return SLOT.replaced(table.without_rule(number))
    rule = table.rules[number]
    weaker = replace(rule, writes={k: v for k, v in rule.writes.items() if k != forgets})
    rules = tuple(weaker if r is rule else r for r in table.rules)
    return SLOT.replaced(replace(table, rules=rules))


@pytest.mark.parametrize(
    ("machine", "prop"),
    [
        (without("release", "RECYCLED", "state"), "L1"),
        (without("unlease", "RECYCLED", "state"), "L1"),
        (without("wait", "READY"), "L2"),
        (without("finish", "OK", "ended"), "L2"),
        (without("fail", "OK", "failed"), "L2"),
        (without("unlease", "RESUME"), "L3"),
        (without("feed", "PAUSE", "paused"), "L3"),
    ],
)
def test_every_guard_is_needed(machine: Machine, prop: str) -> None:
    assert prop in refuted(check(live(machine=machine), traces=False))
