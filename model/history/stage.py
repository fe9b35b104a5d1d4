"""Where the historic designs play: the readers' shared fields, and each party's place in it all.

Calling an operation is no step: its first line runs where its caller stands. A panic ends its party
where it stands; a handler that panics in Read may still run a deferred Close, but its request is
not released, as it was upstream.
"""

from __future__ import annotations

from collections.abc import Iterator

from model.ground import Ground
from model.history.at import At
from model.history.observers import PROPERTIES, Observers
from model.history.script import (
    BEGIN,
    BLOCK,
    CALLS,
    CLOSES,
    DEFERRED,
    IDLE,
    OVER,
    PANICKED,
    READER,
    READS,
    VOICE,
    Bounds,
    Cast,
    Design,
    Line,
    Placed,
    operation,
)
from nbio.verify.expr import BoolExpr, IntExpr, all_of, any_of, integer
from nbio.verify.spec import ActionBody, Model, Step, exists, forall


class Stage:
    """The shared fields of the readers, and each party's place in its program."""

    def __init__(self, design: Design, bounds: Bounds) -> None:
        self.design, self.bounds = design, bounds
        doc = f"{design.versions}: {design.says}"
        self.m = m = Model(design.name, doc, dict(vars(bounds)))
        n, size = bounds.requests, bounds.buffers
        holders = bounds.joined + bounds.leftovers + bounds.closers
        self.request = m.index("request", n)
        self.everyone = m.index("request", n + bounds.responses)
        self.object = m.index("reader", n)
        blocks = n if design.whole else n * size
        self.block = m.index("block", blocks + bounds.responses)
        self.party = m.index("party", n + holders + bounds.responses)
        self.part = m.index("part", size)
        # A list can grow beyond one body's when two requests build on one reader, or when a
        # Read that is under way puts back what it had popped from.
        listed = size * max(n - 1, 1) + (size - 1 if holders else 0)
        self.place = m.index("place", 1 if design.whole else listed)
        self.ground = Ground(m, self.object, self.block, self.everyone, PROPERTIES, True)
        self._fields(listed + size, holders)
        self.seen = Observers(self.ground, self.everyone, self.party, self.part)
        self.casts = list(self._casts())
        self.script = [p for cast in self.casts for p in self._script(cast)]
        self.lines = {(p.cast.kind, p.operation, p.line.name): p for p in self.script}
        self.labels = self._labels()
        begin, idle = self.number(BEGIN), self.number(IDLE)
        starts = [begin] * n + [idle] * holders + [begin] * bounds.responses
        top = len(self.labels) - 1
        self.at = m.integers("at", self.party, 0, top, init=starts, hidden=True)
        for placed in self.script:
            self._act(placed)
        self._judge()

    def _fields(self, most: int, holders: int) -> None:
        m, n, size = self.m, self.bounds.requests, self.bounds.buffers
        blocks = {0: "none"} | {k + 1: f"buf {k}" for k in range(self.block.size)}
        names = {n: "none"}
        fields = self.design.fields
        # The reader's own fields.
        if "engine" in fields:
            self.engine = m.booleans("engine", self.object)
        if "left" in fields:
            self.left = m.integers("left", self.object, -self.party.size, most)
        self.buffers = m.integers(
            "buffers", (self.object, self.place), 0, self.block.size, labels=blocks
        )
        if "index" in fields:
            # Beyond the last part all values are alike.
            self.index = m.integers("index", self.object, 0, size)
        if "closed" in fields:
            self.closed = m.booleans("closed", self.object)
        if "leases" in fields:
            self.leases = m.integers("leases", self.object, 0, 1 + holders)
        if "lengths" in fields:
            # The length in the slice header that the allocator and all holders share.
            self.lengths = m.integers("length", self.block, 0, 2)
            self.took = m.integers("took", self.party, 0, 1, hidden=True)
        if "request" in fields:
            # The pooled request structs: whose body each has, and which one a request was given.
            self.struct = m.integers("struct", self.request, 0, n, init=n, labels=names)
            self.idle = m.booleans("idle_struct", self.object, init=True)
            self.has = m.integers("req_body", self.object, 0, n, init=n, labels=names)
            self.via = m.integers("via", self.party, 0, n, init=n, hidden=True)
        # What a request's parties hold: the reader, and the generation they got it at.
        self.body = m.integers("body", self.everyone, 0, n, init=n, labels=names)
        if "generation" in fields:
            self.generation = m.integers("generation", self.object, 0, n)
            self.stamp = m.integers("stamp", self.request, 0, n)
        # Locals; none outlives its operation.
        self.held = m.integers("held", self.party, 0, self.block.size, hidden=True)
        if not self.design.whole:
            self.list = m.integers(
                "list", (self.party, self.place), 0, self.block.size, hidden=True
            )
        self.count = m.integers("count", self.party, -self.party.size, most, hidden=True)
        self.spent = m.integers("spent", self.party, 0, self.bounds.operations, hidden=True)

    # ------------------------------------------------------------------------ programs

    def _casts(self) -> Iterator[Cast]:
        b, first = self.bounds, self.bounds.requests
        yield Cast("request", self.request, 0)
        for kind, size in (("second", b.joined), ("leftover", b.leftovers), ("closer", b.closers)):
            if size:
                yield Cast(kind, self.m.index(kind, size), first)
            first += size
        if b.responses:
            yield Cast("response", self.m.index("response", b.responses), first)

    def _script(self, cast: Cast) -> Iterator[Placed]:
        d = self.design
        if cast.kind == "request":
            yield from operation(cast, "acquire", [*d.acquire, *self._appended()], BEGIN, IDLE)
            yield from operation(cast, "read", d.read, IDLE, IDLE)
            yield from operation(cast, "close", d.close, IDLE, IDLE)
            yield from operation(cast, "deferred", d.close, DEFERRED, PANICKED)
            then = f"let_go.{d.release[0].name}" if d.release else OVER
            yield from operation(cast, "release", d.close, IDLE, then)
            yield from operation(cast, "let_go", d.release, then, OVER)
            return
        if cast.kind == "response":
            yield from operation(cast, "write", d.writes, BEGIN, OVER)
            return
        first = d.evaluates if cast.kind == "leftover" else ()
        if cast.kind != "closer":
            yield from operation(cast, "read", [*first, *d.read], IDLE, IDLE)
        yield from operation(cast, "close", [*first, *d.close], IDLE, IDLE)

    def _appended(self) -> Iterator[Line]:
        size = 1 if self.design.whole else self.bounds.buffers
        for part in range(size):
            for line in self.design.append:
                yield Line(
                    f"{line.name}{part}" if size > 1 else line.name,
                    line.says,
                    line.effect,
                    line.over,
                )

    def _labels(self) -> list[str]:
        """Every label, in the order of a request's life: so `>=` tells who has begun."""
        found = [BEGIN]
        phases = (
            "write",
            "acquire",
            IDLE,
            "read",
            "close",
            DEFERRED,
            PANICKED,
            "release",
            "let_go",
        )
        for phase in phases:
            if phase in (IDLE, DEFERRED, PANICKED):
                found.append(phase)
            inside = [p.label for p in self.script if p.operation == phase]
            found += [label for label in dict.fromkeys(inside) if label not in found]
        return [*found, OVER]

    def number(self, label: str) -> int:
        """The number of a label."""
        return self.labels.index(label)

    def stands(self, p: IntExpr, label: str) -> BoolExpr:
        """Party ``p`` stands at ``label``."""
        return self.at[p] == self.number(label)

    def within(self, p: IntExpr, first: str, last: str) -> BoolExpr:
        """Party ``p`` stands between two labels, both included."""
        return (self.at[p] >= self.number(first)) & (self.at[p] <= self.number(last))

    def _act(self, placed: Placed) -> None:
        cast, line = placed.cast, placed.line

        def body(do: Step, c: IntExpr, x: IntExpr | None) -> None:
            at = At(self, do, placed, c, x)
            do.when(self.stands(at.p, placed.label))
            if placed.begins:
                self._begin(at)
            line.effect(at)
            got = placed.operation == "acquire" and line is self.design.acquire[-1]
            if got and self.bounds.bodiless:
                at.finish(~at.has_body)
            at.proceed()

        voice = VOICE.get(placed.operation, "handler") if cast.kind == "request" else cast.kind
        says = f"{voice}: {CALLS.get(placed.operation, '')}{line.says}"
        actor = f"{cast.kind} {{r}}"
        if cast.kind not in ("request", "response"):
            actor = f"{cast.kind} of {{r}}"
        actions: dict[str, ActionBody] = {
            "": lambda do, r: body(do, r, None),
            READER: lambda do, r, o: body(do, r, o),
            BLOCK: lambda do, r, k: body(do, r, k),
        }
        params = {"r": cast.index}
        if line.over:
            params |= {"o": self.object} if line.over == READER else {"k": self.block}
        self.m.add_action(
            placed.name,
            actions[line.over],
            params,
            actor,
            says,
            never=_rare(placed),
        )

    def _begin(self, at: At) -> None:
        """The caller's side of an operation's first line: may it call, and what it uses up."""
        do, p, r, called = at.do, at.p, at.r, at.placed.operation
        if called == "acquire":
            do.when(self._in_turn(r))
        elif called == "release":
            do.when(self._joined(r))
        elif called in ("read", "close"):
            limit = 1 if at.placed.cast.kind == "closer" else self.bounds.operations
            do.when(self.spent[p] < limit)
            do.set(self.spent[p], self.spent[p] + 1)
            if at.placed.cast.kind != "request":
                last = PANICKED if at.placed.cast.kind == "second" else OVER
                do.when(self.within(r, IDLE, last))
        if self.bounds.ordinary and called in ("read", "close", "deferred"):
            do.when(~self.seen.closing[r])
        if called in READS or called in CLOSES:
            self.seen.begins(do, p, r, called in READS)

    def _in_turn(self, r: IntExpr) -> BoolExpr:
        """Requests that are alike begin in the order of their numbers."""
        b = self.bounds
        special, bodied = max(b.joined, b.leftovers, b.closers), b.requests - b.bodiless
        alike = [c for c in range(1, b.requests) if c > special and c != bodied]
        return all_of(*((r != c) | ~self.stands(integer(c - 1), BEGIN) for c in alike))

    def _joined(self, r: IntExpr) -> BoolExpr:
        """The second goroutine of ``r`` is between two operations, or has panicked."""
        first = self.bounds.requests
        return all_of(
            *((r != j) | self._rests(integer(first + j)) for j in range(self.bounds.joined))
        )

    def _rests(self, p: IntExpr) -> BoolExpr:
        return self.stands(p, IDLE) | self.stands(p, PANICKED)

    # ----------------------------------------------------------------------- judgement

    def _judge(self) -> None:
        m, n = self.m, self.bounds.requests
        ended = forall(
            self.request,
            lambda r: any_of(*(self.stands(r, x) for x in (DEFERRED, PANICKED, OVER))),
        )
        written = self.party.size - self.bounds.responses
        held = [self._rests(integer(p)) for p in range(n, written)]
        held += [self.stands(integer(p), OVER) for p in range(written, self.party.size)]
        quiet = all_of(ended, *held)
        self.seen.judge(quiet, self.design.pools)
        if self.design.pools and n > 1:
            again = exists(self.object, self._had_two)
            m.sometimes("reuse", again, "a reader has a second owner: P5 and P6's premise")
        m.done(quiet)

    def _had_two(self, o: IntExpr) -> BoolExpr:
        n = self.bounds.requests
        pairs = [(a, b) for a in range(n) for b in range(a + 1, n)]
        return any_of(*((self.body[a] == o) & (self.body[b] == o) for a, b in pairs))


def _rare(placed: Placed) -> bool:
    """Lines for a guard's refusal, or a panic: that one doesn't happen somewhere is no warning."""
    guarded = placed.line.name.startswith("last.") or placed.line.name in ("none", "length")
    return placed.operation == "deferred" or guarded
