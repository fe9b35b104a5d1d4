"""Published models that ask for more: queues and a constraint, sets of messages, schedules.

The figures are those of the manifest of TLA+ Examples. Each model is written here from what the
specification means.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from itertools import permutations

from nbio.verify import (
    BoolExpr,
    IntExpr,
    IntLike,
    Model,
    Step,
    any_of,
    exists,
    forall,
    implies,
    ite,
    lookup,
    maximum,
    member,
    total,
)


class Rm(IntEnum):
    """What a resource manager is doing."""

    WORKING = 0
    PREPARED = 1
    COMMITTED = 2
    ABORTED = 3


class Value(IntEnum):
    """What is agreed upon; NONE yet."""

    PREPARED = 0
    ABORTED = 1
    NONE = 2


def transaction_commit(rms: int = 3) -> Model:
    """What two-phase commit implements (TCommit: 34 distinct, 94 generated, depth 7)."""
    m = Model("transaction commit", constants={"rms": rms})
    rm = m.index("rm", rms, symmetric=True)
    state = m.enums("state", rm, Rm, Rm.WORKING)

    @m.action(r=rm)
    def prepare(do: Step, r: IntExpr) -> None:
        do.when(state[r] == Rm.WORKING)
        do.set(state[r], Rm.PREPARED)

    @m.action(r=rm)
    def commit(do: Step, r: IntExpr) -> None:
        ready = forall(rm, lambda s: (state[s] == Rm.PREPARED) | (state[s] == Rm.COMMITTED))
        do.when(state[r] == Rm.PREPARED, ready)
        do.set(state[r], Rm.COMMITTED)

    @m.action(r=rm)
    def abort(do: Step, r: IntExpr) -> None:
        do.when((state[r] == Rm.WORKING) | (state[r] == Rm.PREPARED))
        do.when(forall(rm, lambda s: state[s] != Rm.COMMITTED))
        do.set(state[r], Rm.ABORTED)

    aborted = exists(rm, lambda r: state[r] == Rm.ABORTED)
    committed = exists(rm, lambda r: state[r] == Rm.COMMITTED)
    m.always("consistent", ~(aborted & committed), because="all do the same")
    m.done(True)
    return m


def scheduling_allocator(clients: int = 3, resources: int = 2) -> Model:
    """An allocator that serves by a schedule (SchedulingAllocator: 1,690; 5,854; depth 7)."""
    m = Model("scheduling", constants={"clients": clients, "resources": resources})
    client = m.index("client", clients)
    resource = m.index("resource", resources, symmetric=True)
    some = m.subsets(resource)
    orders = list(permutations(range(clients)))
    wants, has = m.sets("wants", client, of=resource), m.sets("has", client, of=resource)
    schedule = m.queue("schedule", of=client, most=clients)

    def given(r: IntExpr) -> BoolExpr:
        return exists(client, lambda d: has[d][r])

    def waits(c: IntLike) -> BoolExpr:
        return ~wants[c].is_empty & ~schedule.has(c)

    @m.action(c=client, s=some)
    def request(do: Step, c: IntExpr, s: IntExpr) -> None:
        do.when(s != 0, wants[c].is_empty, has[c].is_empty)
        do.fill(wants[c], lambda r: member(r, s))

    def wanted_before(i: IntExpr, r: IntExpr) -> BoolExpr:
        return any_of(*((i > j) & wants[schedule[j]][r] for j in range(clients)))

    @m.action(c=client, s=some, i=m.index("place", clients))
    def allocate(do: Step, c: IntExpr, s: IntExpr, i: IntExpr) -> None:
        do.when(s != 0, schedule[i] == c)
        do.when(forall(resource, lambda r: implies(member(r, s), wants[c][r] & ~given(r))))
        do.when(forall(resource, lambda r: implies(member(r, s), ~wanted_before(i, r))))
        served = forall(resource, lambda r: member(r, s) == wants[c][r])
        for k in range(clients):
            after = schedule[k + 1] if k + 1 < clients else clients
            do.set(schedule[k], after, when=served & (i <= k))
        do.fill(has[c], lambda r: has[c][r] | member(r, s))
        do.fill(wants[c], lambda r: wants[c][r] & ~member(r, s))

    @m.action(c=client, s=some)
    def give_back(do: Step, c: IntExpr, s: IntExpr) -> None:
        do.when(s != 0, forall(resource, lambda r: implies(member(r, s), has[c][r])))
        do.fill(has[c], lambda r: has[c][r] & ~member(r, s))

    # All who wait are appended, in any order: those who don't come last in it, in their own.
    @m.action(order=m.index("order", len(orders)))
    def plan(do: Step, order: IntExpr) -> None:
        at = [lookup([o[place] for o in orders], order) for place in range(clients)]
        many = total([waits(c) for c in range(clients)])
        do.when(many > 0)
        for place in range(clients):
            who = at[place]
            does = any_of(*((who == c) & waits(c) for c in range(clients)))
            do.when(does == (place < many))
            if place:
                do.when(implies(place > many, at[place - 1] < who))
            do.set(schedule[schedule.size + place], who, when=place < many)

    once = forall(resource, lambda r: total([has[c][r] for c in range(clients)]) <= 1)
    m.always("exclusive", once, because="a resource has one holder")
    return m


def lamport_mutex(processes: int = 3, clocks: int = 6) -> Model:
    """Lamport's mutual exclusion by timestamps (LamportMutex: 724,274; 2,729,079; depth 61)."""
    m = Model("lamport mutex", constants={"processes": processes, "clocks": clocks})
    process = m.index("process", processes)
    top = clocks + 1
    # 0 is an acknowledgement, 1 a release, 1 + c a request of time c.
    message = m.index("message", ["ack", "release", *(f"request {c}" for c in range(1, top + 1))])
    ack, release = 0, 1
    clock = m.integers("clock", process, 1, top, 1)
    asked = m.integers("asked", (process, process), 0, top)
    acked = m.sets("acked", process, of=process)
    wire = m.queues("wire", (process, process), of=message, most=3)
    inside = m.set("inside", of=process)

    def broadcast(do: Step, p: IntExpr, what: IntExpr | int) -> None:
        for q in range(processes):
            do.push(wire[p, q], what, when=p != q)

    @m.action(p=process)
    def request(do: Step, p: IntExpr) -> None:
        do.when(asked[p, p] == 0)
        do.set(asked[p, p], clock[p])
        broadcast(do, p, clock[p] + release)
        do.fill(acked[p], lambda q: q == p)

    @m.action(p=process, q=process)
    def hears_request(do: Step, p: IntExpr, q: IntExpr) -> None:
        head = wire[q, p].head
        do.when(p != q, head > release, ~wire[q, p].is_empty)
        time = head - release
        do.set(asked[p, q], time)
        do.set(clock[p], ite(time > clock[p], time + 1, clock[p] + 1))
        do.pop(wire[q, p])
        do.push(wire[p, q], ack)

    @m.action(p=process, q=process)
    def hears_ack(do: Step, p: IntExpr, q: IntExpr) -> None:
        do.when(p != q, wire[q, p].head == ack)
        do.add(acked[p], q)
        do.pop(wire[q, p])

    @m.action(p=process, q=process)
    def hears_release(do: Step, p: IntExpr, q: IntExpr) -> None:
        do.when(p != q, wire[q, p].head == release)
        do.set(asked[p, q], 0)
        do.pop(wire[q, p])

    @m.action(p=process)
    def enter(do: Step, p: IntExpr) -> None:
        def beats(q: IntExpr) -> BoolExpr:
            mine, its = asked[p, p], asked[p, q]
            return (q == p) | (its == 0) | (mine < its) | ((mine == its) & (p < q))

        do.when(forall(process, lambda q: acked[p][q] & beats(q)))
        do.add(inside, p)

    @m.action(p=process)
    def leave(do: Step, p: IntExpr) -> None:
        do.when(inside[p])
        do.remove(inside, p)
        broadcast(do, p, release)
        do.set(asked[p, p], 0)
        do.fill(acked[p], lambda q: False)

    m.within(forall(process, lambda p: clock[p] <= clocks), because="clocks would go on for ever")
    m.always("exclusive", inside.size <= 1, because="mutual exclusion")
    return m


