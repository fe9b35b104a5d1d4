"""The code of the pool, broken one place at a time: which of the proofs and tests notices.

A mutant is one change of one line (``proofs/changes.py``), run in processes of its own, in which
the changed module stands for the real one; nothing on disk is changed. The methods
(``proofs/noticing.py``) are asked one after the other, cheapest first, until one has something to
say: it names the property, the contract or the step at which code and model part.

``python -m proofs.code_mutants`` runs all of them and renews ``proofs/code_mutants.txt``. What is
known is kept in ``build/``, so that a run that was ended goes on, and only mutants of files that
were changed are run again. A sample is part of ``make verify``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Final

from nbio.verify.engine import Verdict
from proofs.changes import FILES, GUARDS, ROOT, Mutant, hash_of, mutants, unchanged
from proofs.ledger import Row, progress

TABLE: Final = Path(__file__).with_suffix(".txt")
KEPT: Final = ROOT / "build" / "code_mutants.jsonl"
NOTHING: Final = "nothing"
MINUTE: Final = 60.0


@dataclass(frozen=True)
class Fate:
    """What noticed a mutant, what it said, and how long that took from the first method's start."""

    key: str
    hash: str
    by: str
    said: str
    seconds: float
    hung: str = ""
    without: str = ""
    """The methods that had nothing to say, where it matters: of a weak fate."""

    @property
    def is_weak(self) -> bool:
        """Whether nothing noticed but examples at most."""
        return self.by in (NOTHING, "examples")

    def line(self) -> str:
        """One line of the table."""
        said = self.hung or self.said
        return f"{self.by:<11} {self.seconds:6.1f} s  {self.key}  {said}".rstrip()


def fates(wanted: Sequence[Mutant], workers: int, last: str = "examples") -> Iterator[Fate]:
    """The fates of mutants, in the order in which they are known; asked as far as a method."""
    from proofs import forked, noticing

    noticing.prepare()
    methods = [list(noticing.asked(m, last)) for m in wanted]
    calls = [
        [partial(noticing.answer, mutant, method) for method in names]
        for mutant, names in zip(wanted, methods, strict=True)
    ]
    for number, answers in forked.asked_in_turn(calls, workers):
        told, mutant = answers[-1], wanted[number]
        noticed = told.said or told.hung
        by = methods[number][len(answers) - 1] if noticed else NOTHING
        seconds = round(sum(a.seconds for a in answers), 2)
        said = " ".join(told.said.replace(f"{ROOT}/", "").split())[:200]
        without = " ".join(methods[number]) if by in (NOTHING, "examples") else ""
        yield Fate(mutant.key, hash_of(mutant.file), by, said, seconds, told.hung, without)


# ------------------------------------------------------------------------------- what is known


def known() -> dict[str, Fate]:
    """What earlier runs found, of the files as they are now, by the methods that there are now."""
    from proofs.noticing import METHODS

    if not KEPT.exists():
        return {}
    lines = KEPT.read_text(encoding="utf-8").splitlines()
    found = [Fate(**json.loads(line)) for line in lines]
    now = {file: hash_of(file) for file in FILES}
    found = [f for f in found if now.get(f.key.partition(":")[0]) == f.hash]
    return {
        f.key: f
        for f in found
        if not f.is_weak or set(METHODS) - {"contracts"} <= set(f.without.split())
    }


def keep(fate: Fate) -> None:
    """Note what was found."""
    KEPT.parent.mkdir(exist_ok=True)
    with KEPT.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(fate)) + "\n")


# ----------------------------------------------------------------------------------- the table


def summary(found: Sequence[Fate], every: Sequence[Mutant]) -> Iterator[str]:
    """Per file and kind of change: how many, and noticed by which method."""
    columns = [m for m in (*_methods(), NOTHING) if any(f.by == m for f in found)]
    by = {f.key: f.by for f in found}
    head = f"{'file':<11} {'change':<8} {'all':>4} {'not yet':>7}"
    yield head + "".join(f" {c:>{max(6, len(c))}}" for c in columns)
    for file in (*FILES, "all"):
        for kind in (*sorted({m.kind for m in every}), "all"):
            group = [m for m in every if file in (m.file, "all") and kind in (m.kind, "all")]
            if not group:
                continue
            count = Counter(by.get(m.key, "") for m in group)
            cells = "".join(f" {count[c] or '.':>{max(6, len(c))}}" for c in columns)
            yield f"{file:<11} {kind:<8} {len(group):>4} {count[''] or '.':>7}{cells}"


def _methods() -> tuple[str, ...]:
    from proofs.noticing import METHODS

    return tuple(METHODS)


