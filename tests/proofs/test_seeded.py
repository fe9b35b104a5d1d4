"""Planted bugs are single changes of the text as it is; and a machine finds one in a moment."""

import pytest

from proofs import seeded, symbolic
from proofs.bugs import BUGS, Bug
from proofs.changes import ROOT


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.says)
def test_a_bug_is_one_change_that_compiles(bug: Bug) -> None:
    text = (ROOT / "nbio" / f"{bug.file}.py").read_text(encoding="utf-8")
    compile(bug.planted(text), bug.file, "exec")


def test_a_planted_bug_is_found() -> None:
    number = next(n for n, bug in enumerate(BUGS) if bug.says == "a refusal doesn't close")
    assert seeded.tried(number, "connection") > 0


def test_a_fault_at_one_amount_of_a_thousand_million_is_found_by_symbols() -> None:
    assert symbolic.is_found()
