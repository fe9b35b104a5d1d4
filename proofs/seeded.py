"""Bugs planted in the connection's and the body's code, one at a time: which machine finds them.

Each is one change that somebody could make, in words; it is made in the text of one module, in a
process of its own, before anything imports that module: nothing on disk is changed. The machines
(`tests/test_stateful_*.py`) then look for it, at the budget of `make test`.

``python -m proofs.seeded`` tries all of them and renews ``proofs/seeded.txt``.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Final

from proofs.bugs import BUGS, Bug
from proofs.changes import ROOT

TABLE: Final = Path(__file__).with_suffix(".txt")
MACHINES: Final = ("connection", "server", "body", "pool")
POOLED: Final = ("views", "blocks", "handle")
"""Only of these files do the machines of the body and the pool run anything."""
HANGS: Final = -1
SECONDS: Final = 180.0
"""Given to one machine and one bug; a bug that makes everything hang is found too."""


class Planted(SourceFileLoader):
    """Loads a module's text with the bug in it, and no bytecode."""

    def __init__(self, bug: Bug) -> None:
        super().__init__(f"nbio.{bug.file}", str(ROOT / "nbio" / f"{bug.file}.py"))
        self.bug = bug

    def get_data(self, path: str) -> bytes:
        """The text, changed."""
        if not path.endswith(".py"):
            raise OSError("no bytecode")
        return self.bug.planted(super().get_data(path).decode()).encode()


class Finder(MetaPathFinder):
    """Finds that module there."""

    def __init__(self, bug: Bug) -> None:
        self.loader = Planted(bug)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Only that module."""
        if name != self.loader.name:
            return None
        return spec_from_file_location(name, self.loader.path, loader=self.loader)


def hunt(number: int, machine: str) -> int:
    """In the child: one machine looks for one bug."""
    sys.dont_write_bytecode = True
    sys.meta_path.insert(0, Finder(BUGS[number]))
    import pytest

    options = [
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "--no-header",
        "--tb=line",
    ]
    return int(pytest.main([*options, str(ROOT / f"tests/test_stateful_{machine}.py")]))


@dataclass(frozen=True)
class Found:
    """What became of a bug: by machine, after how many examples it was found.

    0: not at all. HANGS: the machine never came to an end.
    """

    bug: Bug
    examples: dict[str, int]

    def line(self) -> str:
        """One line of the table."""
        said = [f"{m} {n if n > 0 else 'hangs'}" for m, n in self.examples.items() if n]
        not_by = [m for m, n in self.examples.items() if not n]
        told = ", ".join(said) or "NOT FOUND"
        told += f"; not by {', '.join(not_by)}" if not_by else ""
        return f"{self.bug.file}: {self.bug.says}\n    {told}"


def tried(number: int, machine: str) -> int:
    """After how many examples a machine found a bug; 0 when it didn't."""
    command = [sys.executable, "-m", "proofs.seeded", "--hunt", str(number), machine]
    environment = {**os.environ, "NBIO_HUNT": "1"}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return HANGS
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{machine} and {BUGS[number].says}: {done.stdout}{done.stderr}")
    match = re.search(r"(\d+) examples", done.stdout)
    return max(1, int(match[1])) if done.returncode and match else 0


def results(numbers: Sequence[int]) -> Iterator[Found]:
    """The numbered bugs, each by the machines that run its file."""
    for number in numbers:
        machines = MACHINES if BUGS[number].file in POOLED else MACHINES[:2]
        yield Found(BUGS[number], {m: tried(number, m) for m in machines})


def table(found: Sequence[Found]) -> str:
    """The table's text."""
    missed = sum(not any(f.examples.values()) for f in found)
    by = ", ".join(f"{m} {sum(bool(f.examples.get(m)) for f in found)}" for m in MACHINES)
    head = [
        f"# {date.today()}, Python {platform.python_version()}, by python -m proofs.seeded",
        f"# {len(found)} planted bugs; found by: {by}; by none: {missed}",
        "# Behind each machine that found it: in how many examples. Who isn't named wasn't tried.",
    ]
    return "\n".join([*head, *(f.line() for f in found)]) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Try all bugs and write the table; or be one of its children."""
    parser = argparse.ArgumentParser(prog="python -m proofs.seeded", description=__doc__)
    parser.add_argument("--hunt", nargs=2, metavar=("NUMBER", "MACHINE"), help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if asked.hunt:
        return hunt(int(asked.hunt[0]), asked.hunt[1])
    found = []
    for one in results(range(len(BUGS))):
        print(one.line(), flush=True)
        found.append(one)
    TABLE.write_text(table(found), encoding="utf-8")
    return int(any(not any(one.examples.values()) for one in found))


if __name__ == "__main__":
    sys.exit(main())
