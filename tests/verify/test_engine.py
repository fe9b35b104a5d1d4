"""The engine against a naive checker on random small models, and its promises one by one."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, assume, given, settings

from nbio.verify import (
    Bounds,
    Exploration,
    IntExpr,
    Model,
    ModelError,
    PropertyResult,
    Report,
    Search,
    Step,
    Verdict,
    check,
    forall,
    maximum,
    minimum,
    shortest_trace,
)
from nbio.verify import engine as engine_module
from nbio.verify.engine import DEADLOCK
from nbio.verify.expr import int_var
from nbio.verify.visited import DenseSet
from tests.verify.naive import Fault, Graph, Label, Naive, State
from tests.verify.small_models import SEEDS, models

# ------------------------------------------------------------------------- agreement


def told(label: Label) -> str:
    """A step's label as the engine writes it."""
    name, values = label
    return f"{name}({', '.join(map(str, values))})" if values else name


def fault_text(model: Model, fault: Fault, start: State) -> tuple[str, str]:
    """What the error must say: the action, the variable and the value; and the state.

    Of that what differs from the one initial state; all of it where there may be several.
    """
    several = any(len(choices) > 1 for v in model.variables.values() for choices in v.init)
    what = f"sets {fault.cell} to {fault.value}," if fault.cell else "writes an array outside"
    cells = [(v, n) for v in model.variables.values() for n in range(v.size)]
    changed = [
        f"{v.cell_name(n)}={v.show(now)}"
        for (v, n), now, then in zip(cells, fault.state, start, strict=True)
        if now != then or several
    ]
    state = f"({', '.join(changed)})" if changed else "(the initial state)"
    return f"action {told(fault.label)} {what}", f"in the state {state}"


def agree(found: Exploration, naive: Naive, graph: Graph) -> None:
    """Counts, levels, first violations and traces of both checkers are the same."""
    assert found.states == len(graph.depth_of)
    assert [b - a for a, b in pairwise(found.levels)] == graph.levels
    assert found.depth == len(graph.levels) - 1
    assert found.transitions == graph.transitions
    assert found.generated == graph.transitions + graph.levels[0]
    assert found.taken == {a.name: graph.taken(a.name) for a in naive.model.actions}
    for p in naive.model.properties:
        wanted = p.kind == "sometimes"
        met = graph.depth_of | graph.outside
        first = graph.first({s for s in met if naive.holds(p.holds, s) is wanted})
        same_first(found, naive, f"sometimes {p.name}" if wanted else p.name, first)
    same_first(found, naive, DEADLOCK, graph.first(naive.deadlocks(graph)))


def same_first(found: Exploration, naive: Naive, name: str, depth: int | None) -> None:
    """The same depth, and a real run of just that many steps."""
    assert (found.first[name][0] if name in found.first else None) == depth, name
    if depth is not None:
        trace = shortest_trace(found, name)
        labels = [(s.instance.action.name, s.instance.values) for s in trace if s.instance]
        assert len(labels) == depth
        assert naive.is_run(labels, [s.state for s in trace])


KINDS = (
    *("dense", "hashed", "one word, exact", "one word, bits", "several words, bits"),
    *("exact beyond 32 bits", "chunks of 3", "chunks of 131072", "deeper than 3", "over 30 states"),
    *("cut off", "started where it may"),
    *("violated bounded", "violated deadlock", "violated sometimes met", "range", "index"),
)
"""What the random models must have met, so that their agreement says something."""


