"""The lifecycle of a slot, stated once. Everything else reads this file.

The checker weaves these tables into a world of parties that act at once (``model/final.py``), Z3
proves over them, the interpreter steps them, ``python -m model emit`` writes them out as
``nbio/_lifecycle.py``, which the server's pool runs. No guard anywhere else decides what is legal.

Each event is a table of rules, read from the top: the first rule whose condition holds decides. An
outcome below zero is a refusal and writes nothing. Delete a rule and ``make verify`` names the
property that it kept.

A *slot* is what the body pool recycles: a queue of blocks and the fields below. A *handle* is what
a request's parties hold: a slot and the generation at which it was acquired; they *present* that
generation with every event. A *lease* is a reader's temporary, exclusive hold on the contents.
"""

from enum import IntEnum

from nbio.verify.expr import BoolLike, IntLike
from nbio.verify.machine import Machine


class State(IntEnum):
    """Where a slot is in its life."""

    FREE = 0
    OPEN = 1
    CLOSING = 2


class Lease(IntEnum):
    """Who looks at the slot's contents: nobody, a copy inside one call, an iterator of views."""

    NONE = 0
    COPY = 1
    VIEW = 2


class Outcome(IntEnum):
    """What an event came to. Below zero: refused, nothing was written."""

    OK = 0
    RECYCLED = 1
    DEFERRED = 2
    PAUSE = 3
    RESUME = 4
    EMPTIED = 5
    STALE = -1
    CLOSED = -2
    BUSY = -3
    EMPTY = -4
    ENDED = -5
    FAILED = -6
    READY = -7
    NOT_WAITING = -8
    NOT_FREE = -9
    ALREADY = -10
    KEPT = -11


OUTCOME_DOC = {
    Outcome.OK: "it happened",
    Outcome.RECYCLED: "the slot is FREE: free its blocks and put it back, exactly once",
    Outcome.DEFERRED: "closed, but a lease is out: its return recycles the slot",
    Outcome.PAUSE: "fed, and the feeder must stop reading from its socket",
    Outcome.RESUME: "the lease is back, and the feeder may read from its socket again",
    Outcome.EMPTIED: "the waiter no longer waits, and holds no lease: nothing can be taken",
    Outcome.STALE: "the handle is of an earlier generation: its request gave the slot back",
    Outcome.CLOSED: "the body was closed",
    Outcome.BUSY: "another reader holds the lease or waits",
    Outcome.EMPTY: "nothing has arrived yet: wait",
    Outcome.ENDED: "the body has ended",
    Outcome.FAILED: "the body was cut off",
    Outcome.READY: "no need to wait: something can be taken, or the body ended or failed",
    Outcome.NOT_WAITING: "nobody waits",
    Outcome.NOT_FREE: "the slot is in use",
    Outcome.ALREADY: "it was closed before; the first close decides",
    Outcome.KEPT: "detached: whoever detached the body closes it",
}

SLOT = Machine("slot", "What the body pool recycles: a queue of blocks, and these fields.")

state = SLOT.enum("state", State, State.FREE, "where the slot is in its life")
generation = SLOT.natural("generation", "grows when the slot is recycled: old handles go stale")
leased = SLOT.enum("leased", Lease, Lease.NONE, "the lease that is out")
waiting = SLOT.flag("waiting", "a reader waits for bytes; it holds no lease")
ended = SLOT.flag("ended", "the end of the body was seen")
failed = SLOT.flag("failed", "the body was cut off before its end")
detached = SLOT.flag("detached", "the body outlives its request; who detached it closes it")
held = SLOT.natural("held", "blocks queued; each has unread bytes")
paused = SLOT.flag("paused", "the feeder has been told to stop reading from its socket")

presented = SLOT.parameter("presented")
kind = SLOT.parameter("kind")
blocks = SLOT.parameter("blocks")
freed = SLOT.parameter("freed")
high = SLOT.parameter("high")
low = SLOT.parameter("low")

STALE_WHY = "a handle is valid only while its generation is the slot's"

RECYCLE: dict[str, IntLike | BoolLike] = {
    "state": State.FREE,
    "generation": generation + 1,
    "leased": Lease.NONE,
    "waiting": False,
    "ended": False,
    "failed": False,
    "detached": False,
    "held": 0,
    "paused": False,
}
"""State and generation change together, in one step: no handle is ever valid for a FREE slot."""

# ------------------------------------------------------------------ the loop's events

acquire = SLOT.event("acquire", "A request takes the slot from the pool.")
acquire.refuse(Outcome.NOT_FREE, state != State.FREE, "a slot has one owner")
acquire.otherwise(Outcome.OK, "recycling has reset every other field", state=State.OPEN)

feed = SLOT.event(
    "feed", "Bytes arrived, in `blocks` further blocks (0: they fitted into the last one).",
    presented, blocks, high,
)  # fmt: skip
feed.refuse(Outcome.STALE, presented != generation, STALE_WHY)
feed.refuse(Outcome.CLOSED, state != State.OPEN, "bytes for a closed body are dropped")
feed.refuse(Outcome.ENDED, ended | failed, "nothing follows the end of a body")
feed.rule(
    Outcome.PAUSE, held + blocks >= high, "the high-water mark counts capacity, in blocks",
    held=held + blocks, paused=True,
)  # fmt: skip
feed.otherwise(Outcome.OK, "there is room for more", held=held + blocks)

