"""Historic designs, at the grain of memory steps: one load, store, Get, Put, Malloc or Free a step.

Configuration A of the history: every request is used in the ordinary way. Its handler reads, closes
the body at most once, and returns; then the framework releases the request. Nobody else holds it.

G1 is upstream v1.5.4 to v1.5.11: ``Close`` frees the buffer, zeroes every field and puts the reader
into the pool, and the framework's ``releaseRequest`` closes it again. F1 is the published advice
read as it stands: an atomic ``closed`` flag on the reader, reset when it is acquired; the Close
that wins the swap does all that, a Close that loses does nothing.

A panic ends its request where it stands: release is skipped, as it was upstream.
"""

from collections.abc import Callable

from model.ground import Ground
from nbio.verify.expr import BoolExpr, IntExpr, implies, integer
from nbio.verify.spec import Model, Step, forall

Effect = Callable[[Step, IntExpr], None]

FURTHER = {
    "P4": ("read_freed", "nobody looks at a block that has been freed"),
    "P7": ("foreign_bytes", "no request ever sees another request's bytes"),
}


class History:
    """The shared fields of a pooled reader, and each request's place in its program."""

    def __init__(self, name: str, doc: str, requests: int, operations: int, flag: bool) -> None:
        bounds = {"requests": requests, "operations": operations}
        self.m = m = Model(name, doc, bounds)
        self.flagged = flag
        self.request = m.index("request", requests)
        self.object = m.index("reader", requests)
        self.block = m.index("block", requests)
        self.ground = Ground(m, self.object, self.block, self.request, FURTHER)
        self.engine = m.booleans("engine", self.object)
        self.buffer = m.integers("buffers", self.object, 0, requests)
        self.left = m.integers("left", self.object, 0, 1)
        self.closed = m.booleans("closed", self.object)
        self.reader = m.integers("body", self.request, 0, requests - 1)
        self.local = m.integers("local", self.request, 0, requests, hidden=True)
        self.spent = m.integers("spent", self.request, 0, operations, hidden=True)
        self.shut = m.booleans("shut", self.request)
        self.unread = m.booleans("unread", self.request)
        self.labels = ["begin"]
        self.over: list[int] = []
        self.at = m.integers("at", self.request, 0, 31, hidden=True)

    def label(self, name: str) -> int:
        """The number of a label, made on first use."""
        if name not in self.labels:
            self.labels.append(name)
        return self.labels.index(name)

    def line(
        self, name: str, actor: str, says: str, effect: Effect, goes: str, at: str = ""
    ) -> None:
        """One step of every request's program, at its own label or ``at``; then on to ``goes``."""

        def body(do: Step, r: IntExpr) -> None:
            do.when(self.at[r] == self.label(at or name))
            do.set(self.at[r], self.label(goes))
            effect(do, r)

        self.m.add_action(name, body, {"r": self.request}, actor=actor, say=f"{actor}: {says}")

    def go(self, do: Step, r: IntExpr, to: str, when: BoolExpr) -> None:
        """Continue at ``to`` where ``when`` holds."""
        do.set(self.at[r], self.label(to), when)

    def panic(self, do: Step, r: IntExpr, prop: str, when: BoolExpr) -> None:
        """The step is a panic where ``when`` holds: ``prop`` is broken, the request ends here."""
        self.ground.blame(do, prop, when)
        self.go(do, r, "panicked", when)

    def touches(self, do: Step, r: IntExpr) -> IntExpr:
        """The reader that the request's handle points to; a store there may be P6."""
        o = self.reader[r]
        owner = self.ground.owner[o]
        self.ground.blame(do, "P6", (owner != self.ground.nobody) & (owner != r))
        return o


