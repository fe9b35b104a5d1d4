"""Two closers of one object, as a model and as code: the race that replays walk."""

from collections.abc import Callable

from nbio.verify import IntExpr, Model, Step, check, implies, replay
from nbio.verify.replay import Move


def two_closers() -> Model:
    """Close looks at a flag, sets it, and puts the object back: three steps, two closers."""
    m = Model("two closers")
    who = m.index("who", 2)
    at = m.integers("at", who, 0, 3, hidden=True)
    closed = m.boolean("closed")
    puts = m.integer("puts", 0, 2)

    @m.action(p=who, actor="closer {p}")
    def load(do: Step, p: IntExpr) -> None:
        do.when(at[p] == 0)
        do.set(at[p], 1, ~closed)
        do.set(at[p], 3, closed)

    @m.action(p=who, actor="closer {p}")
    def store(do: Step, p: IntExpr) -> None:
        do.when(at[p] == 1)
        do.set(closed, True)
        do.set(at[p], 2)

    @m.action(p=who, actor="closer {p}")
    def put(do: Step, p: IntExpr) -> None:
        do.when(at[p] == 2)
        do.set(puts, puts + 1)
        do.set(at[p], 3)

    m.always("once", puts <= 1, because="an object goes back once")
    m.done(implies(at[0] == 3, at[1] == 3))
    return m


def its_trace() -> list[Move]:
    """The shortest way to two puts."""
    found = replay.moves(check(two_closers()).result("once").trace)
    assert sorted(map(str, found)) == sorted(
        f"{action}(p={p})" for action in ("load", "store", "put") for p in (0, 1)
    )
    assert {m.actor for m in found} == {"closer 0", "closer 1"}
    return found


class Pooled:
    """The code: what the model says, or with its look and its store in one step."""

    def __init__(self) -> None:
        self.closed = False
        self.puts: list[int] = []

    def close(self, p: int) -> None:
        replay.at("load", p=p)
        if self.closed:
            return
        replay.at("store", p=p)
        self.closed = True
        replay.at("put", p=p)
        self.puts.append(p)

    async def aclose(self, p: int) -> None:
        await replay.reached("load", p=p)
        if self.closed:
            return
        await replay.reached("store", p=p)
        self.closed = True
        await replay.reached("put", p=p)
        self.puts.append(p)

    def mended(self, p: int) -> None:
        replay.at("load", p=p)
        if self.closed:
            return
        self.closed = True
        replay.at("put", p=p)
        self.puts.append(p)


def closers(close: Callable[[int], None]) -> dict[str, Callable[[], None]]:
    return {f"closer {p}": lambda p=p: close(p) for p in (0, 1)}  # type: ignore[misc]