def table(found: Sequence[Fate], every: Sequence[Mutant]) -> str:
    """The table's text."""
    guards = {m.key for m in every if m.is_guard}
    deleted = [f for f in found if f.key in guards]
    caught = [f for f in deleted if f.by != NOTHING]
    late = [f for f in caught if f.seconds > MINUTE]
    cores = f"{os.cpu_count()} cores, load {os.getloadavg()[2]:.0f}"
    machine = f"{platform.machine()}, {cores}"
    in_time = len(caught) - len(late)
    head = [
        "# Written by python -m proofs.code_mutants; do not edit.",
        f"# {date.today()}, Python {platform.python_version()}, {machine}",
        *(f"# {file}.py {hash_of(file)}" for file in FILES),
        f"# {len(found)} of {len(every)} mutants run until one method noticed, or all were asked;",
        "# the others not yet (`not yet` below): run it again to go on.",
        f"# {len(guards)} delete a guard ({', '.join(GUARDS)}); of these {len(deleted)} run,",
        f"# {len(caught)} noticed, {in_time} of them within a minute.",
        "# The first method that notices is named, `examples` last; the seconds are those of all",
        "# methods until then.",
        "",
    ]
    order = {m.key: n for n, m in enumerate(every)}
    lines = [f.line() for f in sorted(found, key=lambda f: (f.by != NOTHING, order[f.key]))]
    return "\n".join([*head, *summary(found, every), "", *lines]) + "\n"


def stale() -> list[str]:
    """The files that were changed since the table was written, and what else is amiss with it."""
    if not TABLE.exists():
        return ["there is no table"]
    text = TABLE.read_text(encoding="utf-8")
    return [f"{file}.py is another" for file in FILES if f"# {file}.py {hash_of(file)}" not in text]


# ----------------------------------------------------------------------------------- the ledger

SAMPLE: Final = (
    "_lifecycle: acquire: `state != FREE` never",
    "_lifecycle: close: `presented != generation` never",
    "_lifecycle: lease: without `leased != NONE`",
    "counting: is_rested: without `idle > 0`",
    "pool: BodyPool._assign: without `guard.armed = True`",
    "pool: BodyPool.recycle: without `idle += (slot,)`",
    "body: BodyReader.read: `n == 0` never",
    "handle: Handle._feed_block: without the lock",
    "handle: Handle._feed_block: `waiter is not None` always",
    "handle: Handle.finish: not registered as a section",
    "handle: Handle._follow: `waiter is not None` never",
)
"""In `make verify`: guards of the pool, deleted."""


def sampled(keys: Iterable[str]) -> list[Fate]:
    """The fates of some, found now, by a process of its own: this one has imported the pool."""
    command = [sys.executable, "-m", "proofs.code_mutants", "--only", *keys]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = [x for x in ran.stdout.splitlines() if x.startswith("{")]
    return [Fate(**json.loads(line)) for line in lines]


def rows() -> Iterator[Row]:
    """A sample of the mutants; all of them are the business of ``make verify-full``."""
    started = time.perf_counter()
    there = {m.key for m in mutants()}
    found = sampled([k for k in SAMPLE if k in there])
    bad = tuple(f.line() for f in found if f.is_weak or f.seconds > MINUTE)
    gone = tuple(f"there is no such mutant now: {k}" for k in SAMPLE if k not in there)
    by = Counter(f.by for f in found)
    old = stale()
    yield Row(
        f"{len(found) - len(bad)} of a sample of {len(SAMPLE)} mutants of the pool's code noticed "
        "within a minute each",
        "; ".join(f"{name}: {count}" for name, count in by.items()),
        Verdict.UNKNOWN if bad or gone or len(found) < len(SAMPLE) else Verdict.CONFIRMED,
        "one change of one line",
        time.perf_counter() - started,
        "the other mutants: proofs/code_mutants.txt"
        + (f", which is of older code ({'; '.join(old)})" if old else ", which is of this code"),
        (*bad, *gone),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run what isn't known yet and write the table."""
    parser = argparse.ArgumentParser(prog="python -m proofs.code_mutants", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], metavar="KEY", help="run these, keep none")
    parser.add_argument("--files", nargs="+", default=FILES, choices=FILES, help="of these files")
    parser.add_argument("--control", action="store_true", help="run the unbroken code")
    parser.add_argument("--last", default="examples", help="ask no method after this one")
    parser.add_argument("--guards", action="store_true", help="only deleted guards")
    parser.add_argument("--workers", type=int, default=2, help="processes at once (2)")
    parser.add_argument("--table", action="store_true", help="only write the table again")
    parser.add_argument("--check", action="store_true", help="only say whether the table is stale")
    asked = parser.parse_args(argv)
    # Ended from outside it ends its children too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if asked.check:
        for why in stale():
            print(f"proofs/code_mutants.txt is of older code: {why} (make code-mutants)")
        return 0
    every = mutants()
    if asked.only or asked.control:
        wanted = [m for m in every if m.key in asked.only]
        wanted += [unchanged(file) for file in asked.files if asked.control]
        for fate in fates(wanted, asked.workers):
            print(json.dumps(asdict(fate)), flush=True)
        return 0
    have = known()
    wanted = [m for m in every if m.key not in have and m.file in asked.files and not asked.table]
    wanted = [m for m in wanted if m.is_guard or not asked.guards]
    for done, fate in enumerate(fates(wanted, asked.workers, asked.last) if wanted else (), 1):
        if asked.last == "examples" or not fate.is_weak:
            keep(fate)
        print(fate.line(), flush=True)
        progress(f"mutants of the code: {done} of {len(wanted)}")
    have = known()
    TABLE.write_text(table([have[m.key] for m in every if m.key in have], every), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
