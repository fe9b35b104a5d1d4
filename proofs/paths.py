"""Every contract over every path of the emitted code, and every mutant of that code refuted.

CrossHair runs the functions of `nbio/_lifecycle.py` on symbolic values. A condition is CONFIRMED
only where it says "confirmed over all paths"; whatever it merely fails to refute is UNKNOWN.
"""

import ast
import copy
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

from crosshair.core_and_libs import analyze_function
from crosshair.options import AnalysisKind, AnalysisOptionSet
from crosshair.statespace import MessageType

from nbio import _lifecycle
from nbio.verify.engine import Verdict
from proofs import accounts, contracts
from proofs.ledger import Row, progress

SECONDS: Final = 30.0
"""Given to one condition; those that are confirmed take a fiftieth of a second or so."""
OPTIONS: Final = AnalysisOptionSet(
    analysis_kind=[AnalysisKind.PEP316],
    report_all=True,
    per_condition_timeout=SECONDS,
    per_path_timeout=SECONDS,
    max_uninteresting_iterations=1_000_000,
)


@dataclass(frozen=True)
class Condition:
    """One line of a contract and what it came to."""

    function: str
    text: str
    verdict: Verdict
    message: str

    def line(self) -> str:
        """A line of the ledger."""
        return f"{self.verdict.name} {self.function}: {self.text} ({self.message})"


def check_contract(function: str, of: ModuleType = contracts) -> list[Condition]:
    """Every condition of one function's contract."""
    contract: Callable[..., object] = getattr(of, function)
    texts = conditions(function, of)
    found = []
    for number, checkable in enumerate(analyze_function(contract, OPTIONS)):
        messages = list(checkable.analyze())
        verdict = min((_verdict(m.state) for m in messages), default=Verdict.UNKNOWN)
        said = "; ".join(m.message for m in messages) or "CrossHair said nothing"
        found.append(Condition(function, texts[number], verdict, said))
    if len(found) != len(texts):
        raise RuntimeError(f"{function} has {len(texts)} conditions, CrossHair saw {len(found)}")
    return found


def conditions(function: str, of: ModuleType = contracts) -> list[str]:
    """The text of each condition of a function's contract, in order."""
    doc = getattr(of, function).__doc__ or ""
    lines = [line.strip() for line in doc.splitlines()]
    return [line.removeprefix("post:").strip() for line in lines if line.startswith("post:")]


def _verdict(state: MessageType) -> Verdict:
    if state is MessageType.CONFIRMED:
        return Verdict.CONFIRMED
    if state in (MessageType.POST_FAIL, MessageType.POST_ERR, MessageType.EXEC_ERR):
        return Verdict.REFUTED
    return Verdict.UNKNOWN


# --------------------------------------------------------------------- the emitted code, broken


@dataclass(frozen=True)
class CodeMutant:
    """One change of one function's source, as a whole module's source."""

    function: str
    name: str
    source: str


def code_mutants() -> Iterator[CodeMutant]:
    """Each test of each function dropped and weakened, each returned value changed."""
    tree = ast.parse(Path(_lifecycle.__file__).read_text(encoding="utf-8"))
    for number, node in enumerate(tree.body):
        if isinstance(node, ast.FunctionDef):
            for change, mutant in _changes(node):
                module = copy.copy(tree)
                module.body = [*tree.body[:number], mutant, *tree.body[number + 1 :]]
                yield CodeMutant(node.name, f"{node.name}: {change}", ast.unparse(module))


def _changes(function: ast.FunctionDef) -> Iterator[tuple[str, ast.FunctionDef]]:
    for at, statement in enumerate(function.body):
        if isinstance(statement, ast.If):
            said = ast.unparse(statement.test)
            yield f"without `if {said}`", _replaced(function, at, None)
            for weaker in _weaker(statement.test):
                changed = copy.deepcopy(statement)
                changed.test = weaker
                said_now = f"`{said}` becomes `{ast.unparse(weaker)}`"
                yield said_now, _replaced(function, at, changed)
        result = statement.body[0] if isinstance(statement, ast.If) else statement
        if isinstance(result, ast.Return):
            yield from _other_results(function, at, result)


