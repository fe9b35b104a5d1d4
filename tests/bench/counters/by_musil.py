"""The counters for musil, written as its documentation shows; prints the states it found."""

import sys
from collections.abc import Callable

from musil import Action, Model, check

State = tuple[int, ...]
TOP = int(sys.argv[1])


def ups(n: int) -> tuple[Callable[[State], bool], Callable[[State], State]]:
    def enabled(s: State) -> bool:
        return s[n] < TOP

    def apply(s: State) -> State:
        return (*s[:n], s[n] + 1, *s[n + 1 : 5], (s[5] + 1) % 7)

    return enabled, apply


model = Model(
    init=[(0,) * 6],
    actions=[Action(f"up{n}", *ups(n)) for n in range(5)],
    invariants={"bounded": lambda s: s[0] <= TOP},
    terminal=lambda s: True,
)
print(check(model, max_states=10**8))