def paxos_commit(rms: int = 2, acceptors: int = 3) -> Model:
    """Gray and Lamport's Paxos Commit (PaxosCommit: 1,321,761; 16,959,159; depth 28).

    Ballots 0 and 1. Messages are never lost, so each is a member of a set of those ever sent.
    """
    m = Model("paxos commit", constants={"rms": rms, "acceptors": acceptors})
    rm, acceptor = (
        m.index("rm", rms, symmetric=True),
        m.index("acceptor", acceptors, symmetric=True),
    )
    value, ballot = m.index("value", ["prepared", "aborted"]), m.index("ballot", 2)
    last = m.index("last", ["0 prepared", "0 aborted", "none"])
    group = m.subsets(acceptor)
    state = m.enums("state", rm, Rm, Rm.WORKING)
    promised = m.integers("promised", (rm, acceptor), 0, 1)
    voted = m.integers("voted", (rm, acceptor), -1, 1, -1)
    vote = m.enums("vote", (rm, acceptor), Value, Value.NONE)
    asked = m.booleans("1a", rm)
    told = m.booleans("1b", (rm, acceptor, last))
    proposed = m.booleans("2a", (rm, ballot, value))
    accepted = m.booleans("2b", (rm, ballot, value, acceptor))
    commit, abort = m.boolean("commit"), m.boolean("abort")

    def of_majority(body: Callable[[IntExpr], BoolExpr], g: IntExpr) -> BoolExpr:
        """``g`` is a least majority of the acceptors, and ``body`` holds of them all."""
        size = total([member(a, g) for a in range(acceptors)])
        everyone = forall(acceptor, lambda a: implies(member(a, g), body(a)))
        return (size == acceptors // 2 + 1) & everyone

    @m.action(r=rm)
    def prepares(do: Step, r: IntExpr) -> None:
        do.when(state[r] == Rm.WORKING)
        do.set(state[r], Rm.PREPARED)
        do.set(proposed[r, 0, 0], True)

    @m.action(r=rm)
    def chooses_abort(do: Step, r: IntExpr) -> None:
        do.when(state[r] == Rm.WORKING)
        do.set(state[r], Rm.ABORTED)
        do.set(proposed[r, 0, 1], True)

    @m.action(r=rm)
    def commits(do: Step, r: IntExpr) -> None:
        do.when(commit)
        do.set(state[r], Rm.COMMITTED)

    @m.action(r=rm)
    def aborts(do: Step, r: IntExpr) -> None:
        do.when(abort)
        do.set(state[r], Rm.ABORTED)

    @m.action(r=rm)
    def phase1a(do: Step, r: IntExpr) -> None:
        do.set(asked[r], True)

    @m.action(r=rm, g=group)
    def phase2a(do: Step, r: IntExpr, g: IntExpr) -> None:
        do.when(~proposed[r, 1, 0], ~proposed[r, 1, 1])
        do.when(of_majority(lambda a: any_of(*(told[r, a, v] for v in range(3))), g))
        prepared = exists(acceptor, lambda a: member(a, g) & told[r, a, 0])
        do.set(proposed[r, 1, 0], True, when=prepared)
        do.set(proposed[r, 1, 1], True, when=~prepared)

    def decided(r: IntExpr, v: int) -> BoolExpr:
        def by(b: IntExpr, g: IntExpr) -> BoolExpr:
            return of_majority(lambda a: accepted[r, b, v, a], g)

        return exists(ballot, lambda b: exists(group, lambda g: by(b, g)))

    @m.action()
    def decides_commit(do: Step) -> None:
        do.when(forall(rm, lambda r: decided(r, 0)))
        do.set(commit, True)

    @m.action()
    def decides_abort(do: Step) -> None:
        do.when(exists(rm, lambda r: decided(r, 1)))
        do.set(abort, True)

    @m.action(a=acceptor, r=rm)
    def phase1b(do: Step, a: IntExpr, r: IntExpr) -> None:
        do.when(asked[r], promised[r, a] < 1)
        do.set(promised[r, a], 1)
        for v in range(3):
            do.set(told[r, a, v], True, when=vote[r, a] == v)

    @m.action(a=acceptor, r=rm, b=ballot, v=value)
    def phase2b(do: Step, a: IntExpr, r: IntExpr, b: IntExpr, v: IntExpr) -> None:
        do.when(proposed[r, b, v], promised[r, a] <= b)
        do.set(promised[r, a], maximum(b, promised[r, a]))
        do.set(voted[r, a], b)
        do.set(vote[r, a], v)
        do.set(accepted[r, b, v, a], True)

    m.always("one decision", ~(commit & abort), because="the leaders agree")
    return m
