"""What notices a broken pool: each method run on one mutant, in a process that has nothing else.

The methods are those of `make verify`, at bounds at which the cheapest finds most mistakes within
a second; a mutant that one of them misses goes to the next. A method answers with one line that
names the property, the contract or the step, "" where it noticed nothing.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import Final

from model.world import Bounds
from nbio.verify.engine import Verdict
from proofs.changes import FILES, ROOT, Changed, Mutant
from proofs.graph import graph_of

WORLDS: Final = (
    Bounds(slots=1, requests=2, blocks=1, leftovers=0, keepers=1, buffers=2, detachers=1),
    Bounds(slots=1, requests=1, blocks=2, leftovers=1, keepers=1, buffers=2, detachers=1),
)
"""Small ones, the second with room for two blocks in a body and for a second thread."""

EXAMPLES: Final = 40

STANDS_FOR: Final = {
    "pooled": "P1, no slot is in the pool twice",
    "block": "P2, no block is freed twice, and P8, all come back",
    "in": "P8, every block comes back",
    "owner": "P5, at most one live request owns a slot",
    "state": "P5, at most one live request owns a slot",
    "generation": "P6, a stale handle changes nothing",
    "stamp": "P6, a stale handle changes nothing",
    "handle": "P5, at most one live request owns a slot",
    "tag": "P7, no request sees another's bytes",
    "current": "P4, nobody reads a freed block",
    "kept": "P4, nobody reads a freed block",
    "leased": "E1, the lease is exclusive",
    "waiting": "W1 and L2, a waiting reader is woken",
    "called": "L2, a waiting reader is woken",
    "reading": "L3, a paused connection resumes",
    "paused": "L3, a paused connection resumes",
    "held": "B1, at the high-water mark reading stops",
    "closed": "P9, a read after close ends in the typed error",
    "ended": "P11, no silent truncation",
    "failed": "P11, no silent truncation",
    "detached": "P8, a detached body outlives its request, and comes back",
}
"""The property that rests on a variable of the model, where the real objects differ in it."""


def property_of(told: str) -> str:
    """The property that a difference breaks, before what was told."""
    if not told:
        return ""
    after = told.partition(": ")[2] or told
    if "have not come back" in after:
        name = "P8, conservation"
    elif "the model says" in after or "the table" in told:
        field = after.split("[")[0].removeprefix("and refused events: ").strip()
        name = STANDS_FOR.get(field, "P6, what is refused changes nothing")
    else:
        name = "P10, no other crash"
    return f"{name}: {told}"


# ------------------------------------------------------------------------------ the methods


def contracts_notice(mutant: Mutant) -> str:
    """The contract of the function is no longer met."""
    from proofs import accounts, contracts, paths

    of = accounts if mutant.file == "counting" else contracts
    for condition in paths.check_contract(mutant.path[0], of):
        if condition.verdict is not Verdict.CONFIRMED:
            return f"contract {condition.line()}"
    return ""


def refinement_notices(mutant: Mutant) -> str:
    """A transition of the model that the code takes elsewhere, or an emitted function."""
    from proofs import refinement

    if mutant.file == "_lifecycle":
        *wrong, _ = refinement.emitted_equals_tables()
        if wrong:
            return property_of(wrong[0])
    for bounds in WORLDS:
        told = next(iter(refinement.walk(bounds, enough=1).differences), "")
        if told:
            return property_of(told)
    return ""


def histories_notice(mutant: Mutant) -> str:
    """A history that no order explains."""
    from proofs import histories

    told = histories.record(150).told
    return f"P5 and P6, calls take effect in one order: {' '.join(told.split())}" if told else ""


def schedules_notice(mutant: Mutant) -> str:
    """A schedule of two or three threads after which something is wrong."""
    from proofs import schedules

    for scenario in schedules.SCENARIOS:
        told = "" if scenario.name in schedules.LONG else schedules.complaint(scenario)
        if told:
            return told
    return ""


def interrupts_notice(mutant: Mutant) -> str:
    """A signal, raised at some place, that leaves the pool half done."""
    from proofs import interrupts

    return interrupts.complaint()


def by_pytest(*paths: str) -> Callable[[Mutant], str]:
    """Tests, as a method."""

    def notice(mutant: Mutant) -> str:
        import pytest
        from hypothesis import Phase, settings

        # What was found need not be made small.
        settings.register_profile("mutants", phases=[Phase.generate])
        settings.load_profile("mutants")
        out = io.StringIO()
        # Plain, because what is imported already can't be rewritten.
        quiet = ["-qx", "--tb=line", "--no-header", "--assert=plain", "-pno:cacheprovider"]
        with contextlib.redirect_stdout(out):
            wanted = [str(ROOT / path) for path in paths]
            code = pytest.main([*quiet, *wanted], plugins=[FewExamples()])
        return _last_words(out.getvalue()) if code else ""

    return notice


class FewExamples:
    """Of the state machine of the books: what many of them find, a few find nearly as often."""

    def pytest_collection_modifyitems(self, items: Sequence[object]) -> None:
        """Lower their number."""
        from hypothesis import settings

        books = [i for i in items if "accounts" in str(getattr(i, "nodeid", ""))]
        for case in {getattr(item, "cls", None) for item in books}:
            if isinstance(limit := getattr(case, "settings", None), settings):
                setattr(case, "settings", settings(limit, max_examples=EXAMPLES))  # noqa: B010  # a class of theirs


def _last_words(text: str) -> str:
    lines = [x.strip() for x in text.splitlines() if x.strip()]
    failed = [x for x in lines if x.startswith(("FAILED", "ERROR"))]
    errors = [x for x in lines if "Error" in x]
    return (failed or errors or lines or ["it failed"])[-1]


FINALIZER: Final = "tests/test_finalizer.py"
METHODS: Final[dict[str, Callable[[Mutant], str]]] = {
    "contracts": contracts_notice,
    "refinement": refinement_notices,
    "accounts": by_pytest("tests/test_stateful_accounts.py", "tests/test_limits.py"),
    "machines": by_pytest("tests/test_stateful_body.py"),
    "histories": histories_notice,
    "interrupts": interrupts_notice,
    "awaits": by_pytest("tests/test_interrupted_reads.py"),
    "collections": by_pytest(
        f"{FINALIZER}::test_a_collection_at_each_line_of_every_section", "tests/test_sections.py"
    ),
    "schedules": schedules_notice,
    "examples": by_pytest(
        "tests/test_pool.py",
        "tests/test_body.py",
        "tests/test_blocks.py",
        "tests/test_backpressure.py",
    ),
}
"""In the order in which they are asked. The last are based on examples: the weakest evidence."""


FIRST: Final = {"section": ("collections",), "lock": ("histories", "schedules")}
"""By the kind of change."""


def asked(mutant: Mutant, last: str) -> Sequence[str]:
    """The methods that can have something to say of a mutant, as far as one of them."""
    pure = mutant.file in ("_lifecycle", "counting")
    methods = list(METHODS)[: list(METHODS).index(last) + 1]
    # Whoever is there to see such changes first, and examples last as ever.
    methods.sort(key=lambda m: (m == "examples", m not in FIRST.get(mutant.kind, ())))
    return [m for m in methods if m != "contracts" or pure]


# ------------------------------------------------------------------------------ the process


def prepare() -> None:
    """Import and compute beforehand what no mutant changes; the processes are forked from here."""
    import asyncio
    import queue

    import frontrun
    import hypothesis.stateful
    import pytest
    from crosshair import core_and_libs

    assert all((asyncio, queue, frontrun, hypothesis.stateful, pytest, core_and_libs))
    for bounds in WORLDS:
        graph_of(bounds)
    for name in [n for n in sys.modules if n.startswith("nbio.")]:
        assert name.removeprefix("nbio.") not in FILES, f"{name} was imported before it was changed"


def answer(mutant: Mutant, method: str) -> str:
    """In the forked process: what the method says of the mutant."""
    # frontrun asks whether it was started by its own command, which nothing here has need of.
    os.environ["FRONTRUN_ACTIVE"] = "1"
    sys.meta_path.insert(0, Changed(mutant))
    try:
        return METHODS[method](mutant)
    except Exception as error:
        return property_of(f"{type(error).__name__}: {error}")