def _replaced(function: ast.FunctionDef, at: int, new: ast.stmt | None) -> ast.FunctionDef:
    mutant = copy.copy(function)
    mutant.body = [*function.body[:at], *([new] if new else []), *function.body[at + 1 :]]
    return mutant


def _weaker(test: ast.expr) -> Iterator[ast.expr]:
    if isinstance(test, ast.BoolOp):
        for i in range(len(test.values)):
            rest = [v for j, v in enumerate(test.values) if j != i]
            yield rest[0] if len(rest) == 1 else ast.BoolOp(test.op, rest)
    elif isinstance(test, ast.Compare):
        swap: dict[type[ast.cmpop], ast.cmpop] = {
            ast.LtE: ast.Lt(),
            ast.Gt: ast.GtE(),
            ast.Eq: ast.GtE(),
            ast.NotEq: ast.Gt(),
        }
        yield ast.Compare(test.left, [swap[type(test.ops[0])]], test.comparators)


def _other_results(
    function: ast.FunctionDef, at: int, result: ast.Return
) -> Iterator[tuple[str, ast.FunctionDef]]:
    assert isinstance(result.value, ast.Tuple)
    kinds = ast.unparse(function.returns or result)[len("tuple[") : -1].split(", ")
    for i, (value, kind) in enumerate(zip(result.value.elts, kinds, strict=True)):
        other: ast.expr = ast.UnaryOp(ast.Not(), value)
        if kind == "int":
            other = ast.BinOp(value, ast.Add(), ast.Constant(1))
        changed = copy.deepcopy(function)
        statement = changed.body[at]
        inner = statement.body[0] if isinstance(statement, ast.If) else statement
        assert isinstance(inner, ast.Return)
        assert isinstance(inner.value, ast.Tuple)
        inner.value.elts[i] = other
        yield f"{ast.unparse(result)} with {ast.unparse(other)}", changed


def is_refuted(mutant: CodeMutant) -> bool:
    """Whether the contract of the changed function is refuted."""
    module = ModuleType("_lifecycle")
    exec(compile(mutant.source, f"<{mutant.name}>", "exec"), module.__dict__)
    try:
        contracts.__dict__["_lifecycle"] = module
        return any(
            _verdict(message.state) is Verdict.REFUTED
            for checkable in analyze_function(getattr(contracts, mutant.function), OPTIONS)
            for message in checkable.analyze()
        )
    finally:
        contracts.__dict__["_lifecycle"] = _lifecycle


def survivors_of(function: str) -> tuple[int, list[str]]:
    """How many mutants a function has, and the names of those that its contract does not refute."""
    mutants = [m for m in code_mutants() if m.function == function]
    return len(mutants), [m.name for m in mutants if not is_refuted(m)]


# --------------------------------------------------------------------------------------- rows


def rows() -> Iterator[Row]:
    """One row a function, and one for the mutants."""
    every = [(contracts, name) for name in _lifecycle.EVENTS]
    for module, function in (*every, *((accounts, name) for name in accounts.FUNCTIONS)):
        started = time.perf_counter()
        found = check_contract(function, module)
        yield Row(
            f"contract of {function}: {len(found)} conditions confirmed over all paths",
            "CrossHair on the emitted code" if module is contracts else "CrossHair on the code",
            min(c.verdict for c in found),
            "all integers and truth values",
            time.perf_counter() - started,
            "that these are the right rules, or that the pool applies them to the right slot",
            tuple(c.line() for c in found if c.verdict is not Verdict.CONFIRMED),
        )
    yield mutant_row()


def mutant_row() -> Row:
    """Every change of the emitted code is refuted by its function's contract."""
    started = time.perf_counter()
    with ProcessPoolExecutor(2) as pool:
        results = []
        for name, result in zip(
            _lifecycle.EVENTS, pool.map(survivors_of, _lifecycle.EVENTS), strict=True
        ):
            progress(f"changes of the emitted code, up to {name}")
            results.append(result)
    count = sum(n for n, _ in results)
    alive = tuple(f"{name}: SURVIVES" for _, names in results for name in names)
    return Row(
        f"{count} changes of the emitted code, each refuted by a contract",
        "CrossHair on each changed function",
        Verdict.REFUTED if alive else Verdict.CONFIRMED,
        "single changes: a test dropped or weakened, a returned value changed",
        time.perf_counter() - started,
        "that no other change would go unnoticed",
        alive,
    )