def acquire(h: History) -> None:
    """The loop parses a request with a body: pool.Get, the engine, one buffer."""
    g = h.ground

    def get(do: Step, r: IntExpr, o: IntExpr) -> None:
        do.when(h.at[r] == h.label("begin"))
        g.get(do, o, r)
        do.set(h.reader[r], o)
        do.set(h.at[r], h.label("engine"))

    index = {"r": h.request, "o": h.object}
    h.m.add_action("get", get, index, actor="loop", say="loop: r{r}: Get -> reader {o}")

    def engine(do: Step, r: IntExpr) -> None:
        do.set(h.engine[h.touches(do, r)], True)

    h.line(
        "engine",
        "loop",
        "r{r}: engine = e",
        engine,
        "flag" if h.flagged else "malloc",
    )
    if h.flagged:

        def reset(do: Step, r: IntExpr) -> None:
            do.set(h.closed[h.touches(do, r)], False)

        h.line("flag", "loop", "r{r}: closed = false", reset, "malloc")

    def malloc(do: Step, r: IntExpr, k: IntExpr) -> None:
        do.when(h.at[r] == h.label("malloc"), g.lowest_free(k))
        g.allocate(do, k, r)
        do.set(h.local[r], k)
        do.set(h.at[r], h.label("append"))

    blocks = {"r": h.request, "k": h.block}
    h.m.add_action("malloc", malloc, blocks, actor="loop", say="loop: r{r}: Malloc -> buf {k}")

    def append(do: Step, r: IntExpr) -> None:
        do.set(h.buffer[h.touches(do, r)], h.local[r] + 1)

    h.line("append", "loop", "r{r}: buffers = [b]", append, "fill")

    def fill(do: Step, r: IntExpr) -> None:
        do.set(h.left[h.touches(do, r)], 1)
        do.set(h.unread[r], True)

    h.line("fill", "loop", "r{r}: left = n", fill, "handler")


def read(h: History) -> None:
    """The handler reads what is left of the first buffer; an exhausted buffer is freed."""
    g, who = h.ground, "handler {r}"

    def begin(do: Step, r: IntExpr) -> None:
        do.when(h.spent[r] < h.m.constants["operations"])
        do.set(h.spent[r], h.spent[r] + 1)
        nothing = h.left[h.reader[r]] == 0
        # End of body although this request never closed it and its bytes were not read.
        g.blame(do, "P11", nothing & ~h.shut[r] & h.unread[r])
        h.go(do, r, "read_buffers", ~nothing)
        h.go(do, r, "handler", nothing)

    def body(do: Step, r: IntExpr) -> None:
        do.when(h.at[r] == h.label("handler"), ~h.shut[r])
        begin(do, r)

    h.m.add_action("read", body, {"r": h.request}, actor=who, say=f"{who}: Read loads left")

    def buffers(do: Step, r: IntExpr) -> None:
        found = h.buffer[h.reader[r]]
        h.panic(do, r, "P10", found == 0)
        do.set(h.local[r], found - 1, found > 0)

    h.line("read_buffers", who, "Read loads buffer", buffers, "read_copy")

    def copy(do: Step, r: IntExpr) -> None:
        k = h.local[r]
        g.blame(do, "P4", g.place[k] == 0)
        g.blame(do, "P7", (g.place[k] != 0) & (g.tag[k] != r))
        g.blame(do, "P9", h.shut[r])
        do.set(h.unread[r], False)

    h.line("read_copy", who, "Read copies bytes", copy, "read_left")

    def left(do: Step, r: IntExpr) -> None:
        do.set(h.left[h.touches(do, r)], 0)

    h.line("read_left", who, "Read: left = 0", left, "read_engine")

    def engine(do: Step, r: IntExpr) -> None:
        h.panic(do, r, "P3", ~h.engine[h.reader[r]])

    h.line("read_engine", who, "Read loads engine", engine, "read_free")
    h.line("read_free", who, "Read frees buffer", lambda do, r: g.free(do, h.local[r]), "read_pop")

    def pop(do: Step, r: IntExpr) -> None:
        do.set(h.buffer[h.touches(do, r)], 0)

    h.line("read_pop", who, "Read: buffers = []", pop, "handler")