finish = SLOT.event("finish", "The end of the body was seen.", presented)
finish.refuse(Outcome.STALE, presented != generation, STALE_WHY)
finish.refuse(Outcome.CLOSED, state != State.OPEN, "nobody will read it")
finish.refuse(Outcome.ENDED, ended | failed, "a body ends once")
finish.otherwise(Outcome.OK, "readers now meet the end", ended=True)

fail = SLOT.event("fail", "The body was cut off: a disconnect, a bad chunk, a limit.", presented)
fail.refuse(Outcome.STALE, presented != generation, STALE_WHY)
fail.refuse(Outcome.CLOSED, state != State.OPEN, "nobody will read it")
fail.refuse(Outcome.ENDED, ended | failed, "a complete body is not truncated afterwards")
fail.otherwise(Outcome.OK, "readers now meet the error", failed=True, paused=False)

# --------------------------------------------------------------- the readers' events

wait = SLOT.event("wait", "A reader found nothing and goes to sleep.", presented)
wait.refuse(Outcome.STALE, presented != generation, STALE_WHY)
wait.refuse(Outcome.CLOSED, state != State.OPEN, "nothing will come")
wait.refuse(Outcome.BUSY, (leased != Lease.NONE) | waiting, "one reader at a time")
wait.refuse(Outcome.READY, (held > 0) | ended | failed, "asleep it would not be woken again")
wait.otherwise(Outcome.OK, "feed, finish, fail and close wake it", waiting=True)

wake = SLOT.event(
    "wake", "The waiter's own step, when it was woken or cancelled; nobody can take its turn.",
    presented, kind,
)  # fmt: skip
wake.refuse(Outcome.STALE, presented != generation, "the body was closed while it slept")
wake.refuse(Outcome.NOT_WAITING, ~waiting, "only the waiter wakes")
wake.rule(
    Outcome.OK, (held > 0) & ~failed, "it takes the lease in the same step",
    waiting=False, leased=kind,
)  # fmt: skip
wake.otherwise(Outcome.EMPTIED, "nothing came, or the end, or a failure", waiting=False)

lease = SLOT.event("lease", "A reader takes the exclusive hold on the contents.", presented, kind)
lease.refuse(Outcome.STALE, presented != generation, STALE_WHY)
lease.refuse(Outcome.CLOSED, state != State.OPEN, "a read after close is an error, never data")
lease.refuse(
    Outcome.BUSY, (leased != Lease.NONE) | waiting,
    "exclusive: two readers would free the same block",
)  # fmt: skip
lease.refuse(Outcome.FAILED, failed, "a truncated body is never passed off as whole")
lease.refuse(Outcome.ENDED, (held == 0) & ended, "the end is reported after the last byte")
lease.refuse(Outcome.EMPTY, held == 0, "nothing has arrived yet")
lease.otherwise(Outcome.OK, "no one frees under a reader", leased=kind)

unlease = SLOT.event(
    "unlease", "The holder gives the lease back; it exhausted `freed` blocks.",
    presented, freed, low,
)  # fmt: skip
unlease.refuse(Outcome.STALE, presented != generation, "the release revoked it (VIEW only)")
unlease.rule(Outcome.RECYCLED, state == State.CLOSING, "the last one out finalises", **RECYCLE)
unlease.rule(
    Outcome.RESUME, paused & (held - freed <= low), "drained to the low-water mark",
    leased=Lease.NONE, held=held - freed, paused=False,
)  # fmt: skip
unlease.otherwise(Outcome.OK, "the next reader may come", leased=Lease.NONE, held=held - freed)

# -------------------------------------------------------------------- the end of it

close = SLOT.event("close", "Anyone, at any time, any number of times.", presented)
close.refuse(Outcome.STALE, presented != generation, STALE_WHY)
close.refuse(Outcome.ALREADY, state != State.OPEN, "the first close decides, later ones count")
close.rule(
    Outcome.DEFERRED, leased != Lease.NONE, "nobody frees under a reader",
    state=State.CLOSING, paused=False,
)  # fmt: skip
close.otherwise(Outcome.RECYCLED, "no lease is out; a waiter wakes up stale", **RECYCLE)

release = SLOT.event("release", "The framework's, at the end of every request.", presented)
release.refuse(Outcome.STALE, presented != generation, "the handler closed it: nothing to do")
release.refuse(Outcome.KEPT, (state == State.OPEN) & detached, "it outlives its request")
release.refuse(
    Outcome.ALREADY, (state != State.OPEN) & (leased == Lease.COPY), "its return recycles"
)
release.rule(
    Outcome.DEFERRED, leased == Lease.COPY, "a running thread's copy may hold recycling up",
    state=State.CLOSING, paused=False,
)  # fmt: skip
release.otherwise(Outcome.RECYCLED, "a VIEW lease is revoked", **RECYCLE)

detach = SLOT.event("detach", "The handler keeps the body past its request.", presented)
detach.refuse(Outcome.STALE, presented != generation, STALE_WHY)
detach.refuse(Outcome.CLOSED, state != State.OPEN, "there is nothing to keep")
detach.otherwise(Outcome.OK, "release now leaves it alone", detached=True)

finalize = SLOT.event("finalize", "Nobody can reach the handle any more (drained).", presented)
finalize.refuse(Outcome.STALE, presented != generation, "it was given back in time: no leak")
finalize.otherwise(Outcome.RECYCLED, "a leak: reported, and mended", **RECYCLE)
