"""The counters for minicheck, written as its documentation shows; prints what it found."""

import sys

from minicheck import Protocol, check_safety

State = tuple[int, ...]
TOP = int(sys.argv[1])


def steps(s: State) -> list[tuple[str, State]]:
    turn = (s[5] + 1) % 7
    return [(f"up{n}", (*s[:n], s[n] + 1, *s[n + 1 : 5], turn)) for n in range(5) if s[n] < TOP]


model = Protocol(
    name="counters",
    candidate=False,
    fields=("a", "b", "c", "d", "e", "turn"),
    initial=(0,) * 6,
    transitions=steps,
    invariants={"bounded": lambda d: d["a"] <= TOP},
)
print(check_safety(model, max_states=10**8))
