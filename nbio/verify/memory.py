"""How much memory this process has, and refusing to take more than was allowed."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass

_PAGE = resource.getpagesize()


class OutOfMemoryError(Exception):
    """Something needs more memory than the bound leaves; the message says how much is allowed."""


def resident() -> int:
    """Bytes that this process holds in memory now (at its peak, where the system doesn't say)."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * _PAGE
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


@dataclass(frozen=True)
class Budget:
    """Bytes that the process may hold; 0 = no bound."""

    limit: int = 0

    def take(self, more: int = 0) -> None:
        """OutOfMemoryError if ``more`` bytes beyond what is held now would be too many."""
        if self.limit and resident() + more > self.limit:
            raise OutOfMemoryError(f"more than {self.limit:,} bytes of memory")


NO_LIMIT = Budget()
