"""The memory steps that upstream's code and the repairs are made of.

Each line is one load or store of a field that others can see, one Malloc or Free, one copy of
bytes, or one pool Get or Put. Branches, locals, and loads whose value is known (nothing was stored
in between, so the compiler loads once) are no steps. A Read asks for one buffer's bytes, so
``index`` is 0 whenever anybody looks, except in G0, and is left out elsewhere.
"""

from dataclasses import replace

from model.history.at import At
from model.history.script import BLOCK, READER, Line
from nbio.verify.expr import BoolExpr, any_of, boolean, ite

# ------------------------------------------------------------- the loop builds a request's body


def _get(a: At) -> None:
    s = a.s

    def fresh(j: int) -> BoolExpr:
        return ~any_of(*(s.body[q] == j for q in range(s.request.size)))

    for j in range(1, s.object.size):
        # Readers that nobody has had yet are alike: the first of them stands for all.
        lower = any_of(*(fresh(i) for i in range(j)))
        a.do.when((a.o != j) | ~fresh(j) | ~lower)
    a.ground.get(a.do, a.o, a.r)
    a.do.set(s.body[a.r], a.o)


def _store_engine(a: At) -> None:
    a.touch()
    a.do.set(a.s.engine[a.o], a.has_body)


def _malloc(a: At) -> None:
    a.do.when(a.ground.lowest_free(a.k))
    a.ground.malloc(a.do, a.k)
    a.do.set(a.s.held[a.p], a.k + 1)
    if "lengths" in a.s.design.fields:
        a.do.set(a.s.lengths[a.k], 1)


def _fill(a: At) -> None:
    s = a.s
    a.do.when(s.held[a.p] == a.k + 1)
    s.seen.filled(a.do, a.k, a.r, a.part, s.design.whole)


def _append(a: At) -> None:
    """The list that was loaded, and the new block after its last."""
    kept, new = a.kept(), a.s.held[a.p]
    room = [kept[i - 1] != 0 if i else boolean(True) for i in range(len(kept))]
    a.store_list([ite(b != 0, b, ite(r, new, 0)) for b, r in zip(kept, room, strict=True)])
    a.keep([])
    a.do.set(a.s.held[a.p], 0)


def _load_list(a: At) -> None:
    a.keep(a.listed())


def _nil_engine(a: At) -> None:
    a.panic("P3", ~a.s.engine[a.o])


def _count_left(a: At) -> None:
    a.do.set(a.s.count[a.p], a.s.left[a.o])


def _add_left(a: At) -> None:
    a.store(a.s.left, a.s.count[a.p] + 1)
    a.do.set(a.s.count[a.p], 0)


GET = Line("get", "pool.Get -> reader {o}", _get, READER)
STORE_ENGINE = Line("store_engine", "stores engine", _store_engine)
OPEN_FLAG = Line("open", "stores closed=false", lambda a: a.store(a.s.closed, False))
ZERO_LEFT = Line("zero_left", "stores left=0", lambda a: a.store(a.s.left, 0))
ZERO_BUFFERS = Line("zero_buffers", "stores buffers=nil", lambda a: a.store_list([]))
ZERO_ENGINE = Line("zero_engine", "stores engine=nil", lambda a: a.store(a.s.engine, False))
MALLOC = Line("malloc", "Malloc -> buf {k}", _malloc, BLOCK)
FILL = Line("fill", "copies the body into buf {k}", _fill, BLOCK)

APPEND = (
    Line("count", "append loads left", _count_left),
    Line("add", "append stores left+1", _add_left),
    Line("engine", "append loads engine", _nil_engine),
    MALLOC,
    FILL,
    Line("list", "append loads buffers", _load_list),
    Line("append", "append stores buffers", _append),
)

# --------------------------------------------------------------------------------------- Read


def _any_left(a: At) -> None:
    a.end_of_body(a.s.left[a.o] <= 0)


def _first(a: At) -> None:
    first = a.listed()[0]
    a.panic("P10", first == 0)
    a.do.set(a.s.held[a.p], first, first != 0)


def _copy(a: At) -> None:
    s = a.s
    a.do.when(s.held[a.p] == a.k + 1)
    part = s.count[a.p] if s.design.whole else s.seen.part[a.k]
    s.seen.copied(a.do, a.k, a.p, a.r, part)


def _free_held(a: At) -> None:
    a.do.when(a.s.held[a.p] == a.k + 1)
    a.ground.free(a.do, a.k)
    a.do.set(a.s.held[a.p], 0)


def _load_to_pop(a: At) -> None:
    a.keep(a.listed())
    a.panic("P10", a.listed()[0] == 0)


def _pop(a: At) -> None:
    a.store_list(a.kept()[1:])
    a.keep([])


def _take_left(a: At) -> None:
    a.store(a.s.left, a.s.count[a.p] - 1)
    a.do.set(a.s.count[a.p], 0)


COPY = Line("copy", "copies from buf {k}", _copy, BLOCK)

TAKE = (
    COPY,
    Line("engine", "loads engine", _nil_engine),
    Line("free", "Free(buf {k})", _free_held, BLOCK),
    Line("list", "loads buffers", _load_to_pop),
    Line("pop", "stores buffers[1:]", _pop),
    Line("count", "loads left", _count_left),
    Line("take", "stores left-1", _take_left),
)
"""Read's loop once round, from the copy on."""

