"""A search shared by several processes finds what one finds; and a lost one is no pass."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest

from model.registry import build
from nbio.verify import (
    Bounds,
    IntExpr,
    Model,
    ModelError,
    Report,
    Step,
    Verdict,
    check,
    check_on,
    dask_executors,
)
from nbio.verify.crew import ForkedCrew, WorkerLostError
from nbio.verify.engine import Progress
from nbio.verify.shards import ShardedSearch, prepared
from tests.verify.published import two_phase_commit

SMALL = {"slots": 1, "requests": 2}
ROOT = Path(__file__).resolve().parents[2]


def wide(fault: bool = False) -> Model:
    """States of a small dense range, several initial ones; perhaps an update out of range."""
    m = Model("wide")
    i = m.index("i", 3)
    at = m.integers("at", i, 0, 30)
    start = m.integer("start", 0, 2, choices=(0, 2))

    @m.action(p=i)
    def up(do: Step, p: IntExpr) -> None:
        do.when(at[p] < (31 if fault else 30), at[p] < 20 + 10 * start)
        do.set(at[p], at[p] + 1)

    m.always("low", at[0] + at[1] + at[2] < 80, because="to be refuted")
    m.sometimes("far", at[0] + at[1] + at[2] == 60, because="two ways")
    m.done(True)
    return m


def same(one: Report, other: Report) -> None:
    """Counts, verdicts, depths and the lengths of traces."""
    a, b = one.found, other.found
    assert (a.states, a.transitions, a.initial, a.depth) == (
        b.states,
        b.transitions,
        b.initial,
        b.depth,
    )
    assert a.levels == b.levels
    assert a.taken == b.taken
    assert [(r.name, r.verdict, r.depth, len(r.trace)) for r in one.results] == [
        (r.name, r.verdict, r.depth, len(r.trace)) for r in other.results
    ]
    assert one.warnings == other.warnings


@pytest.mark.parametrize("workers", [2, 3])
@pytest.mark.parametrize(
    "make",
    [
        wide,
        two_phase_commit,
        partial(two_phase_commit, 5),
        partial(build, "final", SMALL),
        partial(build, "G1", {}),
    ],
)
def test_workers_find_what_one_process_finds(make: partial[Model], workers: int) -> None:
    model = make()
    seen: list[Progress] = []
    same(check(model, workers=workers, progress=seen.append), check(model))
    assert seen[-1].states == check(model).found.states


def test_small_chunks_and_an_error_in_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbio.verify.shards.CHUNK", 50)
    same(check(wide(), workers=2), check(wide()))
    with pytest.raises(ModelError, match=r"sets at.* outside its range"):
        check(wide(fault=True), workers=2)


def test_bounds_stop_all_workers() -> None:
    for bounds in (Bounds(states=100), Bounds(memory=1), Bounds(seconds=1e-9)):
        report = check(wide(), bounds, workers=2)
        assert report.verdict is Verdict.UNKNOWN
        assert report.found.stopped.startswith("more than ")
    early = check(wide(), until_refuted=True, workers=2)
    assert early.result("low").verdict is Verdict.REFUTED
    assert early.result("far").verdict is not Verdict.REFUTED


def test_too_many_workers_are_refused() -> None:
    with pytest.raises(ModelError, match="at most 255 workers, not 1,000"):
        check(wide(), workers=1000)


def test_leads_to_uses_one_process() -> None:
    model = wide()
    model.leads_to("moves", True, True, because="trivial")
    report = check(model, workers=2)
    assert "no workers were used" in report.warnings[0]
    with pytest.raises(ModelError, match="can't be judged on executors"):
        check_on([], lambda: model)


def test_a_killed_worker_is_reported_by_its_parent() -> None:
    idle = prepared(wide(), Bounds(), True, 2)
    with ForkedCrew(idle, 2) as crew:
        victim = crew.pids[1]

        def kill(progress: Progress) -> None:
            os.kill(victim, signal.SIGKILL)

        with pytest.raises(WorkerLostError, match="worker 1 was killed by signal 9"):
            ShardedSearch(idle, crew, progress=kill).run()
        pids = crew.pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


LARGE = """
from nbio.verify import IntExpr, Model, Step

def large() -> Model:
    m = Model("large")
    i = m.index("i", 6)
    at = m.integers("at", i, 0, 40)

    @m.action(p=i)
    def up(do: Step, p: IntExpr) -> None:
        do.when(at[p] < 40)
        do.set(at[p], at[p] + 1)

    m.always("low", at[0] <= 40, because="it stops there")
    m.done(True)
    return m
"""


def started(folder: Path) -> subprocess.Popen[str]:
    """A search that takes long, by two workers; it has told of some progress."""
    (folder / "large.py").write_text(LARGE, encoding="utf-8")
    command = [sys.executable, "-m", "nbio.verify", "check", "large.py", "--workers", "2"]
    running = subprocess.Popen(
        [*command, "--progress", "--output", "report"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    assert "states" in running.stderr.readline()
    return running


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in listed.split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("how", ["worker", "interrupt", "parent"])
def test_no_way_to_end_reads_as_a_pass(tmp_path: Path, how: str) -> None:
    with started(tmp_path) as running:
        workers = children(running.pid)
        assert len(workers) == 2
        if how == "worker":
            os.kill(workers[0], signal.SIGKILL)
        else:
            running.send_signal(signal.SIGINT if how == "interrupt" else signal.SIGKILL)
        out, err = running.communicate(timeout=60)
    last = err.splitlines()[-1] if err else ""
    assert out == ""
    if how == "worker":
        assert running.returncode == 3
        assert "worker 0 was killed by signal 9: UNKNOWN; " in last
    elif how == "interrupt":
        assert running.returncode == 3
        assert "interrupted: UNKNOWN; " in last
    else:
        assert running.returncode == -signal.SIGKILL
    assert not (tmp_path / "report").exists()
    gone = threading.Event()
    while any(Path(f"/proc/{pid}/cmdline").exists() and alive(pid) for pid in workers):
        assert not gone.wait(0.01)


def alive(pid: int) -> bool:
    """Not yet dead, nor dead and not yet collected by whoever inherited it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


# ---------------------------------------------------------------------------- executors


@pytest.fixture
def pools() -> Iterator[list[ProcessPoolExecutor]]:
    with ExitStack() as stack:
        context = get_context("spawn")
        yield [stack.enter_context(ProcessPoolExecutor(1, mp_context=context)) for _ in range(2)]


def test_executors_find_what_one_process_finds(pools: list[ProcessPoolExecutor]) -> None:
    make = partial(build, "G1", {"requests": 2, "operations": 1})
    same(check_on(pools, make), check(make()))
    killed = pools[1].submit(os.getpid).result()
    os.kill(killed, signal.SIGKILL)
    with pytest.raises(WorkerLostError, match="an executor is broken"):
        check_on(pools, make)


def test_a_local_dask_cluster_finds_what_one_process_finds() -> None:
    distributed = pytest.importorskip("distributed")
    make = partial(build, "final", SMALL)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        executors = dask_executors(client)
        assert len(executors) == 2
        same(check_on(executors, make), check(make()))
