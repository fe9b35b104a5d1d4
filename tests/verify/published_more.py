"""More models whose sizes others have published: rings, forks, channels, a register, a puzzle.

Each is written from its published description. "TLA+ Examples" means that project's manifests.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from nbio.verify import (
    BoolExpr,
    IntExpr,
    Model,
    Queue,
    Step,
    count,
    exists,
    forall,
    implies,
    ite,
    member,
)

# ------------------------------------------------------------------------------- rings


class State(IntEnum):
    """Of a node in an election."""

    CANDIDATE = 0
    LOST = 1
    WON = 2


def chang_roberts(nodes: int = 3) -> Model:
    """A leader by least number, round a ring (TLA+ Examples: 137 distinct, 227 generated)."""
    m = Model("chang roberts", constants={"nodes": nodes})
    node = m.index("node", nodes)
    waiting = m.sets("waiting", node, of=node)
    begins, started = m.booleans("begins", node, choices=(False, True)), m.booleans("started", node)
    state = m.enums("state", node, State, State.LOST, choices=(State.CANDIDATE, State.LOST))
    m.initially(forall(node, lambda p: begins[p] == (state[p] == State.CANDIDATE)))

    @m.action(p=node, actor="node {p}", fair="weak")
    def start(do: Step, p: IntExpr) -> None:
        do.when(~started[p])
        do.set(started[p], True)
        do.add(waiting[(p + 1) % nodes], p, when=begins[p])

    @m.action(p=node, i=node, actor="node {p}", fair="weak", fair_for=["p"])
    def hear(do: Step, p: IntExpr, i: IntExpr) -> None:
        do.when(started[p], waiting[p][i])
        passes_on = (state[p] == State.LOST) | (i < p)
        do.remove(waiting[p], i)
        do.add(waiting[(p + 1) % nodes], i, when=passes_on)
        heard = ite(i == p, State.WON, state[p])
        do.set(state[p], ite(passes_on, State.LOST, heard))

    least = forall(
        node,
        lambda p: implies(
            state[p] == State.WON,
            forall(node, lambda q: (p == q) | ((state[q] == State.LOST) & (~begins[q] | (p < q)))),
        ),
    )
    m.always("one leader", least, because="the least of those who began, and all others know")
    standing = exists(node, lambda p: state[p] == State.CANDIDATE)
    won = exists(node, lambda p: state[p] == State.WON)
    m.leads_to("elected", standing, won, because="where somebody stands, somebody wins")
    m.checks_deadlock = False
    return m


def self_stabilising(nodes: int = 6) -> Model:
    """Dijkstra's EWD426 (TLA+ Examples, TokenRing: 46,656 distinct, 248,832 generated)."""
    m = Model("self-stabilising", constants={"nodes": nodes})
    node = m.index("node", nodes)
    at = m.integers("at", node, 0, nodes - 1, choices=range(nodes))

    @m.action(fair="weak")
    def first(do: Step) -> None:
        do.when(at[0] == at[nodes - 1])
        do.set(at[0], (at[nodes - 1] + 1) % nodes)

    @m.action(p=node, fair="weak")
    def other(do: Step, p: IntExpr) -> None:
        do.when(p != 0, at[p] != at[p - 1])
        do.set(at[p], at[p - 1])

    moves = count(node, lambda p: (p != 0) & (at[p] != at[p - 1]))
    tokens = moves + ite(at[0] == at[nodes - 1], 1, 0)
    m.always("a token", tokens >= 1, because="there is never none")
    m.leads_to("one token", True, tokens == 1, because="wherever it begins")
    return m


# ------------------------------------------------------------------------------- forks


class Does(IntEnum):
    """What a philosopher is about to do."""

    LOOK = 0
    EAT = 1
    THINK = 2


