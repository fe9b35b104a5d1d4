"""The checker's counterexamples, walked on real threads through real code, to the same end."""

import functools
from collections.abc import Callable
from typing import Literal

import pytest

from model import stories
from model.history import BEYOND, DESIGNS
from nbio.verify import replay
from nbio.verify.replay import Outcome
from tests.model.beyond import (
    DATA,
    HEAD,
    X1F3,
    X1G3,
    X1G4,
    X2,
    Mended,
    Struct,
    late,
    request_in_struct,
    respond,
)
from tests.model.counterparts import COUNTERPARTS, F1, G0
from tests.model.parties import Engine, World, body, operate, plan, request
from tests.model.test_stories import CELLS, told

STORIES = [(name, prop) for name, cell in CELLS.items() for prop in cell.properties]
KINDS = ("second", "leftover", "closer")
BESIDE: dict[str, type[G0]] = {"X1-G3": X1G3, "X1-G4": X1G4, "X1-F3": X1F3, "X2": X2}


def code(name: str) -> type[G0]:
    """The counterpart of a cell's design."""
    return BESIDE.get(name) or COUNTERPARTS[name.partition("-")[0]]


@functools.cache
def trace(name: str, prop: str) -> list[replay.Move]:
    """A story's steps, as the model takes them."""
    model = CELLS[name].model
    return replay.moves(stories.walk(model, prop, stories.read(told(name))[prop]))


def run(
    name: str, prop: str, kind: type[G0], then: Literal["stop", "finish"] = "stop"
) -> tuple[Outcome, World]:
    """Drive a design's code through a story."""
    moves, bounds = trace(name, prop), CELLS[name].claim.bounds
    requests, parts = bounds["requests"], bounds["buffers"]
    responses = bounds.get("responses", 0)
    world = World(Engine(requests * parts + responses))
    world.pool = [kind(o) for o in range(requests)]
    design = BEYOND[name][0] if name in BEYOND else DESIGNS[name.partition("-")[0]]
    threads: dict[str, Callable[[], object]] = {}
    for r in range(requests):
        chosen = plan(moves, f"request {r}", design)
        threads[f"request {r}"] = functools.partial(request, world, r, chosen, parts)
        for other in KINDS:
            chosen = plan(moves, f"{other} of {r}", design)
            threads[f"{other} of {r}"] = functools.partial(
                operate, world, r, f"{other}_", chosen.operations
            )
    for r in range(responses):
        threads[f"response {r}"] = functools.partial(respond, world, r)
    if kind is X2:
        threads |= in_structs(world, moves, requests)
    return replay.follow(moves, threads=threads, then=then), world


def in_structs(
    world: World, moves: list[replay.Move], requests: int
) -> dict[str, Callable[[], object]]:
    """The parties of X2, whose requests are pooled as well."""
    idle, given = [Struct(o) for o in range(requests)], dict[int, Struct]()
    for reader in world.pool:
        assert isinstance(reader, X2)
        reader.structs = given
    found: dict[str, Callable[[], object]] = {}
    for r in range(requests):
        chosen = plan(moves, f"request {r}", BEYOND["X2"][0])
        found[f"request {r}"] = functools.partial(
            request_in_struct, world, r, chosen, 1, idle, given
        )
        chosen = plan(moves, f"leftover of {r}", BEYOND["X2"][0])
        found[f"leftover of {r}"] = functools.partial(late, world, r, chosen, given)
    return found


def seen(outcome: Outcome, world: World) -> set[str]:
    """The properties that the run itself shows to be broken."""
    found = set(world.engine.seen)
    if len(set(map(id, world.pool))) < len(world.pool):
        found.add("P1")
    for error in outcome.errors.values():
        nil = isinstance(error, AttributeError) and "'NoneType' object" in str(error)
        found.add("P3" if nil else "P10")
        if nil and isinstance(error.__context__, AttributeError):
            found.add("P12")
    if any(data not in (b"", body(r)) for r, data in world.got):
        found.add("P7")
    if any(data not in (HEAD, DATA) for data in world.sent):
        found.add("P7")
    return found


SHOWN = {"P1", "P2", "P3", "P4", "P5", "P7", "P9", "P10", "P11", "P12"}
"""What can be seen in objects and bytes; of the others the steps were followed to the last."""


@pytest.mark.parametrize(("name", "prop"), STORIES)
def test_real_threads_come_to_the_same_end(name: str, prop: str) -> None:
    # Bytes are seen when the Read returns, which is later than the copy that a story ends with.
    outcome, world = run(name, prop, code(name), "finish" if prop in ("P7", "P9") else "stop")
    assert outcome.complete, str(outcome)
    if prop in SHOWN:
        assert prop in seen(outcome, world), str(outcome)


def test_the_double_close_of_the_report_as_it_was_seen() -> None:
    outcome, world = run("G1-A", "P1", COUNTERPARTS["G1"])
    assert [r.number for r in world.pool].count(0) == 2
    outcome, _ = run("G1-A", "P3", COUNTERPARTS["G1"])
    error = outcome.errors["request 1"]
    assert str(error) == "'NoneType' object has no attribute 'malloc'"
    outcome, _ = run("G1-A", "P12", COUNTERPARTS["G1"])
    error = outcome.errors["request 1"]
    assert str(error) == str(error.__context__) == "'NoneType' object has no attribute 'free'"


@pytest.mark.parametrize("prop", [p for p in CELLS["F1-A"].properties if p != "P6"])
def test_with_a_generation_in_the_flag_s_word_the_advice_s_traces_stop(prop: str) -> None:
    # The second Close loses its swap, so the request ends where the trace would have it go on.
    outcome, world = run("F1-A", prop, Mended)
    assert str(outcome).startswith("trace no longer possible at step ")
    assert "release_list(r=0), but request 0 returned" in str(outcome)
    assert not seen(outcome, world)


def test_a_swap_that_loses_is_followed_and_changes_nothing() -> None:
    # The story of P6 ends with the swap: what it did is seen in the new owner's reader.
    for kind, closed in ((F1, True), (Mended, False)):
        outcome, world = run("F1-A", "P6", kind)
        reader = world.handles[1].reader
        assert outcome.complete
        assert isinstance(reader, F1)
        assert reader.closed is closed


@pytest.mark.parametrize("name", ["F3n-J", "F3n-C", "F3x-J"])
def test_the_final_design_refuses_its_negative_controls_traces(name: str) -> None:
    (prop,) = CELLS[name].properties
    assert run(name, prop, COUNTERPARTS[name.partition("-")[0]])[0].complete
    outcome, world = run(name, prop, COUNTERPARTS["F3"])
    assert str(outcome).startswith("trace no longer possible at step ")
    assert not seen(outcome, world)


def test_the_last_holder_of_a_lease_finalises_or_everything_is_lost() -> None:
    # The story ends with the lease's return: what comes of it shows when all run to their ends.
    for kind, back in (("F3x", False), ("F3", True)):
        outcome, world = run("F3x-C", "P8", COUNTERPARTS[kind], then="finish")
        assert outcome.complete
        assert (len(world.pool) == len(world.engine.idle) == 2) is back


def test_a_thousand_replays_are_equal() -> None:
    first, _ = run("G1-A", "P1", COUNTERPARTS["G1"])
    assert first.complete
    for _ in range(999):
        outcome, world = run("G1-A", "P1", COUNTERPARTS["G1"])
        assert outcome == first
        assert [r.number for r in world.pool].count(0) == 2
