"""Counters that go up to a top, and a sum modulo seven: for ``python -m nbio.verify check``."""

from nbio.verify import IntExpr, Model, Step, ite


def counters(many: int = 5, top: int = 20) -> Model:
    """``(top + 1) ** many`` states."""
    m = Model("counters", constants={"many": many, "top": top})
    counter = m.index("counter", many)
    at = m.integers("at", counter, 0, top)
    turn = m.integer("turn", 0, 6)

    @m.action(c=counter)
    def up(do: Step, c: IntExpr) -> None:
        do.when(at[c] < top)
        do.set(at[c], at[c] + 1)
        do.set(turn, ite(turn == 6, 0, turn + 1))

    m.always("bounded", at[0] <= top, because="it stops there")
    m.done(True)
    return m
