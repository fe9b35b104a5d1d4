"""One row a claim: what was claimed, by which method, what came out, and what it does not show."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

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


def to_json(row: Row) -> dict[str, object]:
    """A row for another process."""
    return {**asdict(row), "verdict": row.verdict.name}


def from_json(told: Mapping[str, Any]) -> Row:
    """And back."""
    notes, verdict = tuple(told["notes"]), Verdict[told["verdict"]]
    return Row(**{**told, "notes": notes, "verdict": verdict})


TOLD: Final[list[Callable[[str], None]]] = []
"""Who wants to know how far a section is; where nobody does, a terminal shows it."""


def progress(text: str) -> None:
    """Say how far a long section is."""
    for tell in TOLD:
        tell(text)
    if not TOLD and sys.stderr.isatty():
        print(f"\r   .. {text}\x1b[K", end="", file=sys.stderr, flush=True)
