"""Several processes that serve one application, and the one that looks after them.

The supervisor opens the sockets, then forks; it has no loop, no thread, and never imports the
application, so every fork starts from the same clean state and a restart sees new code. A worker
that dies leaves its queued connections to the others, since the socket is everybody's.

A worker says over a pipe that it is READY, or LEAVING (it has served enough); it ends by itself,
letting its requests finish, when the supervisor is gone.
"""

import contextlib
import logging
import os
import select
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final, NoReturn

from nbio.cli import FAILED
from nbio.config import Config
from nbio.listening import Places
from nbio.process import Line, leave, work

logger = logging.getLogger("nbio")

READY: Final = b"R"
LEAVING: Final = b"L"

SHORT_LIFE: Final = 5.0
"""Seconds; a worker that dies sooner makes the next one wait."""

FIRST_WAIT: Final = 0.1
LONGEST_WAIT: Final = 10.0

MARGIN: Final = 3.0
"""Seconds that a worker has beyond its own timeouts, before it is killed."""

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class Worker:
    """A process of ours."""

    __slots__ = ("born", "deadline", "index", "leaving", "pid", "pipe", "ready")

    def __init__(self, pid: int, index: int, pipe: int) -> None:
        self.pid = pid
        # Its slab of the metrics.
        self.index = index
        self.pipe = pipe
        self.born = time.monotonic()
        self.ready = False
        # It takes no more requests; when it is to be killed, if it is told to.
        self.leaving = False
        self.deadline = float("inf")


