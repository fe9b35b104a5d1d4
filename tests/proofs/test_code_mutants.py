"""Changes of the code are run in place of the module, and noticed by what should notice them."""

import ast
import time
from functools import partial

import pytest

from proofs import code_mutants, forked
from proofs.changes import FILES, ROOT, hash_of, mutants
from proofs.code_mutants import MINUTE, Fate, sampled

EVERY = mutants()


def test_there_are_many_and_each_is_a_change() -> None:
    assert len(EVERY) > 600
    assert {m.file for m in EVERY} == set(FILES)
    assert len({m.key for m in EVERY}) == len(EVERY)
    for mutant in EVERY[::40]:
        text = (ROOT / "nbio" / f"{mutant.file}.py").read_text(encoding="utf-8")
        changed = mutant.source
        if mutant.kind != "section":
            assert changed != ast.unparse(ast.parse(text)), mutant.name
        compile(mutant.tree, mutant.file, "exec")


def test_deleted_guards_are_noticed_and_the_property_is_named() -> None:
    guards = {
        "_lifecycle: close: `presented != generation` never": ("contracts", "STALE"),
        "pool: BodyPool.recycle: without `idle += (slot,)`": ("refinement", "P1, no slot is"),
    }
    found = {f.key: f for f in sampled(guards)}
    assert set(found) == set(guards)
    for key, (by, says) in guards.items():
        assert found[key].by == by
        assert says in found[key].said
        assert found[key].seconds < 2 * MINUTE


def test_what_waits_for_ever_is_told_from_what_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forked, "IDLE_SECONDS", 0.5)

    def busy() -> str:
        until = time.process_time() + 1
        while time.process_time() < until:
            pass
        return ""

    calls = [busy, partial(time.sleep, 60), partial(str, "not asked")]
    ((_, answers),) = forked.asked_in_turn([calls], 1)  # type: ignore[list-item]  # sleep says nothing
    assert [(a.said, a.hung[:17]) for a in answers] == [("", ""), ("", "waits for ever (i")]


def test_a_process_that_dies_has_noticed() -> None:
    ((_, (answer,)),) = forked.asked_in_turn([[partial(str, object.__new__)]], 1)
    assert "built-in" in answer.said
    ((_, (answer,)),) = forked.asked_in_turn([[partial(int, "x")]], 1)  # type: ignore[list-item]  # it raises
    assert answer.said == "the process ended with 70"


def test_a_table_of_older_code_is_said_to_be_old(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    table = tmp_path_factory.mktemp("table") / "code_mutants.txt"
    monkeypatch.setattr(code_mutants, "TABLE", table)
    assert code_mutants.stale() == ["there is no table"]
    fate = Fate(EVERY[0].key, hash_of(EVERY[0].file), "contracts", "so it is", 0.5)
    table.write_text(code_mutants.table([fate], EVERY), encoding="utf-8")
    assert code_mutants.stale() == []
    assert f"1 of {len(EVERY)} mutants run" in table.read_text()
    table.write_text(table.read_text().replace(hash_of("pool"), "0" * 16), encoding="utf-8")
    assert code_mutants.stale() == ["pool.py is another"]