def test_the_engine_agrees_with_a_naive_checker(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: Counter[str] = Counter()

    @settings(
        max_examples=500,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(models(), SEEDS)
    def one(model: Model, choice: int) -> None:
        chunk, dense = (3, 1 << 17)[choice % 2], choice % 4 > 1
        naive = Naive(model)
        graph = naive.explore(250)
        assume(graph is not None and graph.depth_of)
        assert graph is not None
        monkeypatch.setattr(engine_module, "CHUNK", chunk)
        search = Search(model, dense=dense)
        seen.update(["models", f"chunks of {chunk}", *layout(search)])
        if graph.faults:
            seen.update(["range" if graph.faults[0].cell else "index"])
            refused(search, naive, graph)
            return
        found = search.run()
        agree(found, naive, graph)
        seen.update(f"violated {n}" for n in found.first)
        cut = sum(s.after in graph.outside for steps in graph.steps.values() for s in steps)
        assert found.cut == cut
        seen.update(["cut off"] * (cut > 0))
        seen.update(["started where it may"] * (model.starts_where.op != "bool"))
        seen.update(
            ["deeper than 3"] * (found.depth > 3) + ["over 30 states"] * (found.states > 30)
        )

    one()
    assert seen["models"] >= 500
    assert not [k for k in KINDS if seen[k] < 3], seen


def layout(search: Search) -> list[str]:
    """How the states are packed and kept."""
    packing = search.packing
    words = "one word" if packing.words == 1 else "several words"
    far = packing.exact and packing.capacity > 1 << 32
    return [
        "dense" if isinstance(search.result.visited, DenseSet) else "hashed",
        f"{words}, {'exact' if packing.exact else 'bits'}",
        *["exact beyond 32 bits"] * far,
    ]


def refused(search: Search, naive: Naive, graph: Graph) -> None:
    """The engine refuses the model too, and tells one of the faults of that first level."""
    with pytest.raises(ModelError) as error:
        search.run()
    message = str(error.value)
    texts = [fault_text(naive.model, f, naive.initial()[0]) for f in graph.faults]
    assert any(what in message and state in message for what, state in texts), message


# --------------------------------------------------------------------- one by one


def counters(top: int = 3, limit: int = 3) -> Model:
    """Two counters that go up to ``top``; their variables hold up to ``limit``."""
    m = Model("counters", constants={"top": top})
    proc = m.index("proc", 2)
    at = m.integers("at", over=proc, lo=0, hi=limit)

    @m.action(p=proc)
    def up(do: Step, p: IntExpr) -> None:
        do.when(at[p] < top)
        do.set(at[p], at[p] + 1)

    m.done((at[0] == top) & (at[1] == top))
    m.always("not both at 2", (at[0] != 2) | (at[1] != 2), because="to be refuted")
    m.always("in range", at[0] <= top, because="it stops there")
    m.sometimes("far", at[0] + at[1] == 2 * top, because="both arrive")
    return m


def test_an_update_out_of_range_names_place_action_variable_and_state() -> None:
    with pytest.raises(ModelError) as error:
        check(counters(top=5, limit=3))
    message = str(error.value)
    assert "test_engine.py:" in message
    assert "action up(0) sets at[0] to 4, outside its range 0..3" in message
    assert "in the state (at[0]=3)" in message


def test_a_constant_index_out_of_range_names_the_line() -> None:
    m = Model("m")
    cells = m.integers("cells", m.index("i", 2), 0, 1)
    with pytest.raises(ModelError, match=r"test_engine\.py:\d+: cells\[2\]: .*0\.\.1"):
        cells[2]


def test_a_computed_index_out_of_range_is_an_error_only_where_it_is_written() -> None:
    def model(guarded: bool) -> Model:
        m = Model("m")
        place = m.integer("place", 0, 2)
        cells = m.integers("cells", m.index("i", 2), 0, 1)

        @m.action()
        def mark(do: Step) -> None:
            do.when(place < 2)
            do.set(place, place + 1)
            do.set(cells[place + 1], cells[place + 1], when=(place < 1) if guarded else True)

        m.always("read outside", cells[place] == 0, because="reads are total")
        m.done(place == 2)
        return m

    assert check(model(guarded=True)).verdict is Verdict.CONFIRMED
    with pytest.raises(ModelError, match=r"mark writes an array outside .* state \(place=1\)"):
        check(model(guarded=False))


def test_a_read_outside_an_array_reads_the_nearest_cell() -> None:
    m = Model("m")
    i, place = m.index("i", 3), m.integer("place", -2, 4, choices=range(-2, 5))
    numbers = m.integers("numbers", i, 0, 9, [7, 8, 9])
    truths = m.booleans("truths", i, [True, False, True])
    near = maximum(minimum(place, 2), 0)
    m.always("numbers", numbers[place] == near + 7, because="computed index")
    m.always("truths", truths[place] == (near != 1), because="computed index")
    above = forall(i, lambda k: numbers[k + 1] == minimum(k + 8, 9))
    m.always("numbers above", above, because="constant index, once written out")
    below = forall(i, lambda k: numbers[k - 1] == maximum(k + 6, 7))
    m.always("numbers below", below, because="constant index, once written out")
    edges = forall(i, lambda k: truths[k + 1] == (k != 0))
    m.always("truths outside", edges, because="constant index, once written out")
    m.done(True)
    assert check(m).verdict is Verdict.CONFIRMED


def test_an_unknown_variable_is_named() -> None:
    read = Model("m")
    read.always("known", int_var("ghost", 0, 3) == 0, because="nobody declared it")
    with pytest.raises(ModelError, match="unknown variable ghost"):
        check(read)
    other = Model("other").integer("ghost", 0, 3)
    with pytest.raises(ModelError, match=r"test_engine\.py:\d+: .*haunt sets ghost, which is no"):
        Model("m").add_action("haunt", lambda do: do.set(other, 1), {})


def test_an_action_that_never_happens_is_a_warning_that_names_the_place() -> None:
    def model(never: bool) -> Model:
        m = Model("m")
        x = m.integer("x", 0, 1)

        @m.action()
        def flip(do: Step) -> None:
            do.set(x, 1 - x)

        @m.action(never=never)
        def jump(do: Step) -> None:
            do.when(x > 1)

        m.always("small", x <= 1, because="two values")
        return m

    (warning,) = check(model(never=False)).warnings
    assert "test_engine.py:" in warning
    assert "action jump never happens" in warning
    assert check(model(never=True)).warnings == ()


def test_an_unreached_sometimes_refutes() -> None:
    m = counters()
    m.sometimes("elsewhere", m.done_when & ~m.done_when, because="nobody gets there")
    report = check(m)
    assert report.result("far").verdict is Verdict.CONFIRMED
    assert report.result("far").depth == 6
    assert report.result("elsewhere").verdict is Verdict.REFUTED
    assert report.verdict is Verdict.REFUTED


def test_a_shortest_trace_is_a_real_run_and_no_shorter_one_exists() -> None:
    m = counters()
    result = check(m).result("not both at 2")
    naive = Naive(m)
    graph = naive.explore()
    assert graph is not None
    labels = [(s.instance.action.name, s.instance.values) for s in result.trace if s.instance]
    states = [s.state for s in result.trace]
    assert naive.is_run(labels, states)
    assert states[-1] == (2, 2)
    assert result.depth == len(labels) == graph.depth_of[states[-1]] == 4


def test_a_deadlock_is_found_unless_it_is_done_or_not_asked_for() -> None:
    m = counters()
    m.done(False)
    assert check(m).result(DEADLOCK).depth == 6
    m.checks_deadlock = False
    with pytest.raises(KeyError, match="deadlock"):
        check(m).result(DEADLOCK)


def results(report: Report) -> dict[str, PropertyResult]:
    return {r.name: r for r in report.results}


@pytest.mark.parametrize(
    ("bounds", "told"),
    [
        (Bounds(states=20), "more than 20 states"),
        (Bounds(seconds=1e-9), "more than 1e-09 seconds"),
        (Bounds(memory=1000), "more than 1,000 bytes"),
    ],
)
def test_a_bound_that_is_met_ends_in_unknown(bounds: Bounds, told: str) -> None:
    report = check(counters(top=200, limit=200), bounds)
    assert report.verdict in (Verdict.UNKNOWN, Verdict.REFUTED)
    got = results(report)
    assert got["in range"].verdict is Verdict.UNKNOWN
    assert got["far"].verdict is Verdict.UNKNOWN
    assert got[DEADLOCK].verdict is Verdict.UNKNOWN
    assert report.found.stopped.startswith(told)
    assert report.found.states < 201 * 201
    assert told in report.warnings[0]


def test_little_memory_makes_small_chunks_and_long_levels_tell_of_themselves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Search(counters()).chunk == 1 << 17
    assert Search(counters(), Bounds(memory=1 << 40)).chunk == 1 << 17
    assert Search(counters(), Bounds(memory=1 << 20)).chunk == (1 << 20) // (16 * 2)
    assert Search(counters(), Bounds(memory=1)).chunk == 1 << 10
    monkeypatch.setattr(engine_module, "CHUNK", 2)
    told: list[int] = []
    found = Search(counters(top=3), progress=lambda p: told.append(p.states)).run()
    assert len(told) > len(found.levels)  # also within levels
    assert told == sorted(told)


def test_what_was_refuted_before_the_bound_stays_refuted() -> None:
    report = check(counters(top=200, limit=200), Bounds(states=100))
    assert results(report)["not both at 2"].verdict is Verdict.REFUTED
    assert results(report)["not both at 2"].depth == 4
    assert report.verdict is Verdict.REFUTED


def test_a_model_without_properties_is_unknown() -> None:
    m = Model("empty")
    m.integer("x", 0, 1)
    m.checks_deadlock = False
    assert check(m).verdict is Verdict.UNKNOWN
    assert Verdict.UNKNOWN.exit_code == 3
