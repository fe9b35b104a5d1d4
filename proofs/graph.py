"""A model's whole state graph, for walking: every state, every transition, a way to each state."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from model.final import final
from model.world import Bounds
from nbio.verify.columns import Columns
from nbio.verify.engine import Search
from nbio.verify.program import Instance, Program, State
from nbio.verify.spec import Model
from nbio.verify.stepping import successors


@dataclass(frozen=True)
class Edge:
    """One transition, by the numbers of its states."""

    source: int
    instance: Instance
    target: int


class Graph:
    """The explored graph of a small model. State 0 is the initial one."""

    def __init__(self, model: Model) -> None:
        found = Search(model).run()
        assert found.initial == 1, "a graph to be walked has one initial state"
        self.program: Program = found.program
        words = found.visited.rows(0, found.states)
        number = {column.tobytes(): i for i, column in enumerate(words.T.copy())}
        self.states: list[State] = [found.state(tuple(map(int, c))) for c in words.T]
        columns = Columns(found.packing, found.program.position, words)
        self.edges: list[list[Edge]] = [[] for _ in self.states]
        enabled = columns.truths([i.guard for i in found.program.instances])
        for instance, mask in zip(found.program.instances, enabled, strict=True):
            rows = np.flatnonzero(mask)
            if rows.size:
                after = successors(columns, instance, rows, found.program).T.copy()
                for row, target in zip(rows.tolist(), after, strict=True):
                    edge = Edge(row, instance, number[target.tobytes()])
                    self.edges[row].append(edge)

    @property
    def transitions(self) -> int:
        """How many there are."""
        return sum(map(len, self.edges))

    @cached_property
    def names(self) -> list[str]:
        """Of the cells of a state, in order."""
        return [cell.name for cell in self.program.cells]

    @cached_property
    def first_edge(self) -> list[Edge | None]:
        """The last step of a shortest way to each state."""
        way: list[Edge | None] = [None] * len(self.states)
        order = [0]
        reached = {0}
        for source in order:
            for edge in self.edges[source]:
                if edge.target not in reached:
                    reached.add(edge.target)
                    way[edge.target] = edge
                    order.append(edge.target)
        return way

    def way(self, state: int) -> list[Edge]:
        """A shortest way to a state."""
        steps = []
        edge = self.first_edge[state]
        while edge is not None:
            steps.append(edge)
            edge = self.first_edge[edge.source]
        return steps[::-1]

    def walks(self) -> Iterator[list[Edge]]:
        """Walks from the initial state that take every transition, as few as one may hope for."""
        fresh = [list(edges) for edges in self.edges]
        for source, edges in enumerate(fresh):
            while edges:
                walk = self.way(source)
                at = source
                while fresh[at]:
                    edge = fresh[at].pop()
                    walk.append(edge)
                    at = edge.target
                yield walk


@cache
def graph_of(bounds: Bounds) -> Graph:
    """The final design's, explored once."""
    return Graph(final(**vars(bounds)))
