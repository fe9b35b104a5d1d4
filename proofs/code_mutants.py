"""The code of the pool, broken one place at a time: which of the proofs and tests notices.

A mutant is one change of one line (``proofs/changes.py``). It is run in a process of its own, in
which the changed source stands for the module before anything imports it; nothing on disk is
changed. The methods are tried one after the other, cheapest first, until one fails; what it says
names the property, the call or the step at which the code and the model part.

``python -m proofs.code_mutants`` runs all of them (an hour or so) and renews
``proofs/code_mutants.txt``; a sample of them is part of ``make verify``.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from nbio.verify.engine import Verdict
from proofs.changes import FILES, ROOT, Changed, Mutant, mutants
from proofs.ledger import Row, progress

TABLE: Final = Path(__file__).with_suffix(".txt")
SECONDS: Final = 120.0
"""Given to one method on one mutant; a mutant that hangs is noticed too."""


def contracts_notice() -> str:
    """A contract that the emitted code no longer meets."""
    from nbio import _lifecycle
    from proofs import paths

    for function in _lifecycle.EVENTS:
        for condition in paths.check_contract(function):
            if condition.verdict is not Verdict.CONFIRMED:
                return condition.line()
    return ""


def refinement_notices() -> str:
    """A transition of the model that the code takes elsewhere, or an emitted function."""
    from model.world import Bounds
    from proofs import refinement

    small = Bounds(slots=1, requests=2, blocks=1, leftovers=0, keepers=1, buffers=2, detachers=1)
    *wrong, _ = refinement.emitted_equals_tables()
    return next(iter(wrong or refinement.walk(small).differences), "")


def histories_notice() -> str:
    """A history that no order explains."""
    from proofs import histories

    return histories.record(300).told.replace("\n", "; ")


METHODS: Final[dict[str, Callable[[], str]]] = {
    "refinement": refinement_notices,
    "histories": histories_notice,
    "contracts": contracts_notice,
}
"""Tried inside the process, in this order; the others are commands of their own."""
COMMANDS: Final = {
    "stateful": ("tests/test_stateful_body.py",),
    "finalizers": ("tests/test_finalizer.py",),
    "examples": (
        "tests/test_pool.py",
        "tests/test_body.py",
        "tests/test_body_waiting.py",
        "tests/test_body_views.py",
        "tests/test_blocks.py",
        "tests/test_backpressure.py",
    ),
}
"""Tests, by pytest: the last are based on examples, and count as the weakest evidence."""


def notice(number: int, method: str) -> int:
    """In the child: run one method on one mutant; exit 1 with a line of why when it notices."""
    sys.meta_path.insert(0, Changed(mutants()[number]))
    if method in COMMANDS:
        import pytest

        options = ["-q", "-x", "-p", "no:cacheprovider", "--no-header", "--tb=line"]
        return int(pytest.main([*options, *(str(ROOT / path) for path in COMMANDS[method])]) != 0)
    try:
        told = METHODS[method]()
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
    print(told.splitlines()[0] if told else "")
    return int(bool(told))


# -------------------------------------------------------------------------------- the verdicts


@dataclass(frozen=True)
class Fate:
    """What noticed a mutant ("" for nothing), what it said, and after how many seconds."""

    mutant: Mutant
    by: str
    said: str
    seconds: float

    def line(self) -> str:
        """One line of the table."""
        return f"{self.by or 'SURVIVES':<11} {self.mutant.name}  {self.said}".rstrip()


def fate_of(number: int, mutant: Mutant) -> Fate:
    """Run the methods on a mutant until one notices."""
    started = time.perf_counter()
    for method in (*METHODS, *COMMANDS):
        if method == "contracts" and mutant.file != "_lifecycle":
            continue
        code, said = _run(number, method)
        if code:
            return Fate(mutant, method, said, time.perf_counter() - started)
    return Fate(mutant, "", "", time.perf_counter() - started)


def _run(number: int, method: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "proofs.code_mutants", "--notice", str(number), method]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, cwd=ROOT, check=False
        )
    except subprocess.TimeoutExpired:
        return 1, f"hangs for more than {SECONDS:g} s"
    lines = [x for x in done.stdout.splitlines() if x.strip()]
    failed = [x for x in lines if x.startswith("FAILED") or ": Assertion" in x or "Error" in x]
    said = (failed or lines or done.stderr.splitlines()[-1:] or [""])[-1]
    return done.returncode, said.replace(str(ROOT) + "/", "")[:160]


def fates(numbers: Sequence[int]) -> Iterator[Fate]:
    """The fates of the numbered mutants, two at a time."""
    every = mutants()
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda n: fate_of(n, every[n]), numbers)
        for done, fate in enumerate(found, 1):
            progress(f"mutants of the code: {done} of {len(numbers)}")
            yield fate


def source_hash() -> str:
    """SHA-256 of the files that are broken."""
    texts = [(ROOT / "nbio" / f"{file}.py").read_bytes() for file in FILES]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()


SAMPLE: Final = (
    "_lifecycle: acquire: `state != FREE` never",
    "_lifecycle: close: `presented != generation` never",
    "_lifecycle: lease: without `leased != NONE`",
    "pool: BodyPool._assign: without `guard.armed = True`",
    "pool: BodyPool.recycle: without `idle += (slot,)`",
    "handle: Handle._feed_block: `waiter is not None` always",
    "handle: Handle._follow: `waiter is not None` never",
)
"""In `make verify`: guards of the pool, deleted. Which of all mutants survive is not known yet."""


def rows() -> Iterator[Row]:
    """A sample of the mutants; all of them are the business of ``make verify-full``."""
    started = time.perf_counter()
    names = {f"{m.file}: {'.'.join(m.path)}: {m.change}": n for n, m in enumerate(mutants())}
    gone = [name for name in SAMPLE if name not in names]
    found = list(fates([names[name] for name in SAMPLE if name in names]))
    alive = tuple(f.line() for f in found if not f.by)
    yield Row(
        f"{len(found) - len(alive)} of a sample of {len(found)} mutants of the pool's code noticed",
        "; ".join(f"{n}: {sum(f.by == n for f in found)}" for n in (*METHODS, *COMMANDS)),
        Verdict.UNKNOWN if alive or gone else Verdict.CONFIRMED,
        "one change of one line, each within a minute a method",
        time.perf_counter() - started,
        "the other mutants: proofs/code_mutants.txt, renewed by make verify-full",
        (*alive, *(f"there is no such mutant now: {name}" for name in gone)),
    )


def table(found: Sequence[Fate], of: int) -> str:
    """The table's text; ``of``: how many mutants there are."""
    by = {name: sum(f.by == name for f in found) for name in (*METHODS, *COMMANDS, "")}
    said = ", ".join(f"{n or 'nothing'} {count}" for n, count in by.items())
    head = [
        f"# {date.today()}, Python {platform.python_version()}, {platform.machine()}",
        f"# SHA-256 of the sources: {source_hash()}",
        f"# {len(found)} mutants, evenly spread over {of}, noticed by: {said}",
        "# The first of the methods that notices is named; `examples` come last.",
    ]
    return "\n".join([*head, *(f.line() for f in found)]) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run all mutants (or every n-th) and write the table; or be one of its children."""
    parser = argparse.ArgumentParser(prog="python -m proofs.code_mutants", description=__doc__)
    parser.add_argument("--notice", nargs=2, metavar=("NUMBER", "METHOD"), help=argparse.SUPPRESS)
    parser.add_argument("--every", type=int, default=1, help="only each n-th mutant")
    asked = parser.parse_args(argv)
    if asked.notice:
        return notice(int(asked.notice[0]), asked.notice[1])
    found = []
    for fate in fates(range(0, len(mutants()), asked.every)):
        print(fate.line(), flush=True)
        found.append(fate)
    TABLE.write_text(table(found, len(mutants())), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
