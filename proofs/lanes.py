"""Sections of the ledger in processes of their own, two lanes of them at once, told in one order.

One lane has the sections that use two processors themselves, the other those that use one: so both
are busy nearly all the time, and no two large searches are in memory together. The rows come out
in the ledger's order, whichever was done first; meanwhile a line says how far each lane is.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from nbio.verify.engine import Verdict
from proofs import ledger
from proofs.ledger import Row

PLAIN_SECONDS: Final = 15.0
"""Between two lines of progress where nobody looks; a terminal has one line that changes."""
TERMINAL_SECONDS: Final = 0.5

Word = tuple[str, Row | str | None]
"""Of a section: a row, how far it is, or None at its end."""


def in_lanes(lanes: Sequence[Sequence[str]], order: Sequence[str]) -> Iterator[tuple[str, Row]]:
    """Run each lane's sections one after the other; yield (section, row) in ``order``."""
    words: queue.Queue[Word] = queue.Queue()
    running: list[subprocess.Popen[str]] = []

    def work(lane: Sequence[str]) -> None:
        for name in lane:
            _run(name, words, running)

    threads = [threading.Thread(target=work, args=(lane,), daemon=True) for lane in lanes]
    for thread in threads:
        thread.start()
    try:
        yield from _told(words, order)
    finally:
        for process in running:
            process.terminate()


def _run(name: str, words: queue.Queue[Word], running: list[subprocess.Popen[str]]) -> None:
    """One section, to its end, which is told also when that was none."""
    command = [sys.executable, "-m", "proofs", "--rows", name]
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        running.append(process)
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                words.put((name, _read(json.loads(line))))
        if process.wait():
            errors.seek(0)
            notes = (f"exit code {process.returncode}", *errors.read().splitlines()[-5:])
            words.put((name, broken_off(name, notes)))
        running.remove(process)
    words.put((name, None))


def broken_off(name: str, notes: tuple[str, ...]) -> Row:
    """The row of a section that did not come to its end."""
    claim = f"the section {name} came to its end"
    return Row(claim, "run in a process of its own", Verdict.UNKNOWN, "-", 0.0, "the rest", notes)


def _read(told: dict[str, object]) -> Row | str:
    if "progress" in told:
        return str(told["progress"])
    return ledger.from_json(told)


def _told(words: queue.Queue[Word], order: Sequence[str]) -> Iterator[tuple[str, Row]]:
    """Rows in order; meanwhile, how far each section is."""
    rows: dict[str, list[Row]] = {name: [] for name in order}
    ended: set[str] = set()
    counts = Counter[str]()
    line = Line()
    waiting = list(order)
    while waiting:
        try:
            name, word = words.get(timeout=TERMINAL_SECONDS)
        except queue.Empty:
            line.show()
            continue
        if isinstance(word, Row):
            rows[name].append(word)
            counts[name] += 1
            line.note(name, f"{counts[name]} rows")
        elif word is not None:
            line.note(name, word)
        else:
            ended.add(name)
            line.done(name)
        while waiting and (rows[waiting[0]] or waiting[0] in ended):
            if not rows[waiting[0]]:
                del waiting[0]
                continue
            line.clear()
            yield waiting[0], rows[waiting[0]].pop(0)
        line.show()


class Line:
    """What is under way, in one line on a terminal; elsewhere in a line now and then."""

    def __init__(self) -> None:
        self._at: dict[str, str] = {}
        self._began = self._shown = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._every = TERMINAL_SECONDS if self._terminal else PLAIN_SECONDS

    def note(self, name: str, text: str) -> None:
        """A section is so far."""
        self._at[name] = text

    def done(self, name: str) -> None:
        """It is at its end."""
        self._at.pop(name, None)

    def show(self) -> None:
        """Say it, if that was not just now."""
        now = time.monotonic()
        if now - self._shown < self._every or not self._at:
            return
        self._shown = now
        said = "; ".join(f"{name}: {text}" for name, text in self._at.items())
        text = f"   .. {now - self._began:.0f} s: {said}"
        end = "\x1b[K" if self._terminal else "\n"
        print(f"\r{text[:150]}" if self._terminal else text, end=end, file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Make room for a row."""
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def as_lines(rows: Iterable[Row]) -> None:
    """In the section's process: print its rows, and how far it is, for whoever started it."""
    ledger.TOLD.append(lambda text: print(json.dumps({"progress": text}), flush=True))
    for row in rows:
        print(json.dumps(ledger.to_json(row)), flush=True)
