"""How fast the checker is, beside SPIN, musil and minicheck, on the same models in one run.

    python -m tests.bench.bench_verify [--rounds 3] [--core 1] [--peer-python python3.12]

Everything is measured from the shell, end to end, on one core: for SPIN ``spin -a``, gcc -O2 and
the search (breadth-first, without reductions, so that all visit the same states). The rows of one
model are run in turn, round by round. A ratio is the other's wall time to ours, round by round:
its median, least and greatest; and the same of processor time, which other work on the machine
disturbs less. Musil and minicheck need Python 3.12 and are installed into a
folder of their own. What isn't installed is skipped, with a word.
"""

import argparse
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model import claims
from model.registry import build
from nbio.verify.promela import to_promela

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
COUNTERS = HERE / "counters"
CHECK = (sys.executable, "-m", "nbio.verify", "check")
PEERS = ("musil", "minicheck")


@dataclass(frozen=True)
class Entry:
    """One checker on one model: commands that are timed together, and what they must print."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    states: int
    alone: bool = True
    """On one core; otherwise on all."""


@dataclass(frozen=True)
class Ran:
    """What one run took: seconds of wall time and of processor time, kilobytes at its peak."""

    seconds: float
    cpu: float
    peak: int


def run(entry: Entry, core: int) -> Ran:
    """Run an entry's commands on one core; RuntimeError unless it found the states it should."""
    cores = {core} if entry.alone else os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory() as folder:
        started, said, peak, cpu = time.perf_counter(), "", 0, 0.0
        for command in entry.commands:
            with subprocess.Popen(
                command,
                cwd=folder,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                preexec_fn=lambda: os.sched_setaffinity(0, cores),
            ) as process:
                assert process.stdout is not None
                said = process.stdout.read()
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
            peak = max(peak, usage.ru_maxrss)
            cpu += usage.ru_utime + usage.ru_stime
            if process.returncode:
                raise RuntimeError(f"{entry.name}: {command[0]} failed: {said[-500:]}")
        seconds = time.perf_counter() - started
    numbers = re.findall(r"\d[\d,]*", said)
    if not any(int(n.replace(",", "")) == entry.states for n in numbers):
        raise RuntimeError(f"{entry.name} did not find {entry.states} states: {said[-500:]}")
    return Ran(seconds, cpu, peak)


def spin(name: str, model: Path, states: int, defines: Sequence[str], bits: int) -> Entry:
    """SPIN on a model, from its text to the end of the search."""
    compile_ = ("gcc", "-O2", "-w", "-DSAFETY", "-DBFS", "-DNOREDUCE", "-DMEMLIM=12000")
    return Entry(
        name,
        (
            ("spin", "-a", *defines, str(model)),
            (*compile_, "-o", "pan", "pan.c"),
            ("./pan", f"-w{bits}", "-c0", "-E"),
        ),
        states,
    )


def compare(title: str, entries: Sequence[Entry], rounds: int, core: int) -> None:
    """Run the entries in turn and print a row each; the first is ours."""
    print(f"\n{title}")
    ran: dict[str, list[Ran]] = {e.name: [] for e in entries}
    for _ in range(rounds):
        for entry in entries:
            ran[entry.name].append(run(entry, core))
    ours = ran[entries[0].name]
    for name, runs in ran.items():
        wall, cpu = ([getattr(r, of) for r in runs] for of in ("seconds", "cpu"))
        told = [
            f"{statistics.median(taken):8.2f} s {_ratio(taken, [getattr(o, of) for o in ours]):<24}"
            for taken, of in ((wall, "seconds"), (cpu, "cpu"))
        ]
        peak = max(r.peak for r in runs) / 1024
        print(f"  {name:<14} {' processor '.join(told)} {peak:8,.0f} MiB", flush=True)


def _ratio(taken: Sequence[float], ours: Sequence[float]) -> str:
    ratios = sorted(t / o for t, o in zip(taken, ours, strict=True))
    return f"{statistics.median(ratios):6.1f} x ({ratios[0]:.1f} to {ratios[-1]:.1f})"


def peer_python(named: str) -> list[str]:
    """A Python that has musil and minicheck, in a folder of its own; empty where there is none."""
    found = shutil.which(named)
    if found is None:
        print(f"skipped: musil and minicheck, as there is no {named} (see --peer-python)")
        return []
    folder = ROOT / "build" / "peers"
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([found, "-m", "venv", str(folder)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, *PEERS], check=True)
    return [str(python)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--core", type=int, default=1)
    parser.add_argument("--peer-python", default="python3.12")
    args = parser.parse_args()
    has_spin = all(map(shutil.which, ("spin", "gcc")))
    if not has_spin:
        print("skipped: SPIN, as spin or gcc is missing")
    peers = peer_python(args.peer_python)
    print(f"{platform.machine()}, Python {platform.python_version()}, core {args.core} alone,")
    print(f"median of {args.rounds} rounds; ratio: the row's time to ours")

    ours, states = str(COUNTERS / "ours.py"), 21**5
    entries = [Entry("nbio.verify", ((*CHECK, ours),), states)]
    if has_spin:
        entries.append(spin("SPIN", COUNTERS / "by_spin.pml", states, ["-DTOP=20"], 24))
    entries += [
        Entry(name, ((*peers, str(COUNTERS / f"by_{name}.py"), "20"),), states)
        for name in PEERS
        if peers
    ]
    compare(f"counters: {states:,} states, 19,448,100 transitions", entries, args.rounds, args.core)

    world = next(c for c in claims.load() if c.name == "final")
    states = world.states
    entries = [Entry("nbio.verify", ((*CHECK, "model.final:final"),), states)]
    if has_spin:
        model = ROOT / "build" / "final.pml"
        model.parent.mkdir(exist_ok=True)
        model.write_text(to_promela(build("final", {})), encoding="utf-8")
        entries.append(spin("SPIN, by hand", HERE / "final_world.pml", states, [], 22))
        entries.append(spin("SPIN, export", model, states, [], 22))
    title = f"the final design's world: {states:,} states, {world.transitions:,} transitions"
    compare(title, entries, args.rounds, args.core)

    for title, target, states in (
        ("the final design's world", ("model.final:final",), world.states),
        ("six counters", (ours, "--set", "many=6", "--set", "top=17"), 18**6),
    ):
        one = Entry("one process", ((*CHECK, *target),), states, alone=False)
        two = Entry("two workers", ((*CHECK, *target, "--workers", "2"),), states, alone=False)
        compare(f"{title}, two workers on two cores: {states:,} states", [two, one], args.rounds, 0)

    states = 18**6
    large = Entry("nbio.verify", ((*CHECK, ours, "--set", "many=6", "--set", "top=17"),), states)
    compare(f"six counters: {states:,} states", [large], 1, args.core)
    peak = run(large, args.core).peak * 1024
    print(f"  {(peak - 500e6) / states:.1f} bytes a state beyond 500 MB")

    small = Entry("nbio.verify", ((*CHECK, ours, "--set", "many=2", "--set", "top=9"),), 100)
    compare("a small model, from the shell: 100 states", [small], args.rounds, args.core)


if __name__ == "__main__":
    main()
