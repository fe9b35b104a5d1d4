"""The cases, against the live server and, cut in every way, against its core."""

from collections.abc import Iterator

import pytest

from tests.conformance import app, bodies, connections, core, disguises, heads, responses
from tests.conformance.cases import Case
from tests.conformance.running import PROBE, run
from tests.live import Live, serving

CASES: list[Case] = [
    *heads.CASES,
    *bodies.CASES,
    *disguises.CASES,
    *connections.CASES,
    *responses.CASES,
]
SHORT = 200
"""Cases of up to so many bytes are cut in every way."""
# What answers without reading its body answers before it sees that the rest is broken.
PATIENT = [case for case in CASES if b" /unread " not in case.data]


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with serving(app.handler) as live:
        yield live


def name(case: Case) -> str:
    return f"{case.section}: {case.name}"


def test_there_are_enough_cases_and_each_has_its_own_name() -> None:
    assert len(CASES) >= 200
    assert len({name(case) for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=name)
def test_case(live: Live, case: Case) -> None:
    app.REPORTED.clear()
    run(live.server.port, case)
    reached = [wanted for wanted in case.answers if not isinstance(wanted, int)]
    complete = [entry for entry in app.REPORTED if entry != f"GET {PROBE}"]
    assert len(complete) <= len(reached), "a request that was refused was reported as complete"


@pytest.mark.parametrize("case", PATIENT[::8], ids=name)
def test_every_split_on_a_real_socket(live: Live, case: Case) -> None:
    step = max(1, len(case.data) // 60)
    for pieces in core.cuts(case.data, step):
        try:
            run(live.server.port, case, pieces)
        except AssertionError as error:
            raise AssertionError(f"cut after {pieces[0]!r}: {error}") from None


@pytest.mark.parametrize("case", CASES, ids=name)
def test_every_split_means_the_same(case: Case) -> None:
    whole = core.read([case.data])
    step = 1 if len(case.data) <= SHORT else len(case.data) // 50
    for pieces in core.cuts(case.data, step):
        assert core.read(pieces) == whole, f"cut after {pieces[0]!r}"
    if len(case.data) <= SHORT:
        assert core.read([bytes([octet]) for octet in case.data]) == whole, "byte by byte"