def chandy_misra(seats: int = 5) -> Model:
    """Forks are handed on when dirty (TLA+ Examples, DiningPhilosophers: 67; 336 generated)."""
    m = Model("chandy misra", constants={"seats": seats})
    seat = m.index("seat", seats)
    held = [0, 0, *range(2, seats)]
    holder = m.integers("holder", seat, 0, seats - 1, held, holds=seat)
    clean, hungry = m.booleans("clean", seat), m.booleans("hungry", seat, True)
    does = m.enums("does", seat, Does, Does.LOOK)

    @m.action(p=seat, fair="weak")
    def look(do: Step, p: IntExpr) -> None:
        do.when(does[p] == Does.LOOK)
        right = (p + 1) % seats
        first = (holder[p] == p) & ~clean[p]
        second = ~first & (holder[right] == p) & ~clean[right]
        for fork, gives, to in ((p, first, (p - 1) % seats), (right, second, right)):
            do.set(holder[fork], to, when=gives)
            do.set(clean[fork], True, when=gives)
        both = (holder[p] == p) & (holder[right] == p) & clean[p] & clean[right]
        do.set(does[p], ite(hungry[p], ite(both, Does.EAT, Does.LOOK), Does.THINK))

    @m.action(p=seat, fair="weak")
    def eat(do: Step, p: IntExpr) -> None:
        do.when(does[p] == Does.EAT)
        do.set(hungry[p], False)
        for fork in (p, (p + 1) % seats):
            do.set(clean[fork], False)
        do.set(does[p], Does.LOOK)

    @m.action(p=seat, fair="weak")
    def think(do: Step, p: IntExpr) -> None:
        do.when(does[p] == Does.THINK)
        do.set(hungry[p], True)
        do.set(does[p], Does.LOOK)

    neighbours = forall(seat, lambda p: (does[p] != Does.EAT) | (does[(p + 1) % seats] != Does.EAT))
    m.always("neighbours", neighbours, because="they share a fork")
    for p in range(seats):
        m.leads_to(f"{p} eats", hungry[p], ~hungry[p], because="nobody starves")
    return m


# ---------------------------------------------------------------------------- channels


