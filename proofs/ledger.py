"""One row a claim: what was claimed, by which method, what came out, and what it does not show."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass

from nbio.verify.engine import Verdict


@dataclass(frozen=True)
class Row:
    """A line of the ledger. ``seconds`` of wall time; ``notes`` are told unless it is confirmed."""

    claim: str
    method: str
    verdict: Verdict
    bound: str
    seconds: float
    not_shown: str
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The row as text."""
        first = f"{self.verdict.name:<9} {self.claim} [{self.method}; {self.seconds:.1f} s]"
        rest = [f"          within: {self.bound}", f"          not shown: {self.not_shown}"]
        if self.verdict is not Verdict.CONFIRMED:
            rest += [f"          ! {note}" for note in self.notes]
        return [first, *rest]


def worst(rows: Iterable[Row]) -> Verdict:
    """The weakest verdict; UNKNOWN of nothing."""
    return min((r.verdict for r in rows), default=Verdict.UNKNOWN)


def progress(text: str) -> None:
    """Say how far a long section is, where somebody looks."""
    if sys.stderr.isatty():
        print(f"\r   .. {text}\x1b[K", end="", file=sys.stderr, flush=True)
