"""Sections run in processes of their own, and are told in order, whatever becomes of them."""

import pytest

from nbio.verify.engine import Verdict
from proofs import lanes, ledger
from proofs.ledger import Row


def test_rows_come_in_the_ledger_s_order_and_what_breaks_off_is_unknown() -> None:
    order = ["no such section", "emitted"]
    told = list(lanes.in_lanes([["emitted"], ["no such section"]], order))
    assert [name for name, _ in told] == order
    broken, emitted = (row for _, row in told)
    assert broken.verdict is Verdict.UNKNOWN
    assert "exit code 2" in broken.notes
    assert any("there is no section" in note for note in broken.notes)
    assert emitted.verdict is Verdict.CONFIRMED


def test_a_row_goes_from_process_to_process_and_stays_the_same() -> None:
    row = Row("a claim", "a method", Verdict.REFUTED, "a bound", 1.5, "more", ("a note",))
    assert ledger.from_json(ledger.to_json(row)) == row


def test_progress_is_told_in_lines_where_nobody_looks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lanes, "PLAIN_SECONDS", 0.0)
    line = lanes.Line()
    line.note("induction", "obligations: 3 of 25 parts")
    line.show()
    line.done("induction")
    line.show()
    told = capsys.readouterr().err.splitlines()
    assert told == ["   .. 0 s: induction: obligations: 3 of 25 parts"]
