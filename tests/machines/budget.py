"""How long the machines run: a little in `make test`, longer in `make verify`, and with seeded bugs
until they find something."""

import os
from typing import Final

from hypothesis import HealthCheck, Phase, settings

from proofs.lives import Share

FACTOR: Final = float(os.environ.get("NBIO_MACHINES", "1"))
"""So many times the examples of `make test`."""
HUNT: Final = bool(os.environ.get("NBIO_HUNT"))
"""Stop at the first failure, and don't make it smaller."""
SECONDS: Final = 600
"""A machine has as many examples on a busy computer, and takes longer then."""

BEGUN: dict[str, int] = dict.fromkeys(("connection", "server", "body", "pool"), 0)
"""Examples begun, by machine."""


def count(machine: str) -> None:
    """One more example."""
    BEGUN[machine] += 1


def within(examples: int, steps: int) -> settings:
    """The settings of a machine: so many examples in `make test`, of so many steps each."""
    return settings(
        max_examples=max(1, int(examples * FACTOR)),
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
        phases=[Phase.generate] if HUNT else [Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def demand(share: Share, states: int, steps: int) -> None:
    """Fewer states or steps than were always seen would say that the rules lead nowhere any more.

    Unless the machine looks for a seeded bug, and ends with it.
    """
    assert share.strays == (), "the pool took steps that the model hasn't"
    assert HUNT or (share.states >= states and share.steps >= steps), str(share)
