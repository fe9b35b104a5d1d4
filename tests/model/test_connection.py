"""One connection, requests in turn: each thing that it needs is missed by a named property."""

import pytest

from model.registry import build
from nbio.verify.check import check
from nbio.verify.engine import Verdict


def refuted(**constants: int) -> set[str]:
    report = check(build("final-connection", constants), traces=False)
    return {r.name for r in report.results if r.verdict is Verdict.REFUTED}


def test_it_holds() -> None:
    assert refuted() == set()


@pytest.mark.parametrize(
    ("constants", "names"),
    [
        ({"waits": 0}, {"K1", "deadlock"}),
        ({"timeouts": 0}, {"K2(0)", "K4", "L3(0)"}),
        ({"impatient": 0}, {"K2(0)", "K4", "L3(0)"}),
        ({"returns": 0}, {"K4"}),
        ({"returns": 0, "cutoff": 0}, {"K3"}),
    ],
)
def test_each_thing_that_it_needs_is_missed(constants: dict[str, int], names: set[str]) -> None:
    found = refuted(**constants)
    assert names <= found
    # A shutdown closes the connection, whatever else is missing.
    assert ("K3" in found) is ("cutoff" in constants)
