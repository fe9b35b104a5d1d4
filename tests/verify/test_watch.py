"""The progress line: plain, or shown by rich on a terminal."""

from __future__ import annotations

import io
import sys

import pytest

from nbio.verify.engine import Progress
from nbio.verify.watch import Watch


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def far(states: int) -> Progress:
    return Progress(states, 2 * states, 7, 12, 2.0, 3_000_000)


def test_plain_lines_come_at_most_once_a_second() -> None:
    out, now = io.StringIO(), [0.0]
    with Watch(True, out, lambda: now[0]) as watch:
        for n in range(25):
            now[0] = n / 10
            watch(far(n * 1_000_000))
    lines = out.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["0", "10,000,000", "20,000,000"]
    assert lines[1] == "10,000,000 states, 5.00 M/s, depth 7, frontier 12, 3 MB, 2 s"
    assert watch.covered() == "24,000,000 states were seen, to depth 7"


def test_on_a_terminal_rich_shows_it() -> None:
    out = Terminal()
    with Watch(True, out) as watch:
        watch(far(5_000))
    assert "\x1b[" in out.getvalue()
    silent = Terminal()
    with Watch(False, silent) as watch:
        watch(far(1))
    assert silent.getvalue() == ""


def test_without_rich_a_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    out = Terminal()
    with Watch(True, out) as watch:
        watch(far(5_000))
    assert out.getvalue().startswith("5,000 states")
