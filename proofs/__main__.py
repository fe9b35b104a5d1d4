"""``python -m proofs``: re-derive everything that is claimed, and print one ledger.

Exit code 0 where every claim came out as claimed, 1 where one is refuted, 3 where one could not be
decided; 2 for misuse.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor

from model import claims, emit
from nbio.variant import COMPILED
from nbio.verify.engine import Verdict
from proofs import (
    code_mutants,
    fuzzing,
    histories,
    induction,
    interrupts,
    lanes,
    machines,
    mutants,
    paths,
    refinement,
    schedules,
    spin,
    symbolic,
)
from proofs.ledger import Row, worst

Section = Callable[[], Iterable[Row]]


def emitted() -> Iterable[Row]:
    """The server runs what ``model/lifecycle.py`` says."""
    stale = emit.is_stale()
    yield Row(
        "nbio/_lifecycle.py is what model/lifecycle.py says",
        "emitted again and compared",
        Verdict.REFUTED if stale else Verdict.CONFIRMED,
        "the whole file",
        0.0,
        "that the emitter is right (contracts and refinement show that)",
        (f"it is stale: run {emit.COMMAND}",),
    )


def claimed() -> Iterable[Row]:
    """Every ci claim of ``model/CLAIMS.toml``, recomputed; the largest ones first."""
    wanted = [c for c in claims.load() if c.tier == "ci"]
    wanted.sort(key=lambda c: -c.transitions)
    with ProcessPoolExecutor(2) as pool:
        yield from pool.map(claim_row, wanted)


def claim_row(claim: claims.Claim) -> Row:
    """One claim recomputed (a task for a worker process)."""
    checked = claims.recheck(claim)
    found = checked.report.found
    return Row(
        f"{claim.name}: {claim.says}",
        f"explicit-state search, {found.states:,} states, {found.transitions:,} transitions",
        Verdict.REFUTED if checked.differences else Verdict.CONFIRMED,
        checked.report.bounds,
        found.seconds,
        "anything beyond these bounds, or finer than one step of the model",
        (*checked.differences, f"re-derive: {claim.command}"),
    )


def broken() -> Iterable[Row]:
    """Every guard of the lifecycle, broken once."""
    yield mutants.row()


SECTIONS: dict[str, Section] = {
    "emitted": emitted,
    "induction": induction.rows,
    "contracts": paths.rows,
    "refinement": refinement.rows,
    "schedules": schedules.rows,
    "interrupts": interrupts.rows,
    "histories": histories.rows,
    "claims": claimed,
    "spin": spin.rows,
    "mutants": broken,
    "code": code_mutants.rows,
    "fuzzing": fuzzing.rows,
    "machines": machines.rows,
    "symbolic": symbolic.rows,
}


WIDE = ("induction", "contracts", "claims", "spin", "mutants", "code")
"""Sections that use two processors themselves: a lane of their own, one after the other."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sections and print the ledger as it grows."""
    parser = argparse.ArgumentParser(prog="python -m proofs", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--rows", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if COMPILED:
        parser.error("nbio is compiled here, and what is shown is shown of the source: NBIO_PURE=1")
    names = asked.sections or list(SECTIONS)
    for name in names:
        if name not in SECTIONS:
            parser.error(f"there is no section {name!r}; there are {', '.join(SECTIONS)}")
    if asked.rows:
        lanes.as_lines(row for name in names for row in SECTIONS[name]())
        return 0
    return told(names)


def told(names: Sequence[str]) -> int:
    """The ledger of these sections; its exit code."""
    started, rows, section = time.perf_counter(), list[Row](), ""
    wide, narrow = [n for n in names if n in WIDE], [n for n in names if n not in WIDE]
    for name, row in lanes.in_lanes([wide, narrow], names):
        if name != section:
            print(f"-- {name}", flush=True)
            section = name
        rows.append(row)
        print("\n".join(row.lines()), flush=True)
    verdict = worst(rows)
    confirmed = sum(r.verdict is Verdict.CONFIRMED for r in rows)
    seconds = time.perf_counter() - started
    print(f"{confirmed} of {len(rows)} rows confirmed as claimed, {seconds:.0f} s: {verdict.name}")
    return verdict.exit_code


if __name__ == "__main__":
    sys.exit(main())
