"""Progress of a search, on standard error: rich on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final, Self, TextIO

from nbio.verify.engine import Progress

EVERY: Final = 1.0
"""Seconds between two plain lines: a CI log is read later, nobody watches it grow."""


def line(p: Progress) -> str:
    """States, rate, depth, frontier and memory, in one line."""
    rate = p.states / p.seconds if p.seconds else 0.0
    return (
        f"{p.states:,} states, {rate / 1e6:.2f} M/s, depth {p.depth}, frontier {p.frontier:,}, "
        f"{p.memory / 1e6:,.0f} MB, {p.seconds:.0f} s"
    )


class Watch:
    """Remembers how far a search got, and shows it where that is wanted."""

    def __init__(self, show: bool, out: TextIO, clock: Callable[[], float] = time.monotonic):
        self.last: Progress | None = None
        self._show, self._out, self._clock = show, out, clock
        self._told = float("-inf")
        self._open = ExitStack()
        self._update: Callable[[str], None] = self._plain

    def __enter__(self) -> Self:
        if self._show and self._out.isatty():
            self._update = self._rich() or self._plain
        return self

    def __exit__(self, *exc: object) -> None:
        self._open.close()

    def __call__(self, progress: Progress) -> None:
        self.last = progress
        if self._show:
            self._update(line(progress))

    def covered(self) -> str:
        """What a search that was broken off had seen of the model."""
        if self.last is None:
            return "not even the first level was finished"
        return f"{self.last.states:,} states were seen, to depth {self.last.depth}"

    def _plain(self, text: str) -> None:
        if self._clock() - self._told >= EVERY:
            self._told = self._clock()
            print(text, file=self._out, flush=True)

    def _rich(self) -> Callable[[str], None] | None:
        try:
            from rich.console import Console
        except ModuleNotFoundError:
            return None
        status = self._open.enter_context(Console(file=self._out).status("searching"))
        return lambda text: status.update(text)