def close(h: History, name: str, actor: str, back: str, *, by_handler: bool) -> None:
    """``Close``: free the buffer through the engine, zero the fields, put the reader back.

    Calling it is no step: its first line runs where the handler stands. A handler closes once.
    """
    g, once = h.ground, h.m.constants["operations"]

    def first(effect: Effect) -> Effect:
        def body(do: Step, r: IntExpr) -> None:
            if by_handler:
                do.when(h.spent[r] < once, ~h.shut[r])
                do.set(h.spent[r], h.spent[r] + 1)
            effect(do, r)

        return body

    def swap(do: Step, r: IntExpr) -> None:
        o = h.reader[r]
        won = ~h.closed[o]
        owner = g.owner[o]
        g.blame(do, "P6", won & (owner != g.nobody) & (owner != r))
        do.set(h.closed[o], True)
        h.go(do, r, back, ~won)
        do.set(h.shut[r], True, ~won)

    if h.flagged:
        says = "Close swaps closed"
        h.line(f"{name}_swap", actor, says, first(swap), f"{name}_load", at="handler")

    def load(do: Step, r: IntExpr) -> None:
        found = h.buffer[h.reader[r]]
        do.set(h.local[r], found - 1, found > 0)
        h.go(do, r, f"{name}_buffers", found == 0)

    if h.flagged:
        h.line(f"{name}_load", actor, "Close loads buffers", load, f"{name}_engine")
    else:
        says = "Close loads buffers"
        h.line(f"{name}_load", actor, says, first(load), f"{name}_engine", at="handler")

    def engine(do: Step, r: IntExpr) -> None:
        h.panic(do, r, "P3", ~h.engine[h.reader[r]])

    h.line(f"{name}_engine", actor, "Close loads engine", engine, f"{name}_free")

    def free(do: Step, r: IntExpr) -> None:
        g.free(do, h.local[r])

    h.line(f"{name}_free", actor, "Close frees buffer", free, f"{name}_buffers")

    def store(field: str, effect: Effect, goes: str) -> None:
        h.line(f"{name}_{field}", actor, f"Close: {field} = 0", effect, goes)

    def no_buffers(do: Step, r: IntExpr) -> None:
        do.set(h.buffer[h.touches(do, r)], 0)

    def no_left(do: Step, r: IntExpr) -> None:
        do.set(h.left[h.touches(do, r)], 0)

    def no_engine(do: Step, r: IntExpr) -> None:
        do.set(h.engine[h.touches(do, r)], False)

    store("buffers", no_buffers, f"{name}_left")
    store("left", no_left, f"{name}_nil")
    h.line(f"{name}_nil", actor, "Close: engine = nil", no_engine, f"{name}_put")

    def put(do: Step, r: IntExpr) -> None:
        o = h.reader[r]
        do.set(g.pooled[o], g.pooled[o] + 1, g.pooled[o] < 2)
        do.set(g.owner[o], g.nobody, g.owner[o] == r)
        do.set(h.shut[r], True)

    h.line(f"{name}_put", actor, "Close: pool.Put", put, back)


def handle(h: History) -> None:
    """The handler's choices, and the framework's release after it."""
    read(h)
    close(h, "close", "handler {r}", "handler", by_handler=True)
    close(h, "release", "release {r}", "over", by_handler=False)


def historic(name: str, doc: str, *, flag: bool, requests: int, operations: int) -> Model:
    """A design in configuration A."""
    h = History(name, doc, requests, operations, flag)
    acquire(h)
    handle(h)
    h.ground.judge()
    ends = [h.label("over"), h.label("panicked")]
    quiet = forall(h.request, lambda r: (h.at[r] == ends[0]) | (h.at[r] == ends[1]))
    h.m.always("P8", implies(quiet, h.ground.all_back()), "when all is over everything is back")
    h.m.sometimes("all over", quiet, "P8's premise")
    again = forall(h.request, lambda r: h.reader[r] == integer(0)) & (h.at[0] != 0) & (h.at[1] != 0)
    h.m.sometimes("reuse", again, "a reader has a second owner: P5 and P6's premise")
    h.m.done(quiet)
    return h.m


def v1_5_11(requests: int = 2, operations: int = 2) -> Model:
    """G1: upstream v1.5.4 to v1.5.11, configuration A."""
    doc = "Close zeroes and puts; releaseRequest closes again."
    return historic("v1.5.11", doc, flag=False, requests=requests, operations=operations)


def f1(requests: int = 2, operations: int = 2) -> Model:
    """F1: the published advice, an atomic flag on the pooled reader, configuration A."""
    doc = "Who wins the swap of the reader's closed flag frees and puts."
    return historic("F1", doc, flag=True, requests=requests, operations=operations)
