"""The pure stateful test by symbolic execution: Hypothesis chooses nothing, CrossHair decides.

One slot, driven by the emitted functions beside the tables that they were emitted from: no pool, no
thread, no socket. With Hypothesis' CrossHair backend the choices of a walk (which event, through
which handle, with which amounts and marks) are symbols, and each run takes the branches that no run
took before. What was explored is counted; what could only not be refuted is not called proved.
"""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, ClassVar, Final
from unittest import mock

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from hypothesis_crosshair_provider.crosshair_provider import CrossHairPrimitiveProvider

from model.lifecycle import SLOT
from nbio import _lifecycle
from nbio._lifecycle import FREE, NONE
from nbio.testing.replay import START
from nbio.verify.emit import frame
from nbio.verify.engine import Verdict
from proofs.abstraction import by_table
from proofs.ledger import Row

RUNS: Final = 60
STEPS: Final = 4


class SlotBesideTable(RuleBasedStateMachine):
    """A slot's fields, as the emitted functions leave them and as the tables say."""

    seen: ClassVar[set[tuple[str, int]]] = set()
    """Events, with what they came to."""

    @initialize(high=st.integers(1, 1 << 30), low=st.integers(0, 1 << 30))
    def begin(self, high: int, low: int) -> None:
        self.fields = dict(START)
        self.marks = {"high": high, "low": low}

    @rule(
        event=st.sampled_from(tuple(_lifecycle.EVENTS)),
        age=st.integers(0, 1),
        kind=st.integers(1, 2),
        amount=st.integers(0, 1 << 30),
    )
    def step(self, event: str, age: int, kind: int, amount: int) -> None:
        before = self.fields
        presented = before["generation"] - age
        # What the table leaves to its callers: who has a lease gives it back, of what is there.
        current = age == 0
        if event == "unlease" and (before["leased"] == NONE or amount > before["held"]) and current:
            return
        if event != "acquire" and before["state"] == FREE and current:
            return
        given = {**before, **self.marks, "presented": presented, "kind": kind}
        given |= {"blocks": amount, "freed": amount}
        takes, returns = frame(SLOT, SLOT.events[event])
        names = [*takes, *(str(p.data[0]) for p in SLOT.events[event].params)]
        outcome, *values = getattr(_lifecycle, event)(*(given[name] for name in names))
        self.seen.add((event, outcome))
        assert (outcome, *values) == by_table(SLOT.events[event], given, returns)
        self.fields = {**before, **dict(zip(returns, values, strict=True))}
        self.demand(event, outcome, before, current)

    def demand(self, event: str, outcome: int, before: dict[str, int], current: bool) -> None:
        """What holds of any slot, whatever the table says."""
        after = self.fields
        assert outcome >= 0 or after == before, f"{event} was refused, and wrote"
        assert current or event == "acquire" or outcome < 0, f"{event} by a stale handle"
        assert after["held"] >= 0
        assert after["generation"] - before["generation"] in (0, 1)
        if after["state"] == FREE:
            rest = {n: v for n, v in after.items() if n not in ("state", "generation")}
            assert not any(rest.values()), f"{event} left something in a free slot"
        assert not (after["leased"] and after["waiting"]), "a reader at work, and one asleep"


def explored(machine: type[RuleBasedStateMachine], runs: int, steps: int) -> Counter[str]:
    """Run it by CrossHair's backend; how the runs ended. Raises what a run raises."""
    ends: Counter[str] = Counter()
    told = CrossHairPrimitiveProvider.set_completion

    def note(provider: Any, message: str) -> None:
        ends[message] += 1
        told(provider, message)

    with mock.patch.object(CrossHairPrimitiveProvider, "set_completion", note):
        run_state_machine_as_test(
            machine,
            settings=settings(
                backend="crosshair",
                max_examples=runs,
                stateful_step_count=steps,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
    return ends


class FedSlot(RuleBasedStateMachine):
    """A slot that is only fed: a control, with a fault at one amount of a thousand million."""

    @rule(amount=st.integers(0, 1 << 30))
    def feed(self, amount: int) -> None:
        outcome, held, _ = _lifecycle.feed(_lifecycle.OPEN, 0, False, False, 0, False, 0, amount, 9)
        # Computed, since Hypothesis also tries the constants that it finds in the source.
        fault = amount == sum(range(40_000))
        assert held + fault == amount, f"outcome {outcome}"


def is_found() -> bool:
    """Whether the control's fault is found."""
    try:
        explored(FedSlot, 10, 1)
    except AssertionError:
        return True
    return False


def rows() -> Iterator[Row]:
    """One row: what was explored, by a method that found the control's fault."""
    began = time.perf_counter()
    failed = ""
    ends: Counter[str] = Counter()
    try:
        ends = explored(SlotBesideTable, RUNS, STEPS)
    except AssertionError as error:
        failed = str(error) or "the emitted code and the table differ"
    whole, control = ends["completed normally"], is_found()
    told = ", ".join(f"{count} {end}" for end, count in ends.most_common())
    verdict = Verdict.CONFIRMED if whole and control else Verdict.UNKNOWN
    yield Row(
        f"no walk that CrossHair took parts the emitted code from its tables: {whole} walks, "
        f"{len(SlotBesideTable.seen)} pairs of event and outcome",
        f"Hypothesis with CrossHair's backend; how its runs ended: {told or 'none did'}",
        Verdict.REFUTED if failed else verdict,
        f"{RUNS} runs of at most {STEPS} events; amounts and marks up to 2^30 as symbols",
        time.perf_counter() - began,
        "walks that it didn't take: not refuted is not proved (the contracts are, step by step)",
        (failed or ("" if control else "the control's fault was not found") or "no walk ended",),
    )


if __name__ == "__main__":
    for row in rows():
        print("\n".join(row.lines()))
