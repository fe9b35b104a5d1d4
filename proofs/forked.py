"""Calls in forked processes, several at once, with limits: what hangs is told from what is slow.

The caller has imported whatever is slow to import; a process begins with that, and what it breaks
is broken there only.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

CPU_SECONDS: Final = 20.0
"""Of processor time, given to one call; they take ten at most."""
MEMORY: Final = 1 << 31
"""Bytes of address space."""
IDLE_SECONDS: Final = 15.0
"""Without any: then it waits for what never comes."""
POLL: Final = 0.02
TICK: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Answer:
    """What a call said, in which time; ``hung``: how it had to be ended, "" if it ended itself."""

    said: str
    seconds: float
    hung: str = ""


@dataclass
class Child:
    """A process that makes one call."""

    call: Callable[[], str]
    pid: int = 0
    started: float = field(default_factory=time.monotonic)
    moved: float = field(default_factory=time.monotonic)
    ticks: int = 0

    def start(self) -> None:
        """Fork it."""
        self.out = tempfile.TemporaryFile()  # noqa: SIM115  # `poll` closes it
        self.pid = os.fork()
        if self.pid:
            return
        code = 70
        try:
            os.setsid()
            self._limit()
            said = self.call()
            os.pwrite(self.out.fileno(), said.encode(errors="replace"), 0)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            # Threads may hang, and nothing of the parent's is to be run at the end.
            os._exit(code)

    def _limit(self) -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (int(CPU_SECONDS), int(CPU_SECONDS) + 5))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        sys.setrecursionlimit(1000)

    def poll(self) -> Answer | None:
        """What it said, once it has ended or was ended."""
        done, status = os.waitpid(self.pid, os.WNOHANG)
        seconds = time.monotonic() - self.started
        if done:
            with self.out:
                self.out.seek(0)
                said = self.out.read().decode()
            code = os.waitstatus_to_exitcode(status)
            if code in (-signal.SIGXCPU, -signal.SIGKILL):
                return Answer("", seconds, f"spins for {CPU_SECONDS:g} s of processor time")
            return Answer(said if code == 0 else f"the process ended with {code}", seconds)
        if self._is_idle():
            self.stop()
            return Answer("", seconds, f"waits for ever (idle for {IDLE_SECONDS:g} s)")
        return None

    def _is_idle(self) -> bool:
        # Of the process itself: what it started may wait for each other.
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        ticks = sum(map(int, fields[11:15]))
        # A process that others keep from running is no idle one.
        if ticks != self.ticks or fields[0] == "R":
            self.ticks, self.moved = ticks, time.monotonic()
        return time.monotonic() - self.moved > IDLE_SECONDS

    def stop(self) -> None:
        """End it, and what it started."""
        os.killpg(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.out.close()


def asked_in_turn(
    questions: Sequence[Sequence[Callable[[], str]]], workers: int
) -> Iterator[tuple[int, list[Answer]]]:
    """Make each list of calls, until one has something to say; so many lists at once.

    Yields the list's number and the answers, in the order in which they are complete.
    """
    waiting = list(enumerate(questions))[::-1]
    running: list[tuple[int, list[Callable[[], str]], Child, list[Answer]]] = []
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                number, calls = waiting.pop()
                rest = list(calls)
                running.append((number, rest, _started(rest), []))
            time.sleep(POLL)
            for job in list(running):
                number, rest, child, answers = job
                answer = child.poll()
                if answer is None:
                    continue
                running.remove(job)
                answers.append(answer)
                if answer.said or answer.hung or not rest:
                    yield number, answers
                else:
                    running.append((number, rest, _started(rest), answers))
    finally:
        for _, _, child, _ in running:
            child.stop()


def _started(calls: list[Callable[[], str]]) -> Child:
    child = Child(calls.pop(0))
    child.start()
    return child
