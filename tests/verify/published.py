"""Models whose sizes others have published, written here from the specifications' meaning."""

from __future__ import annotations

from enum import IntEnum

from nbio.verify import IntExpr, Model, Step, count, exists, forall, ite


class Rm(IntEnum):
    """What a resource manager has decided."""

    WORKING = 0
    PREPARED = 1
    COMMITTED = 2
    ABORTED = 3


class Tm(IntEnum):
    """What the transaction manager has decided."""

    INIT = 0
    COMMITTED = 1
    ABORTED = 2


def two_phase_commit(rms: int = 3) -> Model:
    """Two-phase commit (Gray and Lamport, "Consensus on Transaction Commit", 2004).

    TLA+ Examples, transaction_commit/TwoPhase: 3 resource managers have 288 distinct states, 1,146
    generated, depth 11 (TLC counts states on the longest path, so 10 steps); 5 have 8,832 distinct.
    Under full symmetry these are 80 and 314 orbits. (The 665 that stateright prints for 5 comes
    from a representative that is not the same for the whole orbit: no number of orbits.)
    """
    m = Model("two-phase commit", constants={"rms": rms})
    rm = m.index("rm", rms, symmetric=True)
    state = m.enums("rm_state", rm, Rm, Rm.WORKING)
    tm = m.enum("tm_state", Tm, Tm.INIT)
    knows = m.booleans("tm_prepared", rm)
    prepared = m.booleans("sent_prepared", rm)
    commit, abort = m.boolean("sent_commit"), m.boolean("sent_abort")

    @m.action(r=rm, actor="manager")
    def hears_prepared(do: Step, r: IntExpr) -> None:
        do.when(tm == Tm.INIT, prepared[r])
        do.set(knows[r], True)

    @m.action(actor="manager")
    def commits(do: Step) -> None:
        do.when(tm == Tm.INIT, forall(rm, lambda r: knows[r]))
        do.set(tm, Tm.COMMITTED)
        do.set(commit, True)

    @m.action(actor="manager")
    def aborts(do: Step) -> None:
        do.when(tm == Tm.INIT)
        do.set(tm, Tm.ABORTED)
        do.set(abort, True)

    @m.action(r=rm, actor="resource {r}")
    def prepares(do: Step, r: IntExpr) -> None:
        do.when(state[r] == Rm.WORKING)
        do.set(state[r], Rm.PREPARED)
        do.set(prepared[r], True)

    @m.action(r=rm, actor="resource {r}")
    def gives_up(do: Step, r: IntExpr) -> None:
        do.when(state[r] == Rm.WORKING)
        do.set(state[r], Rm.ABORTED)

    @m.action(r=rm, actor="resource {r}")
    def obeys_commit(do: Step, r: IntExpr) -> None:
        do.when(commit)
        do.set(state[r], Rm.COMMITTED)

    @m.action(r=rm, actor="resource {r}")
    def obeys_abort(do: Step, r: IntExpr) -> None:
        do.when(abort)
        do.set(state[r], Rm.ABORTED)

    both = exists(rm, lambda r: state[r] == Rm.ABORTED) & exists(
        rm, lambda r: state[r] == Rm.COMMITTED
    )
    m.always("consistent", ~both, because="nobody aborts what another one commits")
    m.sometimes("commits", commit, because="it can succeed")
    m.done(True)
    return m


def readers_writers(actors: int = 3) -> Model:
    """Readers and writers served in the order of their requests.

    TLA+ Examples, ReadersWriters: 21,527 distinct states with NumActors = 3. That is
    (sum over k of 6!/(6-k)!) orders of the six requests that can wait, times 8 sets of readers
    without a writer plus 3 single writers: 1,957 x 11.
    """
    m = Model("readers and writers", constants={"actors": actors})
    who, place = m.index("actor", actors), m.index("place", 2 * actors)
    kind = m.index("kind", 2)  # 0 reads, 1 writes
    nobody = 0
    queue = m.integers("waiting", place, 0, 2 * actors)
    length = m.integer("length", 0, 2 * actors)
    reads, writes = m.booleans("reads", who), m.booleans("writes", who)

    def request(a: IntExpr, k: IntExpr) -> IntExpr:
        return k * actors + a + 1

    @m.action(a=who, k=kind, actor="actor {a}")
    def asks(do: Step, a: IntExpr, k: IntExpr) -> None:
        do.when(forall(place, lambda p: queue[p] != request(a, k)))
        do.set(queue[length], request(a, k))
        do.set(length, length + 1)

    @m.action(a=who, k=kind, actor="actor {a}")
    def begins(do: Step, a: IntExpr, k: IntExpr) -> None:
        do.when(queue[0] == request(a, k), forall(who, lambda b: ~writes[b]))
        do.when((k == 0) | forall(who, lambda b: ~reads[b]))
        do.set(reads[a], True, when=k == 0)
        do.set(writes[a], True, when=k == 1)
        for p in range(2 * actors):
            do.set(queue[p], queue[p + 1] if p + 1 < 2 * actors else nobody)
        do.set(length, length - 1)

    @m.action(a=who, actor="actor {a}")
    def ends(do: Step, a: IntExpr) -> None:
        do.when(reads[a] | writes[a])
        do.set(reads[a], False)
        do.set(writes[a], ite(reads[a], writes[a], False))

    writing = count(who, lambda a: writes[a])
    reading = count(who, lambda a: reads[a])
    m.always("exclusive", (writing == 0) | ((writing == 1) & (reading == 0)), because="as it says")
    return m
