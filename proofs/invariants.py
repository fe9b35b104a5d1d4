"""What is always true of the final design's world, however large: inductive, and enough for P1-P11.

Not to be believed but proved (``proofs/induction.py``): true at the start, kept by every action,
and stronger than the properties. A clause that begins with an index type is true of each member.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass

from model.ground import Place
from model.judges import valid
from model.lifecycle import Lease, State
from model.world import Doing, Phase, Wire
from nbio.verify.expr import (
    UNBOUNDED,
    BoolExpr,
    IntExpr,
    all_of,
    any_of,
    as_bool,
    as_int,
    implies,
    ite,
    parameter,
)
from nbio.verify.spec import exists
from proofs.unbounded import EndlessWorld


@dataclass(frozen=True)
class Clause:
    """One conjunct: its bound variables with their sorts, and what holds of them.

    ``strengthens``: why the clause is there although the induction would pass without it.
    """

    name: str
    because: str
    over: tuple[tuple[str, IntExpr], ...]
    holds: BoolExpr
    strengthens: str = ""


SORT = {"r": "request", "s": "slot", "p": "party", "q": "party", "k": "block", "j": "block"}
"""The sort of a bound variable, by its name."""


class Invariant:
    """The clauses over one world; each method below is one, and its docstring says why."""

    def __init__(self, world: EndlessWorld) -> None:
        self.w = w = world
        self.ground = w.ground
        self.clauses = list(self._clauses())

    def _clauses(self) -> Iterator[Clause]:
        for name, method in vars(type(self)).items():
            if name.startswith("_") or not callable(method):
                continue
            letters = list(inspect.signature(method).parameters)[1:]
            bound = tuple((SORT[x], parameter(f"{x}_{name}", 0, UNBOUNDED)) for x in letters)
            holds = method(self, *(b for _, b in bound))
            yield Clause(name, inspect.cleandoc(method.__doc__ or ""), bound, holds)

    # -------------------------------------------------------------------------- vocabulary

    def _int(self, name: str, s: IntExpr) -> IntExpr:
        return as_int(self.w.of(name, s))

    def _is(self, name: str, s: IntExpr) -> BoolExpr:
        return as_bool(self.w.of(name, s))

    def _at(self, p: IntExpr) -> IntExpr:
        """The slot of a party's handle."""
        return self.w.handle[self.w.request_of(p)]

    def _valid(self, p: IntExpr) -> BoolExpr:
        return valid(self.w, self.w.request_of(p))

    def _iterates(self, p: IntExpr) -> BoolExpr:
        return any_of(self.w.doing[p] == Doing.VIEWING, self.w.doing[p] == Doing.LEFT)

    def _looks(self, p: IntExpr) -> BoolExpr:
        return self._iterates(p) | (self.w.doing[p] == Doing.COPYING)

    # ------------------------------------------------------------------------------ slots

    def slot_ranges(self, s: IntExpr) -> BoolExpr:
        """A slot's fields are in their ranges."""
        state, lease = self._int("state", s), self._int("leased", s)
        return all_of(
            state >= 0,
            state <= State.CLOSING,
            lease >= 0,
            lease <= Lease.VIEW,
            self._int("generation", s) >= 0,
            self._int("held", s) >= 0,
            self.ground.owner[s] >= -1,
        )

    def pooled_when_free(self, s: IntExpr) -> BoolExpr:
        """A slot is in the pool, once, exactly while it is FREE."""
        free = self._int("state", s) == State.FREE
        return self.ground.pooled[s] == ite(free, 1, 0)

    def free_is_nobodys(self, s: IntExpr) -> BoolExpr:
        """A FREE slot has no owner, any other has one."""
        return (self._int("state", s) == State.FREE) == (self.ground.owner[s] == -1)

    def free_is_as_new(self, s: IntExpr) -> BoolExpr:
        """Recycling has reset every field."""
        flags = [~self._is(n, s) for n in ("waiting", "ended", "failed", "detached", "paused")]
        nothing = (self._int("leased", s) == Lease.NONE) & (self._int("held", s) == 0)
        return implies(self._int("state", s) == State.FREE, all_of(nothing, *flags))

    def leased_has_bytes(self, s: IntExpr) -> BoolExpr:
        """A lease is of something, and nobody waits beside it."""
        something = (self._int("held", s) > 0) & ~self._is("waiting", s)
        return implies(self._int("leased", s) != Lease.NONE, something)

    def waiting_is_open(self, s: IntExpr) -> BoolExpr:
        """Somebody waits only in an OPEN slot."""
        return implies(self._is("waiting", s), self._int("state", s) == State.OPEN)

    def paused_is_full(self, s: IntExpr) -> BoolExpr:
        """A slot pauses its feeder only with much to read, which will be read, or dropped."""
        full = (self._int("held", s) > self.w.low) & ~self._is("failed", s)
        open_ = self._int("state", s) == State.OPEN
        return implies(self._is("paused", s), full & open_)

    def waiting_is_somebodys(self, s: IntExpr) -> BoolExpr:
        """A waiter that is noted is there."""

        def waits(p: IntExpr) -> BoolExpr:
            mine = (self._at(p) == s) & self._valid(p)
            return mine & (self.w.doing[p] == Doing.WAITING)

        return implies(self._is("waiting", s), exists(self.w.party, waits))

    # ---------------------------------------------------------------------------- handles

    def owner_holds_it(self, s: IntExpr) -> BoolExpr:
        """Whoever owns a slot is under way, and its handle is of that slot and generation."""
        r = self.ground.owner[s]
        same = (self.w.handle[r] == s) & (self.w.stamp[r] == self._int("generation", s))
        return implies(r >= 0, self.w.on_line(r) & same)

    def valid_is_owner(self, r: IntExpr) -> BoolExpr:
        """A handle of its slot's generation is the owner's: at most one is."""
        owner = self.ground.owner[self.w.handle[r]]
        return implies(self.w.on_line(r) & valid(self.w, r), owner == r)

    def stamps_are_past(self, r: IntExpr) -> BoolExpr:
        """No handle is of a generation still to come."""
        now = self._int("generation", self.w.handle[r])
        return implies(self.w.on_line(r), self.w.stamp[r] <= now)

    def request_ranges(self, r: IntExpr) -> BoolExpr:
        """A request's variables are in their ranges."""
        w = self.w
        phase = (w.phase[r] >= 0) & (w.phase[r] <= Phase.DEAD)
        wire = (w.wire[r] >= 0) & (w.wire[r] <= Wire.CUT)
        return all_of(phase, wire, w.handle[r] >= 0)

    def closed_is_closed(self, r: IntExpr) -> BoolExpr:
        """What was closed is stale, or CLOSING."""
        closing = self._int("state", self.w.handle[r]) == State.CLOSING
        closed = self.w.on_line(r) & self.w.closed[r]
        return implies(closed, ~valid(self.w, r) | closing)

    def not_closed_is_open(self, r: IntExpr) -> BoolExpr:
        """What was not closed is valid and OPEN."""
        open_ = self._int("state", self.w.handle[r]) == State.OPEN
        alive = self.w.on_line(r) & ~self.w.closed[r]
        return implies(alive, valid(self.w, r) & open_)

    def new_is_untouched(self, r: IntExpr) -> BoolExpr:
        """Nothing was said of a request that has not begun."""
        new = self.w.phase[r] == Phase.NEW
        return implies(new, all_of(~self.w.closed[r], ~self.w.owned[r], ~self.w.lost[r]))

    def end_is_the_wires(self, r: IntExpr) -> BoolExpr:
        """While a body is not closed, it knows what the wire did, and lost nothing."""
        s, wire = self.w.handle[r], self.w.wire[r]
        ended = self._is("ended", s) == (wire == Wire.ENDED)
        failed = self._is("failed", s) == (wire == Wire.CUT)
        alive = self.w.on_line(r) & ~self.w.closed[r]
        return implies(alive, all_of(ended, failed, ~self.w.lost[r]))

    def new_is_unread(self, r: IntExpr) -> BoolExpr:
        """A request that has not begun has more to come."""
        return implies(self.w.phase[r] == Phase.NEW, self.w.wire[r] == Wire.MORE)

    def detached_is_owned(self, r: IntExpr) -> BoolExpr:
        """The slot knows whether its request has detached it."""
        known = self._is("detached", self.w.handle[r]) == self.w.owned[r]
        return implies(self.w.on_line(r) & valid(self.w, r), known)

    def over_is_owned_or_closing(self, r: IntExpr) -> BoolExpr:
        """After the release a body is still out only if detached, or until a copy is done."""
        s = self.w.handle[r]
        closing = self._int("state", s) == State.CLOSING
        copying = closing & (self._int("leased", s) == Lease.COPY)
        over = (self.w.phase[r] == Phase.OVER) & valid(self.w, r)
        return implies(over, self.w.owned[r] | copying)

    def paused_is_not_read(self, r: IntExpr) -> BoolExpr:
        """A connection is read from unless its own slot pauses it."""
        paused = valid(self.w, r) & self._is("paused", self.w.handle[r])
        return implies(self.w.on_line(r), self.w.reading[r] == ~paused)

    def read_has_room(self, r: IntExpr) -> BoolExpr:
        """A connection that is read from has not filled its slot."""
        w = self.w
        more = w.on_line(r) & ~w.closed[r] & (w.wire[r] == Wire.MORE) & w.reading[r]
        return implies(more, self._int("held", w.handle[r]) < w.high)

    # ---------------------------------------------------------------------------- parties

    def busy_is_on_line(self, p: IntExpr) -> BoolExpr:
        """Only a request that began, and whose handle is not collected, has somebody at work."""
        idle = any_of(self.w.doing[p] == Doing.IDLE, self.w.doing[p] == Doing.DROPPED)
        return idle | self.w.on_line(self.w.request_of(p))

    def copying_has_the_lease(self, p: IntExpr) -> BoolExpr:
        """A copy is covered by the COPY lease, which nothing revokes."""
        copy = self._int("leased", self._at(p)) == Lease.COPY
        return implies(self.w.doing[p] == Doing.COPYING, self._valid(p) & copy)

    def viewing_has_the_lease(self, p: IntExpr) -> BoolExpr:
        """An iterator is covered by the VIEW lease, until that is revoked."""
        view = self._int("leased", self._at(p)) == Lease.VIEW
        return implies(self._iterates(p) & self._valid(p), view)

    def lease_is_somebodys(self, s: IntExpr) -> BoolExpr:
        """A lease that is out is held by somebody."""

        def holds(p: IntExpr) -> BoolExpr:
            return all_of(self._looks(p), self._at(p) == s, self._valid(p))

        return implies(self._int("leased", s) != Lease.NONE, exists(self.w.party, holds))

    def waiting_is_noted(self, p: IntExpr) -> BoolExpr:
        """Somebody who sleeps on a slot that is still its own is noted there."""
        asleep = (self.w.doing[p] == Doing.WAITING) & self._valid(p)
        return implies(asleep, self._is("waiting", self._at(p)))

    def asleep_has_nothing(self, p: IntExpr) -> BoolExpr:
        """Whoever sleeps and was not called has nothing to read, and its body is open."""
        w, r = self.w, self.w.request_of(p)
        nothing = (self._int("held", self._at(p)) == 0) & (w.wire[r] == Wire.MORE)
        asleep = (w.doing[p] == Doing.WAITING) & ~w.called[p]
        return implies(asleep, all_of(nothing, self._valid(p), ~w.closed[r]))

    def one_looks(self, p: IntExpr, q: IntExpr) -> BoolExpr:
        """The lease is exclusive."""
        same = (self._at(p) == self._at(q)) & self._valid(p) & self._valid(q)
        return implies(all_of(self._looks(p), self._looks(q), same), p == q)

    def one_waits(self, p: IntExpr, q: IntExpr) -> BoolExpr:
        """At most one sleeps."""
        both = (self.w.doing[p] == Doing.WAITING) & (self.w.doing[q] == Doing.WAITING)
        same = (self._at(p) == self._at(q)) & self._valid(p) & self._valid(q)
        return implies(both & same, p == q)

    # ----------------------------------------------------------------------------- blocks

    def looks_at_the_first(self, p: IntExpr) -> BoolExpr:
        """Whoever has the lease looks at the slot's first block."""
        first = self.w.current[p] == self.w.first[self._at(p)]
        return implies(self._looks(p) & self._valid(p), first)

    def revoked_sees_its_own(self, p: IntExpr) -> BoolExpr:
        """An iterator whose lease was revoked sees a block that was given up, with its bytes."""
        k = self.w.current[p]
        own = (self.ground.place[k] == Place.GONE) & (self.ground.tag[k] == self.w.request_of(p))
        return implies(self._iterates(p) & ~self._valid(p), own)

    def kept_sees_its_own(self, p: IntExpr) -> BoolExpr:
        """So does a view that was kept."""
        k = self.w.kept[p] - 1
        own = (self.ground.place[k] != Place.FREE) & (self.ground.tag[k] == self.w.request_of(p))
        return implies(self.w.kept[p] > 0, own)

    def block_ranges(self, k: IntExpr) -> BoolExpr:
        """A block's variables are in their ranges."""
        place = self.ground.place[k]
        return all_of(place >= 0, place <= Place.GONE, self.w.inside[k] >= -1, self.w.next[k] >= 0)

    def slots_name_blocks(self, s: IntExpr) -> BoolExpr:
        """The ends of a queue are blocks."""
        return (self.w.first[s] >= 0) & (self.w.last[s] >= 0)

    def inside_is_used(self, k: IntExpr) -> BoolExpr:
        """A block in a slot is in use, there only, and holds its owner's bytes."""
        s = self.w.inside[k]
        owner = self.ground.owner[s]
        own = (self.ground.tag[k] == owner) & (owner >= 0)
        return implies(s >= 0, (self.ground.place[k] == Place.USED) & own)

    def used_is_inside(self, k: IntExpr) -> BoolExpr:
        """A block in use is in a slot: none is lost."""
        return implies(self.ground.place[k] == Place.USED, self.w.inside[k] >= 0)

    def gone_is_seen(self, k: IntExpr) -> BoolExpr:
        """A block is given up only while somebody sees it."""
        return implies(self.ground.place[k] == Place.GONE, self.w.seen(k))

    # --------------------------------------------------- a slot's blocks are as many as it says

    def _head(self, s: IntExpr) -> IntExpr:
        return self.w.tail[s] - self._int("held", s)

    def held_is_counted(self, s: IntExpr) -> BoolExpr:
        """A slot holds as many blocks as it says."""
        return self.w.number[s] == self._int("held", s)

    def in_the_queue(self, k: IntExpr) -> BoolExpr:
        """A block in a slot has its place in the queue."""
        s = self.w.inside[k]
        place = (self.w.seq[k] >= self._head(s)) & (self.w.seq[k] < self.w.tail[s])
        return implies(s >= 0, place)

    def queue_has_a_first(self, s: IntExpr) -> BoolExpr:
        """The queue begins with a block of the slot, if it holds any."""
        k = self.w.first[s]
        there = (self.w.inside[k] == s) & (self.w.seq[k] == self._head(s))
        return implies(self._int("held", s) > 0, there)

    def queue_has_a_last(self, s: IntExpr) -> BoolExpr:
        """And ends with one."""
        k = self.w.last[s]
        there = (self.w.inside[k] == s) & (self.w.seq[k] == self.w.tail[s] - 1)
        return implies(self._int("held", s) > 0, there)

    def queue_goes_on(self, k: IntExpr) -> BoolExpr:
        """After each block but the last comes the next."""
        s, n = self.w.inside[k], self.w.next[k]
        more = (s >= 0) & (self.w.seq[k] + 1 < self.w.tail[s])
        return implies(more, (self.w.inside[n] == s) & (self.w.seq[n] == self.w.seq[k] + 1))

    def one_at_each_place(self, k: IntExpr, j: IntExpr) -> BoolExpr:
        """No two blocks have the same place."""
        s = self.w.inside[k]
        same = all_of(s >= 0, self.w.inside[j] == s, self.w.seq[j] == self.w.seq[k])
        return implies(same, k == j)