ANY_LEFT = Line("left", "loads left", _any_left)
FIRST = Line("first", "loads buffers[0]", _first)
READ = (ANY_LEFT, FIRST, *TAKE)

# -------------------------------------------------------------------------------------- Close


def _load_to_free(a: At) -> None:
    """`for _, b := range br.buffers`: the list is loaded once; nothing to free, nothing to do."""
    a.keep(a.listed())
    a.pass_by("free", a.listed()[0] == 0)


def _free_first(a: At) -> None:
    kept = a.kept()
    a.do.when(kept[0] == a.k + 1)
    a.ground.free(a.do, a.k)
    a.keep(kept[1:])
    more = kept[1] != 0 if len(kept) > 1 else boolean(False)
    a.goto("engine", more)


def _put(a: At) -> None:
    a.do.when(a.s.body[a.h] == a.o)
    a.ground.put(a.do, a.o, by=a.r)


FREE_ALL = (
    Line("list", "loads buffers", _load_to_free),
    Line("engine", "loads engine", _nil_engine),
    Line("free", "Free(buf {k})", _free_first, BLOCK),
)
ZERO = (ZERO_LEFT, ZERO_BUFFERS, ZERO_ENGINE)
PUT = Line("put", "pool.Put(reader {o})", _put, READER)

# ------------------------------------------------------------------------------- a closed flag


def _is_closed(a: At) -> None:
    a.finish(a.s.closed[a.o])


def _is_open(a: At) -> None:
    a.end_of_body(a.s.closed[a.o])


def _swap(a: At) -> None:
    won = ~a.s.closed[a.o]
    a.store(a.s.closed, True, won)
    a.finish(~won)


IF_OPEN = Line("closed", "loads closed", _is_closed)
STORE_CLOSED = Line("store_closed", "stores closed=true", lambda a: a.store(a.s.closed, True))
SWAP = Line("swap", "swaps closed", _swap)
READ_IF_OPEN = Line("closed", "loads closed", _is_open)

# ------------------------------------------------------------ a generation, and a lease with it


def _load_generation(a: At) -> None:
    a.do.set(a.s.stamp[a.r], a.s.generation[a.o])


def _next_generation(a: At) -> None:
    a.store(a.s.generation, a.s.stamp[a.r] + 1)
    a.do.set(a.s.stamp[a.r], a.s.stamp[a.r] + 1)


def _next_word(a: At) -> None:
    _next_generation(a)
    a.do.set(a.s.closed[a.o], False)


def _mine(a: At) -> BoolExpr:
    if "generation" not in a.s.design.fields:
        return boolean(True)
    return a.s.generation[a.o] == a.s.stamp[a.h]


def _valid(a: At) -> BoolExpr:
    return _mine(a) & ~a.s.closed[a.o]


def _swap_word(a: At) -> None:
    won = _valid(a)
    a.store(a.s.closed, True, won)
    a.finish(~won)


LOAD_GENERATION = Line("load_generation", "loads generation", _load_generation)
NEXT_GENERATION = Line("next_generation", "stores generation+1", _next_generation)
NEXT_WORD = Line("next_word", "stores (generation+1, open)", _next_word)
CLOSE_IF_MINE = Line("compare", "compares generation", lambda a: a.finish(~_mine(a)))
READ_IF_MINE = Line("compare", "compares generation", lambda a: a.end_of_body(~_mine(a)))
SWAP_WORD = Line("swap", "swaps (generation, open) for closed", _swap_word)
READ_IF_VALID = Line("compare", "compares (generation, open)", lambda a: a.end_of_body(~_valid(a)))


def _defer_or_swap(a: At) -> None:
    won = _valid(a)
    a.store(a.s.closed, True, won)
    a.finish(~won | (a.s.leases[a.o] > 0))


def _lease(a: At, shared: bool) -> None:
    leases = a.s.leases[a.o]
    busy = boolean(False) if shared else leases > 0
    valid = _valid(a)
    a.store(a.s.leases, leases + 1, valid & ~busy)
    a.finish(valid & busy)
    a.end_of_body(~valid)


def _any_left_leased(a: At) -> None:
    nothing = a.s.left[a.o] <= 0
    a.tells_end(nothing)
    a.goto("unlease", nothing)


def _unlease(a: At, finalises: bool) -> None:
    leases = a.s.leases[a.o]
    a.store(a.s.leases, leases - 1)
    last = a.s.closed[a.o] & (leases == 1) if finalises else boolean(False)
    a.finish(~last)


def last_part(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    """The same lines as a part of their own at the end of another operation."""
    return tuple(replace(line, name=f"last.{line.name}") for line in lines)


DEFER_OR_SWAP = Line("swap", "swaps (generation, open) for closed", _defer_or_swap)
LEASE = Line("lease", "swaps the word for a lease", lambda a: _lease(a, shared=False))
SHARED_LEASE = Line("lease", "counts one lease more", lambda a: _lease(a, shared=True))
ANY_LEFT_LEASED = Line("left", "loads left", _any_left_leased)
UNLEASE = Line("unlease", "swaps the lease back", lambda a: _unlease(a, finalises=True))
DROP_LEASE = Line("unlease", "swaps the lease back", lambda a: _unlease(a, finalises=False))
LEASED_READ = (ANY_LEFT_LEASED, FIRST, *TAKE)
FINALISE = (*FREE_ALL, *ZERO, PUT)
