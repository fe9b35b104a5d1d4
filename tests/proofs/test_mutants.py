"""The mutants are all there; what is said of those that change nothing, the docs say too."""

from pathlib import Path

import pytest

from model.lifecycle import SLOT
from proofs.mutants import EQUIVALENT, judge, mutants

DOCS = Path(__file__).resolve().parents[2] / "docs" / "lifecycle.md"
ALL = {m.name: m for m in mutants()}


def test_every_rule_and_every_write_is_broken() -> None:
    for event in SLOT.events.values():
        for number, rule in enumerate(event.rules):
            label = f"{event.name} {rule.outcome.name}"
            assert number == len(event.rules) - 1 or f"{label} dropped" in ALL
            for name in rule.writes:
                assert f"{label} forgets {name}" in ALL
                assert any(m.startswith(f"{label} makes {name} ") for m in ALL)


def test_the_docs_say_which_mutants_change_nothing() -> None:
    assert set(EQUIVALENT) <= set(ALL)
    text = DOCS.read_text(encoding="utf-8")
    rows = [f"| {name} | {why} |" for name, why in EQUIVALENT.items()]
    assert "\n".join(rows) in text
    assert f"of {len(ALL)} break a named property" in text


@pytest.mark.parametrize(
    ("name", "prop"),
    [
        ("close STALE dropped", "P6"),
        ("lease BUSY dropped", "E1"),
        ("close ALREADY dropped", "C1"),
        ("acquire OK makes state CLOSING", "O1"),
    ],
)
def test_a_named_property_refutes_it(name: str, prop: str) -> None:
    assert prop in dict(judge(ALL[name]).killers)


def test_one_that_changes_nothing_survives_and_is_listed() -> None:
    fate = judge(ALL["close RECYCLED forgets leased"])
    assert not fate.killers
    assert fate.acceptable
