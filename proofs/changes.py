"""Single changes of the pool's code: a guard forced, a comparison turned, a statement left out.

A mutant is a whole module. :class:`Changed` imports it in place of the module that it is of;
nothing on disk is changed.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.abc
import importlib.util
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final, Literal

ROOT: Final = Path(__file__).resolve().parent.parent
FILES: Final = ("_lifecycle", "counting", "pool", "blocks", "body", "handle")


Path_ = tuple[str, ...]
Kind = Literal["never", "always", "compare", "part", "sign", "write", "lock", "assert", "section"]
GUARDS: Final = ("never", "part", "lock", "assert", "section")
Edit = Callable[[ast.AST, int], None]
"""A change of the function at hand, of its numbered node."""


@dataclass(frozen=True)
class Mutant:
    """One change: of which file and function, at which line, of what kind, and how.

    ``key`` names it for as long as the function stays as it is, wherever in the file that stands.
    """

    file: str
    line: int
    path: Path_
    kind: Kind
    change: str
    number: int
    edit: Edit
    key: str

    @property
    def name(self) -> str:
        """``pool.py:213 BodyPool.recycle: without `...```."""
        return f"{self.file}.py:{self.line} {'.'.join(self.path)}: {self.change}"

    @property
    def is_guard(self) -> bool:
        """Whether it deletes a guard: a condition, a part of one, an assertion, a lock."""
        return self.kind in GUARDS

    @property
    def tree(self) -> ast.Module:
        """The whole module, changed."""
        tree = _parsed(self.file)
        self.edit(_at(tree, self.path), self.number)
        return ast.fix_missing_locations(tree)

    @property
    def source(self) -> str:
        """Its text."""
        return ast.unparse(self.tree)


def mutants() -> list[Mutant]:
    """Every mutant of every file, in the order of the source."""
    return [m for file in FILES for m in mutants_of(file)]


def mutants_of(file: str) -> Iterator[Mutant]:
    """Every mutant of one file."""
    seen = Counter[str]()
    for function, path in _functions(_parsed(file)):
        for number, kind, change, edit in _changes(function):
            key = f"{file}: {'.'.join(path)}: {change}"
            seen[key] += 1
            if seen[key] > 1:
                key += f" ({seen[key]})"
            yield Mutant(file, _line(function, number), path, kind, change, number, edit, key)


def unchanged(file: str) -> Mutant:
    """The control: a file that is as it was."""

    def nothing(function: ast.AST, number: int) -> None:
        pass

    first = next(mutants_of(file))
    return Mutant(file, 0, first.path, "write", "unchanged", 0, nothing, f"{file}: unchanged")


def hash_of(file: str) -> str:
    """Of a file's text: what a result is about."""
    return hashlib.sha256(text_of(file).encode()).hexdigest()[:16]


@cache
def text_of(file: str) -> str:
    """A file's text, read once: what changes on disk meanwhile is another run's."""
    return (ROOT / "nbio" / f"{file}.py").read_text(encoding="utf-8")


def _parsed(file: str) -> ast.Module:
    return ast.parse(text_of(file))


def _functions(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, Path_]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node, (node.name,)
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield inner, (node.name, inner.name)


def _at(tree: ast.Module, path: Path_) -> ast.AST:
    found: ast.AST = tree
    for name in path:
        body: list[ast.stmt] = getattr(found, "body")  # noqa: B009  # no common type has one
        found = next(n for n in body if getattr(n, "name", "") == name)
    return found


def _nodes(function: ast.AST) -> list[ast.AST]:
    return list(ast.walk(function))


def _line(function: ast.AST, number: int) -> int:
    node = _nodes(function)[number]
    return int(getattr(node, "lineno", getattr(function, "lineno", 0)))


