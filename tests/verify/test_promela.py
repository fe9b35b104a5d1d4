"""SPIN, run on the export, sees what our search sees; and it would be told if it didn't."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings

from model import claims
from nbio.verify import (
    IntExpr,
    Model,
    ModelError,
    Report,
    Step,
    Verdict,
    check,
    implies,
    ite,
    maximum,
    minimum,
)
from nbio.verify.promela import Export, exported, to_promela
from proofs import spin
from proofs.__main__ import main as ledger
from tests.verify.small_models import models

with_spin = pytest.mark.skipif(bool(spin.missing()), reason="needs spin and gcc")


def swap(top: int = 3, loose: bool = False) -> Model:
    """Two cells that trade places, one of them at a computed index; several initial states."""
    m = Model("swap */", constants={"top": top})
    pair = m.index("pair", 2)
    at = m.integers("at", pair, lo=-1, hi=top, init=[0, -1])
    other = m.integer("if", 0, top, choices=(0, 1))
    told = m.boolean("told")

    @m.action(p=pair)
    def trade(do: Step, p: IntExpr) -> None:
        do.when(at[p] < top)
        do.set(at[p], at[1 - p] + 1 if loose else minimum(at[1 - p] + 1, top))
        do.set(at[1 - p], at[p], when=told)
        do.set(other, ite(at[p] + at[1 - p] > 1, 1, 0))
        do.set(told, ~told)

    @m.action()
    def clear(do: Step) -> None:
        do.when(other == 1)
        do.set(at[maximum(at[0] - 2, 0)], -1)

    m.always("doubly", implies(~told, ~told | (other < 2)), because="two negations meet")
    m.always("low", at[0] + at[1] < 2 * top - 1, because="they never meet at the top")
    m.sometimes("low", at[1] == top - 1, because="one gets far")
    m.sometimes("nowhere", at[0] + at[1] > 2 * top, because="nobody gets there")
    return m


@with_spin
def test_spin_agrees_also_about_what_is_refuted() -> None:
    model = swap()
    verdicts = [r.verdict.name for r in check(model).results]
    assert verdicts == ["CONFIRMED", "REFUTED", "CONFIRMED", "REFUTED", "CONFIRMED"]
    assert exported(model).chosen
    assert spin.agreement(model) == []


@with_spin
def test_spin_agrees_about_random_models() -> None:
    for report, export in some_models(12):
        assert spin.differences(report, export, spin.judge(export.text, hash_bits=16)) == []


def some_models(many: int) -> list[tuple[Report, Export]]:
    """Random models of five states and more that Promela can say, the ones of most states."""
    found: dict[int, tuple[Report, Export]] = {}

    @settings(max_examples=300, deadline=None, derandomize=True, database=None)
    @given(models())
    def collect(model: Model) -> None:
        try:
            report, export = check(model, traces=False), exported(model)
        except ModelError:
            return
        found.setdefault(report.found.states, (report, export))

    collect()
    assert len(found) >= many
    return [found[states] for states in sorted(found)[-many:]]


@with_spin
def test_a_difference_is_told() -> None:
    export = exported(swap(top=4))
    said = spin.differences(check(swap()), export, spin.judge(export.text))
    assert any(line.startswith("states: ours ") for line in said)
    assert any(line.startswith("transitions and initial states: ours ") for line in said)
    wrong = swap()
    wrong.properties[1], wrong.properties[3] = wrong.properties[3], wrong.properties[1]
    judged = spin.judge(exported(wrong).text)
    assert spin.differences(check(swap()), exported(swap()), judged) != []


@with_spin
def test_an_update_out_of_range_is_an_assertion_there_too() -> None:
    model = swap(loose=True)
    with pytest.raises(ModelError, match="outside its range"):
        check(model)
    export = exported(model)
    assert spin.judge(export.text).violated - {c.temporary for c in export.claims}


@with_spin
def test_what_spin_cannot_read_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="failed"):
        spin.judge("active proctype model() { nonsense }")


def test_the_text_needs_no_spin() -> None:
    text = to_promela(swap(), "a command */ of mine")
    assert text.startswith("/* swap * / top=3 */\n/* exported by: a command * / of mine */\n")
    assert "short v_at[2] = 0;" in text
    assert text.count("/* trade(") == 2


def test_numbers_that_promela_lacks() -> None:
    m = Model("wide")
    x = m.integer("x", 0, 1 << 40)
    m.always("small", x < 1, because="it never moves")
    with pytest.raises(ModelError, match="32 bits of a Promela int"):
        to_promela(m)


def test_without_spin_every_row_is_unknown_and_the_exit_code_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Not by a patch: the ledger runs its sections in processes of their own.
    monkeypatch.setenv("PATH", str(tmp_path))
    rows = list(spin.rows())
    assert {r.verdict for r in rows} == {Verdict.UNKNOWN}
    assert len(rows) == sum(c.tier == "ci" for c in claims.load())
    assert ledger(["spin"]) == 3
    out = capsys.readouterr().out
    said = "! spin and gcc not installed: SPIN was not asked (apt-get install spin gcc)"
    assert out.count(said) == len(rows)
    assert out.splitlines()[-1].endswith("UNKNOWN")
