"""TRUSTED: the ground every design stands on, and the observers that judge it.

A pool of objects, an allocator of blocks, and ghost variables that no design can read or write. A
design says *that* it gets, puts, allocates, frees or looks at bytes, by the methods of
:class:`Ground`; what that means for the properties is decided here, for all designs alike.

What this leaves out: the contents of a block beyond whose bytes they are (its *tag*), the order of
the bytes within a body, and anything a C extension could do behind the interpreter's back.
"""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType

from nbio.verify.expr import BoolExpr, BoolLike, IntExpr, IntLike, boolean, integer, ite, minimum
from nbio.verify.spec import Index, Model, Step, forall


class Place(IntEnum):
    """Where a block is: with the allocator, in use, or given up to the garbage collector."""

    FREE = 0
    USED = 1
    GONE = 2


FAULTS = {
    "P2": ("double_free", "no block is freed twice"),
    "P3": ("no_engine", "nobody reaches through an object that no request owns"),
    "P5": ("shared", "at most one live request owns an object"),
    "P6": ("meddled", "a stale handle changes nothing for anyone else"),
    "P9": ("read_after_close", "a read after close ends in the typed error, and nothing else"),
    "P10": ("crashed", "no operation meets a value it has no branch for"),
    "P11": ("truncated", "end of body is reported only when the body ended"),
}
"""Properties judged at the step that breaks them: a ghost flag each, set once and never cleared."""


class Ground:
    """Pool, allocator and observers, declared in ``model``."""

    def __init__(
        self,
        model: Model,
        objects: Index,
        blocks: Index,
        requests: Index,
        further: Mapping[str, tuple[str, str]] = MappingProxyType({}),
        lists_twice: bool = False,
    ) -> None:
        self.model, self.objects, self.blocks, self.requests = model, objects, blocks, requests
        self.nobody = requests.size
        self.pooled = model.integers("pooled", objects, 0, 2, init=1)
        names = {self.nobody: "nobody"}
        self.owner = model.integers(
            "owner", objects, 0, self.nobody, init=self.nobody, labels=names
        )
        self.place = model.enums("block", blocks, Place, Place.FREE)
        self.tag = model.integers("tag", blocks, 0, self.nobody, init=self.nobody, labels=names)
        # A block that was freed twice stands in the allocator's list twice: two get it.
        self.again = model.booleans("listed_again", blocks) if lists_twice else None
        self.judged = FAULTS | dict(further)
        self.faults = {p: model.boolean(name) for p, (name, _) in self.judged.items()}

    # ----------------------------------------------------------------------- the pool

    def get(self, do: Step, s: IntExpr, r: IntExpr) -> None:
        """Request ``r`` takes object ``s`` out of the pool."""
        do.when(self.pooled[s] > 0)
        do.set(self.pooled[s], self.pooled[s] - 1)
        self.blame(do, "P5", self.owner[s] != self.nobody)
        do.set(self.owner[s], r)

    def put(self, do: Step, s: IntExpr, when: BoolLike = True, by: IntExpr | None = None) -> None:
        """Object ``s`` goes into the pool; ``by``: only that request ceases to be its owner."""
        do.set(self.pooled[s], minimum(self.pooled[s] + 1, 2), when)
        mine = when if by is None else boolean(when) & (self.owner[s] == by)
        do.set(self.owner[s], self.nobody, mine)

    def disown(self, do: Step, r: IntExpr, when: BoolLike = True) -> None:
        """Request ``r`` is over: it is no live owner of anything."""
        for s in range(self.objects.size):
            do.set(self.owner[s], self.nobody, boolean(when) & (self.owner[s] == r))

    # ------------------------------------------------------------------ the allocator

    def lowest_free(self, k: IntExpr) -> BoolExpr:
        """Block ``k`` is the next one to be handed out (blocks are interchangeable)."""
        below = forall(self.blocks, lambda j: (j >= k) | ~self._listed(j))
        return self._listed(k) & below

    def _listed(self, k: IntExpr) -> BoolExpr:
        free = self.place[k] == Place.FREE
        return free if self.again is None else free | self.again[k]

    def allocate(self, do: Step, k: IntExpr, r: IntExpr, when: BoolLike = True) -> None:
        """Block ``k`` now holds bytes of request ``r``."""
        do.set(self.place[k], Place.USED, when)
        do.set(self.tag[k], r, when)

    def malloc(self, do: Step, k: IntExpr, when: BoolLike = True) -> None:
        """Block ``k`` is handed out; its bytes are nobody's until it is filled."""
        if self.again is not None:
            do.set(self.again[k], False, boolean(when) & (self.place[k] != Place.FREE))
        do.set(self.place[k], Place.USED, when)
        do.set(self.tag[k], self.nobody, when)

    def fill(self, do: Step, k: IntExpr, r: IntExpr) -> None:
        """Request ``r``'s bytes are written into block ``k``."""
        do.set(self.tag[k], r)

    def look(self, do: Step, k: IntExpr, r: IntExpr) -> BoolExpr:
        """Somebody copies bytes out of block ``k`` for request ``r``; whether they are its own."""
        self.blame(do, "P4", self.place[k] == Place.FREE)
        self.blame(do, "P7", (self.tag[k] != self.nobody) & (self.tag[k] != r))
        return self.tag[k] == r

    def free(self, do: Step, k: IntLike, when: BoolLike = True, seen: BoolLike = False) -> None:
        """Block ``k`` goes back, or is given up where a view of it is alive (``seen``)."""
        cell = integer(k)
        self.blame(do, "P2", boolean(when) & (self.place[cell] != Place.USED))
        if self.again is not None:
            do.set(self.again[cell], True, boolean(when) & (self.place[cell] == Place.FREE))
        do.set(self.place[cell], ite(seen, integer(Place.GONE), integer(Place.FREE)), when)
        do.set(self.tag[cell], ite(seen, self.tag[cell], integer(self.nobody)), when)

    def collect(self, do: Step, k: IntExpr, when: BoolLike) -> None:
        """The last view of a given-up block is gone: the garbage collector has it."""
        gone = boolean(when) & (self.place[k] == Place.GONE)
        do.set(self.place[k], Place.FREE, gone)
        do.set(self.tag[k], self.nobody, gone)

    # ------------------------------------------------------------------- the judgement

    def blame(self, do: Step, prop: str, when: BoolLike) -> None:
        """The step breaks ``prop`` where ``when`` holds."""
        do.set(self.faults[prop], True, when)

    def judge(self) -> None:
        """Declare the properties whose observers live here."""
        once = forall(self.objects, lambda s: self.pooled[s] <= 1)
        self.model.always("P1", once, "no object is in the pool twice")
        for prop, (_, because) in self.judged.items():
            self.model.always(prop, ~self.faults[prop], because)

    def all_back(self) -> BoolExpr:
        """Conservation: every object is in the pool (once: P1), every block with the allocator."""
        return forall(self.objects, lambda s: self.pooled[s] >= 1) & self.blocks_back()

    def blocks_back(self) -> BoolExpr:
        """Every block is with the allocator."""
        return forall(self.blocks, lambda k: self.place[k] == Place.FREE)
