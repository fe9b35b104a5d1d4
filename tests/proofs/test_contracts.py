"""The contracts of the emitted functions hold over all paths, and can fail."""

import pytest

from nbio import _lifecycle
from nbio.verify.engine import Verdict
from proofs import accounts, contracts, paths


@pytest.mark.parametrize("function", _lifecycle.EVENTS)
def test_every_condition_is_confirmed_over_all_paths(function: str) -> None:
    for condition in paths.check_contract(function):
        assert condition.verdict is Verdict.CONFIRMED, condition.line()
        assert condition.message == "Confirmed over all paths."


@pytest.mark.parametrize("function", accounts.FUNCTIONS)
def test_the_block_pool_s_accounts_are_confirmed_over_all_paths(function: str) -> None:
    found = paths.check_contract(function, accounts)
    assert len(found) >= 3
    assert {c.message for c in found} == {"Confirmed over all paths."}


def test_each_function_has_a_contract_and_mutants() -> None:
    mutated = {m.function for m in paths.code_mutants()}
    assert mutated == set(_lifecycle.EVENTS)
    assert all(paths.conditions(f) for f in _lifecycle.EVENTS)


@pytest.mark.parametrize("function", ["acquire", "detach", "wake"])
def test_every_change_of_a_function_is_refuted(function: str) -> None:
    count, alive = paths.survivors_of(function)
    assert count >= 4
    assert alive == []


def wrong(state: int, generation: int, detached: bool, presented: int) -> tuple[int, bool]:
    """
    post: (_[0] == _lifecycle.STALE) == (presented != generation)
    post: _[1] == (detached and _[0] == _lifecycle.OK)
    """
    return _lifecycle.detach(state, generation, detached, presented)


def test_a_wrong_condition_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contracts, "detach", wrong)
    verdicts = [c.verdict for c in paths.check_contract("detach")]
    assert verdicts == [Verdict.CONFIRMED, Verdict.REFUTED]
