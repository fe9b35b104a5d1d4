"""SPIN, which shares no code with our checker, judges the exported models and must agree.

Each model is exported at its ci bounds (:mod:`nbio.verify.promela`) and explored breadth-first
without reductions. The number of states, of transitions, the depth and every verdict must be those
of our own search.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from model import claims
from model.registry import build
from nbio.verify.check import Report, check
from nbio.verify.engine import Verdict
from nbio.verify.promela import Export, exported
from nbio.verify.spec import Model
from proofs.ledger import Row

NEEDED: Final = ("spin", "gcc")
GCC: Final = ("gcc", "-w", "-DSAFETY", "-DBFS", "-DNOREDUCE", "-DMEMLIM=8000")
_SHOWN: Final = 5
_OPTIMISED: Final = 500_000
"""From so many transitions on, an optimised search saves more than compiling it takes."""


@dataclass(frozen=True)
class Judged:
    """What SPIN found: counts, and the temporaries that were false in some state."""

    stored: int
    matched: int
    depth: int
    violated: frozenset[str]


def missing() -> list[str]:
    """Programs that are not installed."""
    return [name for name in NEEDED if shutil.which(name) is None]


def judge(promela: str, hash_bits: int = 22, optimised: bool = True) -> Judged:
    """Explore a Promela model; RuntimeError with SPIN's or the compiler's words where it fails.

    The search doesn't stop at a violation. ``hash_bits``: the size of SPIN's hash table;
    ``optimised``: compiled for a long search.
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.pml").write_text(promela, encoding="utf-8")
        _run(folder, "spin", "-a", "model.pml")
        _run(folder, *GCC, "-O1" if optimised else "-O0", "-o", "pan", "pan.c")
        return _read(_run(folder, "./pan", f"-w{hash_bits}", "-c0", "-E"))


def _run(folder: str, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()[-_SHOWN:]
        raise RuntimeError(f"{' '.join(command[:2])} failed: {' / '.join(said)}")
    return done.stdout


def _read(out: str) -> Judged:
    def number(pattern: str) -> int:
        found = re.search(pattern, out)
        if found is None or "Search not completed" in out or "truncated" in out:
            raise RuntimeError(f"SPIN did not finish: {' / '.join(out.splitlines()[-_SHOWN:])}")
        return int(found[1])

    return Judged(
        number(r"(\d+) states, stored"),
        number(r"(\d+) states, matched"),
        number(r"depth reached (\d+)"),
        frozenset(re.findall(r"assertion violated (\S+) \(at", out)),
    )


def differences(report: Report, export: Export, judged: Judged) -> list[str]:
    """Where SPIN and our search disagree, one line each."""
    found, more = report.found, int(export.chosen)
    sizes = (
        ("states", found.states + more, judged.stored),
        ("transitions and initial states", found.transitions + found.initial, judged.matched),
        ("depth", found.depth + more, judged.depth),
    )
    told = [
        f"{what}: ours {ours:,}, SPIN's {spins:,}" for what, ours, spins in sizes if ours != spins
    ]
    known = {c.temporary for c in export.claims}
    told += [f"SPIN reports {name}: an update leaves its range" for name in judged.violated - known]
    verdicts = {(r.kind, r.name): r.verdict for r in report.results}
    for claim in export.claims:
        violated = claim.temporary in judged.violated
        spins = Verdict.REFUTED if violated is (claim.kind == "always") else Verdict.CONFIRMED
        ours = verdicts[claim.kind, claim.name]
        if ours is not spins:
            told.append(f"{claim.kind} {claim.name}: ours {ours.name}, SPIN's {spins.name}")
    return told


def rows() -> Iterator[Row]:
    """Every ci claim's model. Where SPIN or gcc isn't installed each row is UNKNOWN and says so."""
    wanted = [c for c in claims.load() if c.tier == "ci"]
    wanted.sort(key=lambda c: -c.transitions)
    if absent := missing():
        told = f"{' and '.join(absent)} not installed: SPIN was not asked"
        told += f" (apt-get install {' '.join(absent)})"
        yield from (_row(c, Verdict.UNKNOWN, (told,), 0.0) for c in wanted)
        return
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(_asked, wanted)


def _asked(claim: claims.Claim) -> Row:
    started = time.perf_counter()
    told = agreement(build(claim.model, claim.bounds))
    verdict = Verdict.REFUTED if told else Verdict.CONFIRMED
    return _row(claim, verdict, tuple(told), time.perf_counter() - started)


def _row(claim: claims.Claim, verdict: Verdict, told: tuple[str, ...], seconds: float) -> Row:
    return Row(
        f"{claim.name}: SPIN agrees on {claim.states:,} states, {claim.transitions:,} transitions",
        "exported as Promela, explored by SPIN without reductions",
        verdict,
        " ".join(f"{k}={v}" for k, v in claim.bounds.items()),
        seconds,
        "leads_to, and the counterexamples' steps",
        (*told, f"re-derive: {claim.command}, and python -m proofs spin"),
    )


def agreement(model: Model) -> list[str]:
    """Explore a model with both; where they disagree."""
    export = exported(model)
    report = check(model, traces=False)
    optimised = report.found.transitions >= _OPTIMISED
    return differences(report, export, _judged_once(export.text, optimised))


_judging = threading.Lock()
_JUDGED: dict[str, Future[Judged]] = {}


def _judged_once(promela: str, optimised: bool) -> Judged:
    """As :func:`judge`. Models that differ in fairness only are one to SPIN, and asked once."""
    body = promela.partition("\n")[2]
    with _judging:
        known = _JUDGED.get(body)
        future: Future[Judged] = known or _JUDGED.setdefault(body, Future())
    if known is None:
        try:
            future.set_result(judge(promela, optimised=optimised))
        except BaseException as error:
            future.set_exception(error)
    return future.result()