def alternating_bit(data: int = 2, most: int = 2) -> Model:
    """Over channels that lose (Specifying Systems, chapter 14; TLA+ Examples: 240 distinct)."""
    m = Model("alternating bit", constants={"data": data, "most": most})
    datum, bit = m.index("datum", data), m.index("bit", 2)
    sends = m.queue("sends", m.index("message", 2 * data), most + 1)
    acks = m.queue("acks", bit, most + 1)
    mine, acked, its = (m.integer(n, 0, 1, choices=(0, 1)) for n in ("mine", "acked", "its"))
    sent, got = (m.integer(n, 0, data - 1, choices=range(data)) for n in ("sent", "got"))
    m.initially((mine == acked) & (mine == its))
    m.within((sends.size <= most) & (acks.size <= most), because="channels of so many messages")

    @m.action(d=datum)
    def send(do: Step, d: IntExpr) -> None:
        do.when(acked == mine)
        do.set(sent, d)
        do.set(mine, 1 - mine)
        do.push(sends, (1 - mine) * data + d)

    @m.action()
    def send_again(do: Step) -> None:
        do.when(acked != mine)
        do.push(sends, mine * data + sent)

    @m.action()
    def receive(do: Step) -> None:
        do.when(~sends.is_empty)
        do.set(its, sends.head // data)
        do.set(got, sends.head % data)
        do.pop(sends)

    @m.action()
    def acknowledge(do: Step) -> None:
        do.push(acks, its)

    @m.action()
    def hear(do: Step) -> None:
        do.when(~acks.is_empty)
        do.set(acked, acks.head)
        do.pop(acks)

    def lossy(name: str, channel: Queue) -> None:
        def lose(do: Step, k: IntExpr) -> None:
            do.when(k < channel.size)
            do.pop(channel, at=k)

        m.add_action(name, lose, {"k": m.index(f"place in {name}", most + 1)})

    lossy("lose a message", sends)
    lossy("lose an acknowledgement", acks)
    arrived = implies(~acks.is_empty & (acks.head == mine) & (acked != mine), got == sent)
    m.always("arrived", arrived, because="what is acknowledged has been received")
    return m


def fifo(messages: int = 3, most: int = 3) -> Model:
    """A buffer between two handshakes (TLA+ Examples, InnerFIFO: 3,864; 9,660 generated)."""
    m = Model("fifo", constants={"messages": messages, "most": most})
    message = m.index("message", messages)
    buffer = m.queue("buffer", message, most + 1)
    ends = ("in", "out")
    value = {e: m.integer(f"{e} value", 0, messages - 1, choices=range(messages)) for e in ends}
    ready = {e: m.integer(f"{e} ready", 0, 1, choices=(0, 1)) for e in ends}
    heard = {e: m.integer(f"{e} heard", 0, 1, choices=(0, 1)) for e in ends}
    m.initially((ready["in"] == heard["in"]) & (ready["out"] == heard["out"]))
    m.within(buffer.size <= most, because="a buffer of so many messages")

    @m.action(d=message)
    def put(do: Step, d: IntExpr) -> None:
        do.when(ready["in"] == heard["in"])
        do.set(value["in"], d)
        do.set(ready["in"], 1 - ready["in"])

    @m.action()
    def take_in(do: Step) -> None:
        do.when(ready["in"] != heard["in"])
        do.set(heard["in"], 1 - heard["in"])
        do.push(buffer, value["in"])

    @m.action()
    def hand_out(do: Step) -> None:
        do.when(~buffer.is_empty, ready["out"] == heard["out"])
        do.set(value["out"], buffer.head)
        do.set(ready["out"], 1 - ready["out"])
        do.pop(buffer)

    @m.action()
    def get(do: Step) -> None:
        do.when(ready["out"] != heard["out"])
        do.set(heard["out"], 1 - heard["out"])

    m.sometimes("full", buffer.size == most, because="the bound is met")
    return m


# ------------------------------------------------------------------ registers, agreement


def regular(processes: int = 8) -> Model:
    """Lamport's exercise on regular registers (TLA+ Examples, SimpleRegular: 277,726)."""
    m = Model("regular", constants={"processes": processes})
    process, bit = m.index("process", processes), m.index("bit", 2)
    maybe = m.sets("maybe", process, of=bit, init=[0])
    read, at = m.integers("read", process, 0, 1), m.integers("at", process, 0, 3)

    @m.action(p=process)
    def begin(do: Step, p: IntExpr) -> None:
        do.when(at[p] == 0)
        do.add(maybe[p], 1)
        do.set(at[p], 1)

    @m.action(p=process)
    def end(do: Step, p: IntExpr) -> None:
        do.when(at[p] == 1)
        do.remove(maybe[p], 0)
        do.set(at[p], 2)

    @m.action(p=process, v=bit)
    def look(do: Step, p: IntExpr, v: IntExpr) -> None:
        do.when(at[p] == 2, maybe[(p - 1) % processes][v])
        do.set(read[p], v)
        do.set(at[p], 3)

    over = forall(process, lambda p: at[p] == 3)

    @m.action()
    def stay(do: Step) -> None:
        do.when(over)

    seen = exists(process, lambda p: read[p] == 1)
    m.always(
        "somebody saw", implies(over, seen), because="the last to write was seen to have begun"
    )
    return m


def paxos(acceptors: int = 3, values: int = 2, ballots: int = 2) -> Model:
    """One decree (TLA+ Examples, PaxosHowToWinATuringAward, tiny: 3,921 distinct)."""
    m = Model("paxos", constants={"acceptors": acceptors, "values": values, "ballots": ballots})
    acceptor, value = m.index("acceptor", acceptors), m.index("value", values)
    ballot = m.index("ballot", ballots)
    # What an acceptor voted for last: 0 is no ballot and no value.
    last, what = m.index("last", ballots + 1), m.index("what", values + 1)
    promised = m.integers("promised", acceptor, -1, ballots - 1, -1)
    voted, vote = m.integers("voted", acceptor, 0, ballots), m.integers("vote", acceptor, 0, values)
    asked = m.set("asked", ballot)
    said = m.booleans("said", (acceptor, ballot, last, what))
    proposed = m.booleans("proposed", (ballot, value))
    cast = m.booleans("cast", (acceptor, ballot, value))

    @m.action(b=ballot)
    def ask(do: Step, b: IntExpr) -> None:
        do.add(asked, b)

    @m.action(a=acceptor, b=ballot)
    def promise(do: Step, a: IntExpr, b: IntExpr) -> None:
        do.when(asked[b], b > promised[a])
        do.set(promised[a], b)
        do.set(said[a, b, voted[a], vote[a]], True)

    @m.action(b=ballot, v=value, quorum=m.subsets(acceptor))
    def propose(do: Step, b: IntExpr, v: IntExpr, quorum: IntExpr) -> None:
        def anyone(x: IntExpr, y: IntExpr) -> BoolExpr:
            return exists(acceptor, lambda a: member(a, quorum) & said[a, b, x, y])

        def told(a: IntExpr) -> BoolExpr:
            return exists(last, lambda x: exists(what, lambda y: said[a, b, x, y]))

        do.when(2 * count(acceptor, lambda a: member(a, quorum)) == acceptors + 1)
        do.when(~exists(value, lambda w: proposed[b, w]))
        do.when(forall(acceptor, lambda a: implies(member(a, quorum), told(a))))
        do.when(
            ~exists(last, lambda x: (x > 0) & exists(what, lambda y: anyone(x, y)))
            | exists(
                last,
                lambda x: (
                    (x > 0)
                    & anyone(x, v + 1)
                    & ~exists(last, lambda z: (z > x) & exists(what, lambda y: anyone(z, y)))
                ),
            )
        )
        do.set(proposed[b, v], True)

    @m.action(a=acceptor, b=ballot, v=value)
    def accept(do: Step, a: IntExpr, b: IntExpr, v: IntExpr) -> None:
        do.when(proposed[b, v], b >= promised[a])
        do.set(promised[a], b)
        do.set(voted[a], b + 1)
        do.set(vote[a], v + 1)
        do.set(cast[a, b, v], True)

    def chosen(v: IntExpr) -> BoolExpr:
        return exists(ballot, lambda b: 2 * count(acceptor, lambda a: cast[a, b, v]) > acceptors)

    one = forall(value, lambda v: forall(value, lambda w: implies(chosen(v) & chosen(w), v == w)))
    m.always("agreement", one, because="no two values are chosen")
    return m


# ------------------------------------------------------------------------------ a puzzle

Place = tuple[int, int]
SHAPES: dict[str, tuple[Place, ...]] = {
    "dot": ((0, 0),),
    "upright": ((0, 0), (1, 0)),
    "flat": ((0, 0), (0, 1)),
    "block": ((0, 0), (0, 1), (1, 0), (1, 1)),
}
LAID = """
upright 0 0, block 0 1, upright 0 3, upright 2 0, flat 2 1, upright 2 3, dot 3 1, dot 3 2, dot 4 0,
dot 4 3"""


def klotski() -> Model:
    """The red donkey: 25,955 positions, solved in 116 single steps (as puzzlers count them)."""
    m = Model("klotski")
    codes = [(name, part) for name, parts in SHAPES.items() for part in parts]
    code = {key: n + 1 for n, key in enumerate(codes)}
    first = [0] * 20
    for piece in LAID.split(","):
        name, row, column = piece.split()
        for r, c in SHAPES[name]:
            first[4 * (int(row) + r) + int(column) + c] = code[name, (r, c)]
    board = m.integers("board", m.index("square", 20), 0, len(codes), first)

    def moves(name: str, at: Place, to: Place) -> Callable[[Step], None]:
        old = {(at[0] + r, at[1] + c) for r, c in SHAPES[name]}
        new = {(to[0] + r, to[1] + c): code[name, (r, c)] for r, c in SHAPES[name]}

        def body(do: Step) -> None:
            do.when(board[4 * at[0] + at[1]] == code[name, (0, 0)])
            do.when(*(board[4 * r + c] == 0 for r, c in sorted(new.keys() - old)))
            for r, c in sorted(old | new.keys()):
                do.set(board[4 * r + c], new.get((r, c), 0))

        return body

    for name, parts in SHAPES.items():
        high, wide = (max(p[k] for p in parts) for k in (0, 1))
        places = [(r, c) for r in range(5 - high) for c in range(4 - wide)]
        for at in places:
            for to in places:
                if abs(at[0] - to[0]) + abs(at[1] - to[1]) == 1:
                    said = f"{name} {at} to {to}"
                    m.add_action(said, moves(name, at, to), {}, never=name == "flat")
    m.always("unsolved", board[13] != code["block", (0, 0)], because="the block is to get out")
    return m
