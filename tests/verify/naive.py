"""A checker that does nothing clever: explicit graphs in dictionaries, for small models only.

It shares no code with the engine. It reads a model's declarations and evaluates its trees as they
were written (arrays, parameters and quantifiers included, nothing lowered first), one state at a
time, so that it also judges the lowering.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from nbio.verify.expr import Expr
from nbio.verify.spec import Action, Model

State = tuple[int, ...]
Label = tuple[str, tuple[int, ...]]
Env = dict[tuple[str | int, ...], int]


@dataclass(frozen=True)
class Step:
    """One edge of the graph: who stepped, and where to."""

    label: Label
    after: State


@dataclass(frozen=True)
class Fault:
    """A step that the model should not contain: the action, the cell ('' for a bad index)."""

    label: Label
    cell: str
    value: int
    state: State


@dataclass
class Graph:
    """Every reachable state, its depth and its steps; faults of the first level with any.

    States ``outside`` the model's constraint are met, and that is all.
    """

    depth_of: dict[State, int] = field(default_factory=dict)
    outside: dict[State, int] = field(default_factory=dict)
    steps: dict[State, list[Step]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    @property
    def levels(self) -> list[int]:
        """How many states each depth has."""
        depths = list(self.depth_of.values())
        return [depths.count(d) for d in range(max(depths, default=-1) + 1)]

    @property
    def transitions(self) -> int:
        """How many steps there are."""
        return sum(map(len, self.steps.values()))

    def taken(self, action: str) -> int:
        """How many steps are the action's."""
        return sum(s.label[0] == action for steps in self.steps.values() for s in steps)

    def first(self, states: Iterable[State]) -> int | None:
        """The least depth of the given states."""
        return min(((self.depth_of | self.outside)[s] for s in states), default=None)


class Naive:
    """A model's semantics, straight from its declarations."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.offset: dict[str, int] = {}
        self.size = 0
        for v in model.variables.values():
            self.offset[v.name] = self.size
            self.size += v.size

    # ----------------------------------------------------------------------- values

    def value(self, node: Expr, state: State, env: Env) -> int:
        """A tree's value; booleans are 0 and 1."""

        def of(part: Expr, more: Env = env) -> int:
            return self.value(part, state, more)

        op, args, data = node.op, node.args, node.data
        if op in ("int", "bool"):
            return int(data[0])
        if op == "param":
            return env[data]
        if op == "var":
            return state[self.offset[str(data[0])]]
        if op == "select":
            # A read is total: an index outside reads the nearest cell.
            index = max(0, min(of(args[0]), int(data[1]) - 1))
            return state[self.offset[str(data[0])] + index]
        if op in ("forall", "exists", "count"):
            bound = args[0].data
            hits = sum(of(args[1], {**env, bound: i}) for i in range(int(data[0])))
            return {"forall": int(hits == data[0]), "exists": int(hits > 0), "count": hits}[op]
        return _operators[op]([of(a) for a in args])

    def holds(self, node: Expr, state: State) -> bool:
        """A predicate of a state."""
        return bool(self.value(node, state, {}))

    # ------------------------------------------------------------------------ steps

    def initial(self) -> list[State]:
        """Every combination of start values that the model admits."""
        choices = [c for v in self.model.variables.values() for c in v.init]
        every = dict.fromkeys(itertools.product(*choices))
        return [s for s in every if self.holds(self.model.starts_where, s)]

    def instances(self) -> Iterator[tuple[Action, Label, Env]]:
        """Every action at every value of its parameters."""
        for action in self.model.actions:
            for values in itertools.product(*(range(i.size) for _, i in action.params)):
                names = [(n,) for n, _ in action.params]
                yield action, (action.name, values), dict(zip(names, values, strict=True))

    def steps(self, state: State) -> Iterator[Step | Fault]:
        """What may happen in a state."""
        for action, label, env in self.instances():
            if self.value(action.guard, state, env):
                yield self._apply(action, label, env, state)

    def _apply(self, action: Action, label: Label, env: Env, state: State) -> Step | Fault:
        new = list(state)
        for update in action.updates:
            if not self.value(update.when, state, env):
                continue
            index = 0 if update.index is None else self.value(update.index, state, env)
            if not 0 <= index < self.model.variables[update.variable].size:
                return Fault(label, "", index, state)
            new[self.offset[update.variable] + index] = self.value(update.value, state, env)
        for v in self.model.variables.values():
            for cell in range(v.size):
                value = new[self.offset[v.name] + cell]
                if not v.lo <= value <= v.hi:
                    return Fault(label, v.cell_name(cell), value, state)
        return Step(label, tuple(new))

    def explore(self, limit: int = 1000) -> Graph | None:
        """The graph, up to the level with the first faults; None above ``limit`` states."""
        graph = Graph()
        frontier, depth = self.kept(graph, self.initial(), 0), 0
        while frontier and not graph.faults:
            graph.depth_of.update(dict.fromkeys(frontier, depth))
            if len(graph.depth_of) > limit:
                return None
            found: dict[State, None] = {}
            for state in frontier:
                outcomes = list(self.steps(state))
                graph.faults += [o for o in outcomes if isinstance(o, Fault)]
                graph.steps[state] = [o for o in outcomes if isinstance(o, Step)]
                found.update(dict.fromkeys(s.after for s in graph.steps[state]))
            depth += 1
            frontier = self.kept(graph, [s for s in found if s not in graph.depth_of], depth)
        return graph

    def kept(self, graph: Graph, states: list[State], depth: int) -> list[State]:
        """Those within the constraint; the others are noted at the depth they are met at first."""
        inside = [s for s in states if self.holds(self.model.constraint, s)]
        for state in set(states) - set(inside):
            graph.outside.setdefault(state, depth)
        return inside

    # -------------------------------------------------------------------- judgement

    def deadlocks(self, graph: Graph) -> list[State]:
        """Where no step is possible, and the model does not call that done."""
        done = self.model.done_when
        return [s for s, steps in graph.steps.items() if not steps and not self.holds(done, s)]

    def is_run(self, labels: Sequence[Label], states: Sequence[State]) -> bool:
        """Whether the states follow from each other by the labelled steps, from an initial one."""
        if states[0] not in self.initial():
            return False
        taken = zip(labels, states, states[1:], strict=False)
        return len(labels) == len(states) - 1 and all(
            Step(label, after) in self.steps(before) for label, before, after in taken
        )


_operators: dict[str, Callable[[list[int]], int]] = {
    "add": lambda v: v[0] + v[1],
    "sub": lambda v: v[0] - v[1],
    "mul": lambda v: v[0] * v[1],
    "div": lambda v: v[0] // v[1],
    "mod": lambda v: v[0] % v[1],
    "min": min,
    "max": max,
    "eq": lambda v: int(v[0] == v[1]),
    "iff": lambda v: int(v[0] == v[1]),
    "lt": lambda v: int(v[0] < v[1]),
    "le": lambda v: int(v[0] <= v[1]),
    "not": lambda v: 1 - v[0],
    "and": min,
    "or": max,
    "implies": lambda v: max(1 - v[0], v[1]),
    "ite": lambda v: v[1] if v[0] else v[2],
}
