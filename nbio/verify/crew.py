"""Where shards run: processes of this machine that share memory, or anybody's executors."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

from nbio.verify.engine import Bounds, Packed, Search
from nbio.verify.expr import ModelError
from nbio.verify.shards import PARCEL, Parcel, Shard, Share, Tally, Told, prepared
from nbio.verify.spec import Model

Size = list[int]
"""How many states each batch of a parcel has."""


class WorkerLostError(Exception):
    """A worker process ended in the middle of a search; the message says which, and how."""


class _Asks(ABC):
    """What all crews do alike: a call is a name and its arguments, one set of them a shard."""

    @property
    @abstractmethod
    def size(self) -> int:
        """How many shards there are."""

    # Answers are what the shard's method of that name returns; pipes and executors are untyped.
    @abstractmethod
    def _ask(self, what: str, each: Sequence[tuple[Any, ...]]) -> list[Any]: ...

    def begin(self) -> list[Told]:
        """Ask everybody."""
        return self._ask("begin", [()] * self.size)

    def close_level(self) -> list[Told]:
        """Ask everybody."""
        return self._ask("close_level", [()] * self.size)

    def tally(self) -> list[Tally]:
        """Ask everybody."""
        return self._ask("tally", [()] * self.size)

    def step_to(self, level: int, target: Packed) -> list[tuple[int, Packed] | None]:
        """Ask everybody."""
        return self._ask("step_to", [(level, target)] * self.size)


class ForkedCrew(_Asks):
    """Forked processes; what they find for each other goes through memory that they share.

    Each pair has two buffers, used in turns: one is read while the other is written. They are as
    large as the largest round could need, but memory is only taken where it is written to.
    """

    def __init__(self, search: Search, size: int) -> None:
        if "fork" not in multiprocessing.get_all_start_methods():
            raise ModelError("workers need a system that can fork; use executors instead")
        pairs = [(a, b) for a in range(size) for b in range(size) if a != b]
        self._buffers = {(p, turn): mmap.mmap(-1, PARCEL) for p in pairs for turn in (0, 1)}
        self._pipes: list[Connection] = []
        self._processes: list[multiprocessing.process.BaseProcess] = []
        context = multiprocessing.get_context("fork")
        for number in range(size):
            ours, theirs = context.Pipe()
            shard = Shard(search, Share(number, size))
            worker = _Worker(shard, number, self._buffers, theirs, [*self._pipes, ours])
            process = context.Process(target=worker.run, daemon=True)
            _start(process)
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        self._turn = 0
        self._sizes: list[list[Size]] = [[[] for _ in range(size)] for _ in range(size)]

    @property
    def size(self) -> int:
        """How many processes there are."""
        return len(self._processes)

    @property
    def pids(self) -> list[int]:
        """Their process numbers."""
        return [p.pid or 0 for p in self._processes]

    def round(self) -> list[Told]:
        """Ask everybody: each is told how much the others have left for it."""
        mine = [[sizes[n] for sizes in self._sizes] for n in range(self.size)]
        answers = self._ask("round", [(self._turn, sizes) for sizes in mine])
        self._turn = 1 - self._turn
        self._sizes = [sizes for sizes, _ in answers]
        return [told for _, told in answers]

    def _ask(self, what: str, each: Sequence[tuple[Any, ...]]) -> list[Any]:
        answers: list[Any] = []
        for number, (pipe, arguments) in enumerate(zip(self._pipes, each, strict=True)):
            with self._lost(number):
                pipe.send((what, arguments))
        for number, pipe in enumerate(self._pipes):
            with self._lost(number):
                answers.append(pipe.recv())
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers

    def _lost(self, number: int) -> _Lost:
        return _Lost(number, self._processes[number])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.kill()
            process.join()
        for buffer in self._buffers.values():
            buffer.close()


def _start(process: multiprocessing.process.BaseProcess) -> None:
    """Fork; a Ctrl-C that comes meanwhile is acted on afterwards.

    Python runs hooks around a fork, and what is raised in one is printed and forgotten.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Lost:
    """Turns a broken pipe into the news of who died, and how."""

    def __init__(self, number: int, process: multiprocessing.process.BaseProcess) -> None:
        self._number, self._process = number, process

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if isinstance(error, EOFError | OSError):
            self._process.join()
            code = self._process.exitcode or 0
            how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            raise WorkerLostError(f"worker {self._number} {how}") from error


