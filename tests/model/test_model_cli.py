"""``python -m model``: verdicts, exit codes, and mistakes told plainly."""

from dataclasses import replace

import pytest

from model import claims, tables
from model.__main__ import main
from model.final import final
from model.lifecycle import SLOT
from model.registry import build
from nbio.verify.check import check
from nbio.verify.engine import Bounds, Verdict
from nbio.verify.expr import ModelError

SMALL = ["--set", "slots=1", "--set", "requests=1"]


def test_a_confirmed_check_prints_its_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    # `reuse` needs a second request: with one, that premise can't happen, and the check says so.
    assert main(["check", "final", "--set", "slots=1", "--set", "requests=2"]) == 0
    told = capsys.readouterr().out
    assert "CONFIRMED (no violation within these bounds: slots=1 requests=2" in told


def test_an_unreachable_premise_refutes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "final", *SMALL]) == 1
    assert "NO sometimes reuse" in capsys.readouterr().out


def test_a_search_that_stopped_early_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "final", *SMALL, "--states", "20"]) == 3
    assert "what was not refuted is UNKNOWN" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["check", "finale"], "there is no model 'finale'"),
        (["check", "final", "--set", "slits=1"], "final has no constant 'slits'"),
        (["check", "final", "--set", "slots"], "--set takes NAME=N"),
    ],
)
def test_misuse_is_told(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert said in capsys.readouterr().err


def test_a_claim_that_differs_is_named() -> None:
    claim = next(c for c in claims.load() if c.name == "final-small")
    wrong = replace(
        claim, states=claim.states + 1, properties={**claim.properties, "P6": "REFUTED in 4"}
    )
    assert claims.recheck(claim).differences == ()
    differences = claims.recheck(wrong).differences
    assert len(differences) == 2
    assert differences[0].startswith("P6 (a stale handle changes nothing for anyone else)")
    assert differences[1].startswith("states: claimed")


@pytest.mark.parametrize(
    ("event", "rule", "prop"),
    [
        ("close", "STALE", "P6"),
        ("lease", "STALE", "P9"),
        ("lease", "BUSY", "E1"),
        ("close", "DEFERRED", "P4"),
        ("close", "ALREADY", "C1"),
    ],
)
def test_a_guard_that_is_taken_out_breaks_a_named_property(
    event: str, rule: str, prop: str
) -> None:
    table = SLOT.events[event]
    number = next(i for i, r in enumerate(table.rules) if r.outcome.name == rule)
    machine = SLOT.replaced(table.without_rule(number))
    report = check(final(slots=1, requests=2, machine=machine), traces=False)
    assert report.result(prop).verdict is Verdict.REFUTED


def test_generated_pages_are_fresh_and_staleness_is_seen() -> None:
    assert tables.stale_pages() == []
    text = (tables.ROOT / "docs" / "lifecycle.md").read_text(encoding="utf-8")
    broken = text.replace("| STALE |", "| FRESH |")
    assert broken != text
    assert tables.renewed(broken) == text


def test_bounds_on_seconds_end_in_unknown() -> None:
    report = check(final(), Bounds(seconds=0.001))
    assert report.verdict is Verdict.UNKNOWN
    assert "seconds" in report.found.stopped


def test_an_unknown_name_is_refused() -> None:
    report = check(final(slots=1, requests=1), Bounds(states=10))
    with pytest.raises(KeyError, match="has no property 'P99'"):
        report.result("P99")
    with pytest.raises(ModelError, match="has no constant"):
        build("final", {"nothing": 1})