def _changes(function: ast.AST) -> Iterator[tuple[int, Kind, str, Edit]]:
    for number, node in enumerate(_nodes(function)):
        if isinstance(node, ast.If | ast.While):
            said = ast.unparse(node.test)
            yield number, "never", f"`{said}` never", _test(ast.Constant(False))
            if isinstance(node, ast.If):
                yield number, "always", f"`{said}` always", _test(ast.Constant(True))
        elif isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPPED:
            said = f"`{ast.unparse(node)}` with {SWAPPED[type(node.ops[0])].__name__}"
            yield number, "compare", said, _swap
        elif isinstance(node, ast.BoolOp):
            for i, part in enumerate(node.values):
                yield number, "part", f"without `{ast.unparse(part)}`", _without(i)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            other = "-" if isinstance(node.op, ast.Add) else "+"
            yield number, "sign", f"`{ast.unparse(node)}` with {other}", _negate
        else:
            yield from _left_out(number, node)


def _left_out(number: int, node: ast.AST) -> Iterator[tuple[int, Kind, str, Edit]]:
    if isinstance(node, ast.AugAssign | ast.Delete) or _is_write(node):
        yield number, "write", f"without `{ast.unparse(node).splitlines()[0]}`", _drop
    elif isinstance(node, ast.Assert):
        yield number, "assert", f"without `{ast.unparse(node)}`", _drop
    elif isinstance(node, ast.With) and ast.unparse(node.items[0]).endswith((".lock", "._lock")):
        yield number, "lock", "without the lock", _unlock
    elif isinstance(node, ast.FunctionDef) and "section" in map(ast.unparse, node.decorator_list):
        yield number, "section", "not registered as a section", _unregister


def _is_write(node: ast.AST) -> bool:
    """A statement that only writes a field, or calls for an effect."""
    if isinstance(node, ast.Assign):
        return len(node.targets) == 1 and isinstance(node.targets[0], ast.Attribute)
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)


SWAPPED: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}


def _test(value: ast.expr) -> Edit:
    def edit(function: ast.AST, number: int) -> None:
        node = _nodes(function)[number]
        assert isinstance(node, ast.If | ast.While)
        node.test = value

    return edit


def _swap(function: ast.AST, number: int) -> None:
    node = _nodes(function)[number]
    assert isinstance(node, ast.Compare)
    node.ops[0] = SWAPPED[type(node.ops[0])]()


def _without(i: int) -> Edit:
    def edit(function: ast.AST, number: int) -> None:
        node = _nodes(function)[number]
        assert isinstance(node, ast.BoolOp)
        node.values[i] = ast.Constant(isinstance(node.op, ast.And))

    return edit


def _negate(function: ast.AST, number: int) -> None:
    node = _nodes(function)[number]
    assert isinstance(node, ast.BinOp)
    node.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()


def _drop(function: ast.AST, number: int) -> None:
    _replace(function, _nodes(function)[number], [ast.Pass()])


def _unlock(function: ast.AST, number: int) -> None:
    node = _nodes(function)[number]
    assert isinstance(node, ast.With)
    _replace(function, node, node.body)


def _unregister(function: ast.AST, number: int) -> None:
    assert isinstance(function, ast.FunctionDef)
    function.decorator_list = []


def _replace(function: ast.AST, old: ast.AST, new: Sequence[ast.stmt]) -> None:
    for node in ast.walk(function):
        for _, value in ast.iter_fields(node):
            if isinstance(value, list) and any(v is old for v in value):
                at = next(i for i, v in enumerate(value) if v is old)
                value[at : at + 1] = new
                return


class Changed(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports the mutant in place of the module it is of."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant
        self.module = f"nbio.{mutant.file}"

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Only for that module."""
        if name != self.module:
            return None
        origin = str(ROOT / "nbio" / f"{self.mutant.file}.py")
        return importlib.util.spec_from_file_location(name, origin, loader=self)

    def get_source(self, fullname: str) -> str:
        """The changed text."""
        return self.mutant.source

    def get_code(self, fullname: str) -> CodeType:
        """Compiled with the lines and the file name of the source, for whoever follows lines."""
        origin = ROOT / "nbio" / f"{self.mutant.file}.py"
        return compile(self.mutant.tree, str(origin), "exec")