class _Worker:
    """The loop of a forked process: calls come in, answers go out."""

    def __init__(
        self,
        shard: Shard,
        number: int,
        buffers: dict[tuple[tuple[int, int], int], mmap.mmap],
        pipe: Connection,
        others: list[Connection],
    ) -> None:
        self._shard, self._number, self._buffers = shard, number, buffers
        self._pipe, self._others = pipe, others

    def run(self) -> None:
        """Answer until the parent closes the pipe, or dies."""
        # Ctrl-C is the parent's to hear. Ends of pipes that are not ours would keep others alive.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for pipe in self._others:
            pipe.close()
        with suppress(EOFError, OSError):
            while True:
                what, arguments = self._pipe.recv()
                try:
                    self._pipe.send(self._answer(what, arguments))
                except (ModelError, MemoryError, OverflowError) as error:
                    self._pipe.send(error)
        os._exit(0)

    def _answer(self, what: str, arguments: tuple[Any, ...]) -> object:
        if what == "round":
            return self._round(*arguments)
        method: Callable[..., object] = getattr(self._shard, what)
        return method(*arguments)

    def _round(self, turn: int, sizes: list[Size]) -> tuple[list[Size], Told]:
        me = self._number
        parcels = [
            self._kept if n == me else self._read(((n, me), 1 - turn), size)
            for n, size in enumerate(sizes)
        ]
        found, told = self._shard.round(parcels)
        self._kept = found[me]
        sent = [
            [b.shape[1] for b in parcel] if n == me else self._write(((me, n), turn), parcel)
            for n, parcel in enumerate(found)
        ]
        return sent, told

    _kept: Parcel = []  # noqa: RUF012 - replaced, never changed

    def _read(self, key: tuple[tuple[int, int], int], sizes: Size) -> Parcel:
        words, at = self._shard.result.packing.words, 0
        parcel: Parcel = []
        for size in sizes:
            flat = np.frombuffer(self._buffers[key], np.uint64, words * size, at)
            parcel.append(flat.reshape(words, size))
            at += flat.nbytes
        return parcel

    def _write(self, key: tuple[tuple[int, int], int], parcel: Parcel) -> Size:
        at = 0
        for batch in parcel:
            flat = np.frombuffer(self._buffers[key], np.uint64, batch.size, at)
            flat.reshape(batch.shape)[:] = batch
            at += flat.nbytes
        return [batch.shape[1] for batch in parcel]


# ---------------------------------------------------------------------------- executors


class Result(Protocol):
    """What a call elsewhere will come to."""

    def result(self) -> Any:
        """Wait for it; raises what was raised there."""


class Submits(Protocol):
    """An executor with one worker, as of ``concurrent.futures`` or :func:`dask_executors`."""

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Result:
        """Call ``fn`` there."""


@dataclass(frozen=True)
class OnDask:
    """One worker of a Dask cluster as an executor."""

    client: Any
    address: str

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Result:
        """Call ``fn`` in that worker and no other."""
        future: Result = self.client.submit(fn, *args, workers=[self.address], pure=False)
        return future


def dask_executors(client: Any) -> list[OnDask]:
    """An executor for each worker of a ``distributed.Client``'s cluster, of one thread each."""
    return [OnDask(client, address) for address in client.scheduler_info()["workers"]]


_shards: dict[str, Shard] = {}
"""The shards that live in this process, by their names."""


def _open(
    key: str, make: Callable[[], Model], bounds: Bounds, symmetry: bool, share: Share
) -> None:
    _shards[key] = Shard(prepared(make(), bounds, symmetry, share.of), share)


def _call(key: str, what: str, arguments: tuple[Any, ...]) -> Any:
    method: Callable[..., Any] = getattr(_shards[key], what)
    return method(*arguments)


def _close(key: str) -> None:
    _shards.pop(key, None)


class ExecutorCrew(_Asks):
    """A shard in each of the given executors; states travel by value.

    Each executor must always use the same process, as that is where its shard lives: for
    ``concurrent.futures`` one ``ProcessPoolExecutor(1)`` a shard. ``make`` builds the model there,
    so it must be a function that can be pickled (of a module, perhaps with ``functools.partial``).
    """

    def __init__(
        self,
        make: Callable[[], Model],
        bounds: Bounds,
        symmetry: bool,
        executors: Sequence[Submits],
    ) -> None:
        self._executors, many = executors, len(executors)
        self._keys = [f"{os.getpid()}-{id(self)}-{n}" for n in range(len(executors))]
        self._found: list[list[Parcel]] = [[[] for _ in executors] for _ in executors]
        self._everywhere(_open, [(make, bounds, symmetry, Share(n, many)) for n in range(many)])

    @property
    def size(self) -> int:
        """How many executors there are."""
        return len(self._executors)

    def round(self) -> list[Told]:
        """Ask everybody, and hand over what the others found."""
        mine = [([parcels[n] for parcels in self._found],) for n in range(self.size)]
        answers = self._ask("round", mine)
        self._found = [found for found, _ in answers]
        return [told for _, told in answers]

    def _ask(self, what: str, each: Sequence[tuple[Any, ...]]) -> list[Any]:
        return self._everywhere(_call, [(what, arguments) for arguments in each])

    def _everywhere(self, fn: Callable[..., Any], each: Sequence[tuple[Any, ...]]) -> list[Any]:
        calls = zip(self._executors, self._keys, each, strict=True)
        try:
            futures = [e.submit(fn, key, *arguments) for e, key, arguments in calls]
            return [f.result() for f in futures]
        except BrokenExecutor as error:
            raise WorkerLostError(f"an executor is broken: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for executor, key in zip(self._executors, self._keys, strict=True):
            with suppress(Exception):
                executor.submit(_close, key)
