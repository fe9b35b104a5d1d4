"""Changes of the code are run in place of the module, and noticed by what should notice them."""

import ast

import pytest

from proofs.changes import FILES, ROOT, mutants
from proofs.code_mutants import fate_of

EVERY = mutants()


def number(name: str) -> int:
    return next(n for n, m in enumerate(EVERY) if name in m.name)


def test_there_are_many_and_each_is_a_change() -> None:
    assert len(EVERY) > 600
    assert {m.file for m in EVERY} == set(FILES)
    for mutant in EVERY[::40]:
        text = (ROOT / "nbio" / f"{mutant.file}.py").read_text(encoding="utf-8")
        assert mutant.source != ast.unparse(ast.parse(text)), mutant.name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("close: `presented != generation` never", "the table"),
        ("BodyPool.recycle: without `idle += (slot,)`", "after "),
    ],
)
def test_a_missing_guard_is_noticed_and_named(name: str, says: str) -> None:
    at = number(name)
    fate = fate_of(at, EVERY[at])
    assert fate.by == "refinement"
    assert says in fate.said
