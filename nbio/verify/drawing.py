"""Small state graphs as Graphviz DOT and as Mermaid flowcharts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nbio.verify.expr import ModelError
from nbio.verify.ints import Interpreter
from nbio.verify.program import Program, State
from nbio.verify.spec import Model


@dataclass(frozen=True)
class Node:
    """A state: its lines of text, and what it is."""

    lines: tuple[str, ...]
    initial: bool
    violates: tuple[str, ...]
    stuck: bool

    @property
    def marks(self) -> list[str]:
        """What is wrong with it."""
        stuck = ["deadlock"] if self.stuck else []
        return [f"violates {name}" for name in self.violates] + stuck


@dataclass(frozen=True)
class Graph:
    """Every reachable state in breadth-first order, and the steps between them by number."""

    nodes: tuple[Node, ...]
    edges: tuple[tuple[int, int, str], ...]

    @classmethod
    def of(cls, model: Model, limit: int) -> Graph:
        """The graph of a model of at most ``limit`` states; ModelError beyond."""
        program = Program(model)
        interpreter = Interpreter(program)
        every = interpreter.starts()
        found = [s for s in every if interpreter.value(program.constraint, s)]
        starts = len(found)
        number = {s: i for i, s in enumerate(found)}
        edges: list[tuple[int, int, str]] = []
        left: set[int] = set()
        for n, state in enumerate(found):
            for taken in interpreter.successors(state):
                if not interpreter.value(program.constraint, taken.state):
                    left.add(n)
                    continue
                if taken.state not in number:
                    number[taken.state] = len(found)
                    found.append(taken.state)
                edges.append((n, number[taken.state], taken.instance.label))
            if len(found) > limit:
                raise ModelError(
                    f"{model.name} has more than {limit} states, too many to draw: make its "
                    f"constants smaller, or say --states"
                )
        left |= {a for a, _, _ in edges}
        nodes = (
            Node(
                tuple(_lines(program, state)),
                n < starts,
                tuple(_violated(program, interpreter, state)),
                model.checks_deadlock
                and n not in left
                and not interpreter.value(program.done, state),
            )
            for n, state in enumerate(found)
        )
        return cls(tuple(nodes), tuple(edges))


def _lines(program: Program, state: State) -> Iterator[str]:
    """A line a variable; arrays on one line, hidden variables left out."""
    row = iter(state)
    for v in program.model.variables.values():
        values = [v.show(next(row)) for _ in range(v.size)]
        if not v.hidden:
            yield f"{v.name} = {' '.join(values)}"


def _violated(program: Program, interpreter: Interpreter, state: State) -> Iterator[str]:
    for prop in program.model.properties:
        if prop.kind == "always" and not interpreter.value(program.holds(prop), state):
            yield prop.name


def dot(graph: Graph) -> str:
    """For Graphviz: initial states have a double border, violating ones are red."""
    lines = ["digraph states {", '  node [shape=box, fontname="monospace"];']
    for n, node in enumerate(graph.nodes):
        text = "".join(f"{_quoted(part)}\\l" for part in [*node.lines, *node.marks])
        border = ", peripheries=2" if node.initial else ""
        colour = ', style=filled, fillcolor="#f4b6b6"' if node.marks else ""
        lines.append(f'  s{n} [label="{text}"{border}{colour}];')
    lines += [f'  s{a} -> s{b} [label="{_quoted(label)}"];' for a, b, label in graph.edges]
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def mermaid(graph: Graph) -> str:
    """For Markdown: initial states are rounded, violating ones are red."""
    lines = ["flowchart TD"]
    for n, node in enumerate(graph.nodes):
        text = "<br>".join(_entities(part) for part in [*node.lines, *node.marks])
        opening, closing = ("([", "])") if node.initial else ("[", "]")
        mark = ":::bad" if node.marks else ""
        lines.append(f'  s{n}{opening}"{text}"{closing}{mark}')
    lines += [f'  s{a} -->|"{_entities(label)}"| s{b}' for a, b, label in graph.edges]
    return "\n".join([*lines, "  classDef bad fill:#f4b6b6"]) + "\n"


def _entities(text: str) -> str:
    for char, name in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        text = text.replace(char, name)
    return text