class Supervisor:
    """Keeps `config.workers` processes running until it is told to stop.

    `changes` starts something that writes to a pipe when the code has changed, and returns the
    pipe's other end and a pid; a worker that can't start then waits for the next change.

    Raises what `Places` raises.
    """

    def __init__(
        self,
        reference: str,
        config: Config,
        changes: Callable[[], tuple[int, int]] | None = None,
    ) -> None:
        self._reference = reference
        self._config = config
        self._watch = changes
        self._watching = (-1, 0)
        self._places = Places(config, slabs=2 * config.workers)
        self._workers: dict[int, Worker] = {}
        self._free = list(range(2 * config.workers))
        # To be replaced one by one, and the replacement that is starting.
        self._old: deque[Worker] = deque()
        self._fresh: Worker | None = None
        self._signals_read, self._signals_write = os.pipe()
        # Its writing end is nobody's but ours: when it closes, we are gone.
        self._alive_read, self._alive_write = os.pipe()
        self._failures = 0
        self._not_before = 0.0
        self._started = False
        self._stopping = 0
        self._code = 0

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; return the exit code."""
        if self._watch is not None:
            self._watching = self._watch()
        with self._signals_caught():
            while not self._stopping or self._workers:
                if not self._stopping:
                    self._care()
                self._wait()
                self._reap()
                self._kill_late()
        self._end()
        return self._code

    def _end(self) -> None:
        pipe, pid = self._watching
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(pipe)
        self._places.close()
        for fd in (self._signals_read, self._signals_write, self._alive_read, self._alive_write):
            os.close(fd)

    # Waiting.

    @contextlib.contextmanager
    def _signals_caught(self) -> Iterator[None]:
        """Have signals written to a pipe, so that none is missed between two looks."""
        os.set_blocking(self._signals_write, False)
        os.set_blocking(self._signals_read, False)
        before = signal.set_wakeup_fd(self._signals_write)
        handlers = {number: signal.signal(number, _noted) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(before)

    def _wait(self) -> None:
        """Wait for a signal, a worker's word, a change, or until something is due."""
        pipes = {worker.pipe: worker for worker in self._workers.values() if worker.pipe >= 0}
        watched = [self._signals_read, *pipes]
        if self._watching[0] >= 0:
            watched.append(self._watching[0])
        poll = select.poll()
        for fd in watched:
            poll.register(fd, select.POLLIN)
        for fd, _ in poll.poll(self._patience()):
            if fd == self._signals_read:
                for number in os.read(fd, 4096):
                    self._signalled(number)
            elif fd == self._watching[0]:
                self._changed(os.read(fd, 4096))
            else:
                self._heard(pipes[fd], os.read(fd, 64))

    def _patience(self) -> float:
        """Milliseconds until something is due."""
        due = [worker.deadline for worker in self._workers.values()]
        if not self._stopping and self._short():
            due.append(self._not_before)
        return max(0.0, min([*due, time.monotonic() + 60.0]) - time.monotonic()) * 1000 + 1

    def _heard(self, worker: Worker, word: bytes) -> None:
        if not word:
            os.close(worker.pipe)
            worker.pipe = -1
        if READY in word:
            worker.ready = True
            self._announce()
        if LEAVING in word:
            worker.leaving = True
            worker.deadline = min(worker.deadline, time.monotonic() + self._time_to_end())

    def _announce(self) -> None:
        ready = [worker for worker in self._workers.values() if worker.ready]
        if not self._started and len(ready) == self._config.workers:
            self._started = True
            scheme = "https" if self._config.ssl_certfile else "http"
            names = ", ".join(self._places.names(scheme))
            logger.info("serving on %s with %d workers", names, self._config.workers)

    # What signals mean.

    def _signalled(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stop()
        elif number == signal.SIGHUP and not self._stopping:
            self._roll("on SIGHUP")

    def _changed(self, word: bytes) -> None:
        if not word:
            os.close(self._watching[0])
            os.waitpid(self._watching[1], 0)
            self._watching = (-1, 0)
            logger.error("nobody watches the files any more")
        elif not self._stopping:
            self._roll("since files have changed")

    def _roll(self, why: str) -> None:
        """Replace all workers, one at a time."""
        logger.info("replacing the workers %s", why)
        self._not_before = 0.0
        self._failures = 0
        if self._fresh is not None:
            # It may have seen what is old by now.
            self._retire(self._fresh)
            self._fresh = None
        self._old = deque(w for w in self._workers.values() if not w.leaving)

    def _stop(self) -> None:
        """Let all end; at the second time, now."""
        self._stopping += 1
        self._old.clear()
        for worker in self._workers.values():
            if self._stopping == 1:
                self._retire(worker)
            else:
                # Another signal than before: two of a kind may be delivered as one.
                os.kill(worker.pid, signal.SIGQUIT)
                worker.deadline = min(worker.deadline, time.monotonic() + MARGIN)

    def _retire(self, worker: Worker) -> None:
        """Let a worker finish its requests, and its application shut down."""
        worker.leaving = True
        worker.deadline = min(worker.deadline, time.monotonic() + self._time_to_end())
        os.kill(worker.pid, signal.SIGTERM)

    def _time_to_end(self) -> float:
        """Seconds: for its requests, its application and its threads, each the timeout."""
        return 3 * self._config.shutdown_timeout + MARGIN

    def _kill_late(self) -> None:
        for worker in self._workers.values():
            if worker.deadline <= time.monotonic():
                logger.error("worker %d didn't end in time and is killed", worker.pid)
                worker.deadline = float("inf")
                os.kill(worker.pid, signal.SIGKILL)

    # How many there are to be.

    def _short(self) -> int:
        """So many workers are missing."""
        serving = sum(not w.leaving and w is not self._fresh for w in self._workers.values())
        return max(0, self._config.workers - serving)

    def _care(self) -> None:
        """Start what is missing, and go on replacing what is old."""
        if self._fresh is not None and self._fresh.ready:
            self._fresh = None
            if self._old:
                self._retire(self._old.popleft())
        if time.monotonic() < self._not_before:
            return
        for _ in range(min(self._short() - (self._fresh is not None), len(self._free))):
            self._spawn()
        if self._old and self._fresh is None and self._free:
            self._fresh = self._spawn()

    def _spawn(self) -> Worker:
        """Fork a worker."""
        ours, theirs = os.pipe()
        index = self._free.pop(0)
        # A signal that came in between would be caught by a handler that means nothing there.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = os.fork()
        if pid == 0:
            os.close(ours)
            self._be_worker(index, theirs)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.close(theirs)
        worker = self._workers[pid] = Worker(pid, index, ours)
        return worker

    def _be_worker(self, index: int, pipe: int) -> NoReturn:
        """In the child: serve, and never return."""
        code = FAILED
        try:
            signal.set_wakeup_fd(-1)
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            # A terminal sends these to us all; what they mean is the supervisor's business.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            others = [worker.pipe for worker in self._workers.values() if worker.pipe >= 0]
            for fd in (self._signals_read, self._signals_write, self._alive_write, *others):
                os.close(fd)
            self._places.index = index
            line = Line(pipe, self._alive_read, READY, LEAVING)
            code = work(self._reference, self._config, self._places, line)
        finally:
            leave(code)

    def _reap(self) -> None:
        """See who has ended."""
        for pid in list(self._workers):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                self._ended(self._workers.pop(pid), os.waitstatus_to_exitcode(status))

    def _ended(self, worker: Worker, code: int) -> None:
        if worker.pipe >= 0:
            # Its last words may be in the pipe still.
            os.set_blocking(worker.pipe, False)
            with contextlib.suppress(OSError):
                self._heard(worker, os.read(worker.pipe, 64))
            if worker.pipe >= 0:
                os.close(worker.pipe)
        self._free.append(worker.index)
        self._free.sort()
        if self._places.slabs is not None:
            self._places.slabs.vacate(worker.index)
        if worker in self._old:
            self._old.remove(worker)
        if not worker.leaving and not self._stopping:
            self._died(worker, code)

    def _died(self, worker: Worker, code: int) -> None:
        """A worker ended that wasn't to end."""
        how = f"by signal {-code}" if code < 0 else f"with code {code}"
        logger.error("worker %d ended %s", worker.pid, how)
        replacing, self._fresh = worker is self._fresh, None
        now = time.monotonic()
        if worker.ready and now - worker.born >= SHORT_LIFE:
            self._failures = 0
            return
        if self._watch is not None and not worker.ready:
            logger.error("waiting for a change of the files")
            self._not_before = float("inf")
        elif replacing:
            logger.error("the replacement failed; the workers that run are kept")
            self._old.clear()
            return
        elif not self._started:
            # The first ones couldn't start: nor will others.
            self._code = code if code > 0 else FAILED
            self._stop()
            return
        self._old.clear()
        if self._not_before <= now:
            self._not_before = now + min(FIRST_WAIT * 2**self._failures, LONGEST_WAIT)
            self._failures += 1


def _noted(number: int, frame: FrameType | None) -> None:
    """The pipe has it."""
