"""TRUSTED: what is right and wrong in the history, judged by ghosts that no design can read.

P1, P2, P5 and the reader of freed or foreign bytes are judged by :mod:`model.ground`, which the
final design's world stands on as well; here is what needs to know whose step it is, and what came
before it. A design calls these where it stores, copies, returns or panics (all through
:class:`~model.history.at.At`), and is told nothing.

What this leaves out: the order of the parts of a body, and what a panic does to the other
goroutines of its process.
"""

from typing import Final

from model.ground import Ground
from nbio.verify.expr import BoolExpr, BoolLike, IntExpr, all_of, boolean, implies
from nbio.verify.spec import Index, Model, Step, exists

PROPERTIES: Final = {
    "P3": ("nil_engine", "nobody dereferences a nil engine"),
    "P4": ("read_freed", "nobody reads bytes of a buffer that has been freed"),
    "P5": ("shared", "Get returns no reader that a live request owns"),
    "P6": ("meddled", "no handle changes a reader that another live request owns"),
    "P7": ("foreign_bytes", "no request gets another one's bytes"),
    "P9": ("read_after_close", "a Read begun after a Close yields no data and no panic"),
    "P10": ("panic", "nothing else panics"),
    "P11": ("truncated", "no end of body while nobody has closed and there is more"),
    "P12": ("signature", "a Read and the deferred Close don't both meet a nil engine"),
}
"""How the history is judged; in the final world P4 and P7 are judged of every state."""


class Observers:
    """The ghosts of every request, and the judgement of each step."""

    def __init__(self, ground: Ground, requests: Index, parties: Index, parts: Index) -> None:
        model: Model = ground.model
        self.ground, self.parts = ground, parts
        # A Close through this request's handle has begun; has returned.
        self.closing = model.booleans("closing", requests)
        self.shut = model.booleans("shut", requests)
        # Parts of the body that nobody has been given; which part a block holds.
        self.unread = model.booleans("unread", (requests, parts))
        self.part = model.integers("part", ground.blocks, 0, parts.size - 1, hidden=True)
        # This party's Read began after a Close had returned; the handler's Read met a nil engine.
        self.late = model.booleans("late", parties)
        self.nil = model.booleans("nil", requests)

    def touched(self, do: Step, o: IntExpr, r: IntExpr, when: BoolLike) -> None:
        """Request ``r``'s handle changes reader ``o``: P6 where that has another live owner."""
        owner = self.ground.owner[o]
        other = (owner != self.ground.nobody) & (owner != r)
        self.ground.blame(do, "P6", boolean(when) & other)

    def begins(self, do: Step, p: IntExpr, r: IntExpr, reads: bool) -> None:
        """Party ``p`` takes the first step of a Read (``reads``) or a Close."""
        if reads:
            do.set(self.late[p], self.shut[r])
        else:
            do.set(self.closing[r], True)

    def returns(self, do: Step, p: IntExpr, r: IntExpr, reads: bool, when: BoolLike) -> None:
        """A Read or a Close comes to its end."""
        if reads:
            do.set(self.late[p], False, when)
        else:
            do.set(self.shut[r], True, when)

    def filled(self, do: Step, k: IntExpr, r: IntExpr, part: int, whole: bool) -> None:
        """Block ``k`` gets a part of request ``r``'s body, or the ``whole``."""
        self.ground.fill(do, k, r)
        do.set(self.part[k], part)
        for i in range(self.parts.size) if whole else (part,):
            do.set(self.unread[r, i], True)

    def copied(self, do: Step, k: IntExpr, p: IntExpr, r: IntExpr, part: IntExpr) -> None:
        """A Read copies ``part`` out of block ``k``: P4, P7, P9.

        Wrong bytes are passed off as the next part that was not given: wrong, but not truncated.
        """
        own = self.ground.look(do, k, r)
        self.ground.blame(do, "P9", self.late[p])
        for i in range(self.parts.size):
            first = all_of(self.unread[r, i], *(~self.unread[r, j] for j in range(i)))
            do.set(self.unread[r, i], False, (own & (part == i)) | (~own & first))

    def tells_end(self, do: Step, r: IntExpr, when: BoolLike) -> None:
        """A Read reports the end of the body: P11 where nobody has closed and there is more."""
        more = exists(self.parts, lambda i: self.unread[r, i])
        self.ground.blame(do, "P11", boolean(when) & ~self.closing[r] & more)

    def panics(
        self, do: Step, p: IntExpr, r: IntExpr, prop: str, operation: str, when: BoolLike
    ) -> None:
        """A step panics: ``prop`` is P3 for a nil engine, P10 for anything else."""
        self.ground.blame(do, prop, when)
        if operation == "read":
            self.ground.blame(do, "P9", boolean(when) & self.late[p])
            do.set(self.late[p], False, when)
        if prop == "P3" and operation == "deferred":
            self.ground.blame(do, "P12", boolean(when) & self.nil[r])

    def nil_met(self, do: Step, r: IntExpr, when: BoolLike) -> None:
        """The handler of request ``r`` panicked in Read on a nil engine: P12's first half."""
        do.set(self.nil[r], True, when)

    def over(self, do: Step, r: IntExpr, alone: bool, when: BoolLike) -> None:
        """Request ``r`` is over, well or not; ``alone``: nobody else holds its body."""
        self.ground.disown(do, r, when)
        do.set(self.nil[r], False, when)
        for i in range(self.parts.size) if alone else ():
            do.set(self.unread[r, i], False, when)

    def judge(self, quiet: BoolExpr, pools: bool) -> None:
        """Declare the properties; ``quiet``: all is over, ``pools``: readers come from a pool."""
        self.ground.judge()
        back = self.ground.all_back() if pools else self.ground.blocks_back()
        always = implies(quiet, back)
        self.ground.model.always("P8", always, "when all is over everything is back")
        self.ground.model.sometimes("all over", quiet, "P8's premise")
