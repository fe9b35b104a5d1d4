"""One line of one party's program where it runs: what the steps' effects are written in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from model.history.script import BLOCK, CLOSES, DEFERRED, OVER, PANICKED, READER, READS, Placed
from nbio.verify.expr import BoolExpr, BoolLike, IntExpr, IntLike, any_of, boolean
from nbio.verify.spec import BoolArray, IntArray, Step

if TYPE_CHECKING:
    from model.history.stage import Stage


class At:
    """One line of one party's program where it runs: what its effect is written in.

    ``p`` the party, ``r`` its request, ``h`` the request whose handle it uses (its own), ``o`` the
    reader that this points to, ``k`` the block it is said over. Reads see the state before.
    """

    def __init__(
        self, stage: Stage, do: Step, placed: Placed, c: IntExpr, x: IntExpr | None
    ) -> None:
        self.s, self.do, self.placed = stage, do, placed
        self.p = c + placed.cast.first
        self.r = c + stage.request.size if placed.cast.kind == "response" else c
        late = placed.cast.kind == "leftover" and stage.design.evaluates
        self.h = stage.via[self.p] if late else self.r
        over = placed.line.over
        self.o = x if over == READER and x is not None else stage.body[self.h]
        self.k = x if over == BLOCK and x is not None else stage.held[self.p] - 1
        self.ground = stage.ground
        self._diverted: list[BoolExpr] = []

    @property
    def part(self) -> int:
        """Of an append line: which buffer of the body it is for."""
        digits = self.placed.line.name.lstrip("abcdefghijklmnopqrstuvwxyz_")
        return int(digits or 0)

    @property
    def has_body(self) -> BoolExpr:
        """The request came with a body."""
        b = self.s.bounds
        return self.r < b.requests - b.bodiless if b.bodiless else boolean(True)

    # --------------------------------------------------------------------- control flow

    def goto(self, name: str, when: BoolLike) -> None:
        """Go on at another line of the same part of the operation where ``when`` holds."""
        self._to(self._line(name).label, when)

    def pass_by(self, name: str, when: BoolLike) -> None:
        """Go on after another line of the same part of the operation where ``when`` holds."""
        line = self._line(name)
        if line.goes == line.back:
            self.finish(when)
        else:
            self._to(line.goes, when)

    def _to(self, label: str, when: BoolLike) -> None:
        self._diverted.append(boolean(when))
        self.do.set(self.s.at[self.p], self.s.number(label), when)

    def _line(self, name: str) -> Placed:
        part, dot, _ = self.placed.line.name.rpartition(".")
        placed = self.placed
        return self.s.lines[placed.cast.kind, placed.operation, f"{part}{dot}{name}"]

    def proceed(self) -> None:
        """Go on with the next line, or return after the last, where nothing else was said."""
        straight = ~any_of(*self._diverted)
        if self.placed.goes == self.placed.back:
            self.finish(straight)
        else:
            self.do.set(self.s.at[self.p], self.s.number(self.placed.goes), straight)

    def finish(self, when: BoolLike = True) -> None:
        """The operation returns where ``when`` holds."""
        s, do, back = self.s, self.do, self.placed.back
        self._diverted.append(boolean(when))
        do.set(s.at[self.p], s.number(back), when)
        self._forget(when)
        if (called := self.placed.operation) in READS or called in CLOSES:
            s.seen.returns(do, self.p, self.r, called in READS, when)
        if back in (OVER, PANICKED):
            self._ends(when)

    def tells_end(self, when: BoolLike) -> None:
        """Read will return end of body where ``when`` holds."""
        self.s.seen.tells_end(self.do, self.r, when)

    def end_of_body(self, when: BoolLike) -> None:
        """Read returns end of body where ``when`` holds."""
        self.tells_end(when)
        self.finish(when)

    def panic(self, prop: str, when: BoolLike) -> None:
        """The step is a panic where ``when`` holds: ``prop`` is broken, its party ends here."""
        s, do, called = self.s, self.do, self.placed.operation
        mine = self.placed.cast.kind == "request"
        self._diverted.append(boolean(when))
        s.seen.panics(do, self.p, self.r, prop, called, when)
        goes = DEFERRED if mine and called in READS else PANICKED
        do.set(s.at[self.p], s.number(goes), when)
        self._forget(when)
        if goes == DEFERRED and prop == "P3":
            s.seen.nil_met(do, self.r, when)
        if mine and goes == PANICKED:
            self._ends(when)

    def _forget(self, when: BoolLike) -> None:
        """No local outlives its operation."""
        s, do = self.s, self.do
        do.set(s.held[self.p], 0, when)
        do.set(s.count[self.p], 0, when)
        if not s.design.whole:
            self.keep([], when)
        if "lengths" in s.design.fields:
            do.set(s.took[self.p], 0, when)
        if "request" in s.design.fields:
            do.set(s.via[self.p], s.request.size, when)

    def _ends(self, when: BoolLike) -> None:
        """The request is over, well or not."""
        b = self.s.bounds
        self.do.set(self.s.spent[self.p], 0, when)
        alone = not b.joined + b.leftovers + b.closers
        self.s.seen.over(self.do, self.r, alone, when)

    # -------------------------------------------------------------------------- memory

    def touch(self, when: BoolLike = True) -> None:
        """A step through this handle changes the reader where ``when`` holds."""
        self.s.seen.touched(self.do, self.o, self.r, when)

    def store(
        self, field: IntArray | BoolArray, value: IntLike | BoolLike, when: BoolLike = True
    ) -> None:
        """A field of the reader becomes ``value`` where ``when`` holds."""
        self.touch(when)
        self.do.set(field[self.o], value, when)

    def listed(self) -> list[IntExpr]:
        """The reader's list of buffers, as the field holds it: block + 1, or 0 for none."""
        return [self.s.buffers[self.o, i] for i in range(self.s.place.size)]

    def kept(self) -> list[IntExpr]:
        """The list that this party has loaded."""
        return [self.s.list[self.p, i] for i in range(self.s.place.size)]

    def keep(self, values: Sequence[IntExpr | int], when: BoolLike = True) -> None:
        """This party's copy of the list becomes ``values``."""
        for i in range(self.s.place.size):
            value = values[i] if i < len(values) else 0
            self.do.set(self.s.list[self.p, i], value, when)

    def store_list(self, values: Sequence[IntExpr | int]) -> None:
        """The reader's list of buffers becomes ``values``."""
        self.touch()
        for i in range(self.s.place.size):
            value = values[i] if i < len(values) else 0
            self.do.set(self.s.buffers[self.o, i], value)
