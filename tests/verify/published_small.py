"""More models of published sizes: puzzles, the termination of rings, allocators.

Where it says TLA+ Examples, the figures are those of that collection's manifest (they are TLC's,
whose depth counts states where ours counts steps). Each model is written here from what the
specification means.
"""

from __future__ import annotations

from enum import IntEnum

from nbio.verify import (
    BoolExpr,
    IntExpr,
    Model,
    Step,
    exists,
    forall,
    implies,
    ite,
    lookup,
    member,
    minimum,
    total,
)

# ------------------------------------------------------------------------------- puzzles


def die_hard() -> Model:
    """Jugs of 3 and 5 gallons: four gallons are had after six steps (TLA+ Examples, DieHard)."""
    m = Model("die hard")
    jug = m.index("jug", ["small", "big"])
    holds = m.integers("holds", jug, 0, 5)

    def room(j: IntExpr) -> IntExpr:
        return lookup([3, 5], j) - holds[j]

    @m.action(j=jug, say="fill {j}")
    def fill(do: Step, j: IntExpr) -> None:
        do.set(holds[j], lookup([3, 5], j))

    @m.action(j=jug, say="empty {j}")
    def empty(do: Step, j: IntExpr) -> None:
        do.set(holds[j], 0)

    @m.action(j=jug, say="pour {j} into the other")
    def pour(do: Step, j: IntExpr) -> None:
        poured = minimum(holds[j], room(1 - j))
        do.set(holds[j], holds[j] - poured)
        do.set(holds[1 - j], holds[1 - j] + poured)

    m.always("not four", holds[1] != 4, because="the bomb needs four gallons")
    return m


def crossing(each: int = 3, seats: int = 2) -> Model:
    """Missionaries and cannibals: three of each need eleven crossings (Amarel, 1968)."""
    m = Model("crossing", constants={"each": each, "seats": seats})
    who = m.index("who", [f"{kind}{n}" for kind in "mc" for n in range(each)])
    across, boat = m.set("across", of=who), m.boolean("boat_across")

    @m.action(group=m.subsets(who), say="{group} cross")
    def cross(do: Step, group: IntExpr) -> None:
        size = total([member(p, group) for p in range(2 * each)])
        do.when(size >= 1, size <= seats)
        do.when(forall(who, lambda p: implies(member(p, group), across[p] == boat)))
        for over in (False, True):
            there = [(across[p] == over) ^ member(p, group) for p in range(2 * each)]
            missionaries, cannibals = total(there[:each]), total(there[each:])
            do.when((missionaries == 0) | (missionaries >= cannibals))
        do.fill(across, lambda p: across[p] ^ member(p, group))
        do.set(boat, ~boat)

    m.always("stuck", across.size != 2 * each, because="nobody gets across")
    return m


def hanoi(disks: int = 5) -> Model:
    """The tower of Hanoi: 3^n states, 2^n - 1 moves from one peg to another."""
    m = Model("hanoi", constants={"disks": disks})
    disk, peg = m.index("disk", disks), m.index("peg", ["left", "middle", "right"])
    on = m.integers("on", disk, 0, 2, holds=peg)

    @m.action(d=disk, p=peg, say="disk {d} goes to the {p}")
    def move(do: Step, d: IntExpr, p: IntExpr) -> None:
        do.when(on[d] != p)
        do.when(forall(disk, lambda e: implies(e < d, (on[e] != on[d]) & (on[e] != p))))
        do.set(on[d], p)

    m.always("apart", ~forall(disk, lambda d: on[d] == 2), because="it can't be done")
    return m


def eight_puzzle() -> Model:
    """Eight tiles in a frame of nine: 9!/2 = 181,440 positions, the farthest 31 moves away."""
    m = Model("eight puzzle")
    place, way = m.index("place", 9), m.index("way", ["up", "down", "left", "right"])
    tile = m.integers("tile", place, 0, 8, init=range(9))
    hole = m.integer("hole", 0, 8)

    @m.action(h=place, w=way)
    def slide(do: Step, h: IntExpr, w: IntExpr) -> None:
        to = h + lookup([-3, 3, -1, 1], w)
        column = h % 3 + lookup([0, 0, -1, 1], w)
        do.when(hole == h, to >= 0, to < 9, column >= 0, column < 3)
        do.set(tile[h], tile[to], when=(to >= 0) & (to < 9))
        do.set(tile[minimum(to, 8)], 0, when=to >= 0)
        do.set(hole, minimum(to, 8), when=to >= 0)

    return m


def queens(n: int = 8) -> Model:
    """Queens that don't attack each other: 92 ways to place eight (Nauck, 1850)."""
    m = Model("queens", constants={"n": n})
    row = m.index("row", n)
    placed = m.integer("placed", 0, n)
    column = m.integers("column", row, 0, n - 1)

    @m.action(c=m.index("column", n))
    def place(do: Step, c: IntExpr) -> None:
        do.when(placed < n)
        for r in range(n):
            free = (column[r] != c) & (column[r] - c != placed - r) & (c - column[r] != placed - r)
            do.when(implies(r < placed, free))
        do.set(column[minimum(placed, n - 1)], c)
        do.set(placed, minimum(placed + 1, n))

    m.always("none", placed != n, because="there is no way")
    m.done(True)
    return m


def coffee_can(beans: int = 100) -> Model:
    """Gries's coffee can (TLA+ Examples, CoffeeCan100Beans: 5,150 distinct, 20,002 generated)."""
    m = Model("coffee can", constants={"beans": beans})
    black = m.integer("black", 0, beans, choices=range(beans + 1))
    white = m.integer("white", 0, beans, choices=range(beans + 1))
    m.initially((black + white >= 1) & (black + white <= beans))
    odd = m.boolean("odd", choices=(False, True))
    m.initially(odd == (white % 2 == 1))

    @m.action(fair="weak")
    def two_black(do: Step) -> None:
        do.when(black >= 2)
        do.set(black, black - 1)

    @m.action(fair="weak")
    def two_white(do: Step) -> None:
        do.when(white >= 2)
        do.set(black, black + 1)
        do.set(white, white - 2)

    @m.action(fair="weak")
    def one_of_each(do: Step) -> None:
        do.when(black >= 1, white >= 1)
        do.set(black, black - 1)

    @m.action()
    def rest(do: Step) -> None:
        do.when(black + white == 1)

    m.leads_to("one is left", True, black + white == 1, because="each step takes a bean away")
    m.always("parity", implies(black + white == 1, (white == 1) == odd), because="Gries's answer")
    return m


def game_of_life(side: int = 4) -> Model:
    """Every board of 4 by 4 and its successor (TLA+ Examples, GameOfLife: 65,536; 131,072)."""
    m = Model("game of life", constants={"side": side})
    axis = m.index("axis", side)
    alive = m.booleans("alive", (axis, axis), choices=(False, True))

    @m.action()
    def tick(do: Step) -> None:
        for x in range(side):
            for y in range(side):
                near = total(
                    [
                        alive[a, b]
                        for a in range(max(0, x - 1), min(side, x + 2))
                        for b in range(max(0, y - 1), min(side, y + 2))
                        if (a, b) != (x, y)
                    ]
                )
                do.set(alive[x, y], (near == 3) | (alive[x, y] & (near == 2)))

    m.sometimes("empty", forall(axis, lambda a: ~alive[a, 0]), because="some boards have a margin")
    return m


def prisoners(others: int = 3) -> Model:
    """Four prisoners, two switches (TLA+ Examples, Prisoners: 214 distinct, 860 generated)."""
    m = Model("prisoners", constants={"others": others})
    who = m.index("other", others)
    a, b = m.boolean("a", choices=(False, True)), m.boolean("b", choices=(False, True))
    times = m.integers("times", who, 0, 2)
    count = m.integer("count", 0, 2 * others + 1)

    @m.action(fair="weak")
    def counter(do: Step) -> None:
        do.set(a, False)
        do.set(b, ~b, when=~a)
        do.set(count, count + 1, when=a)

    @m.action(p=who, fair="weak")
    def other(do: Step, p: IntExpr) -> None:
        up = ~a & (times[p] < 2)
        do.set(a, True, when=up)
        do.set(times[p], times[p] + 1, when=up)
        do.set(b, ~b, when=~up)

    done = count >= 2 * others
    m.always("safe", implies(done, forall(who, lambda p: times[p] > 0)), because="all were there")
    m.leads_to("free", True, done, because="they are let out at last")
    return m


# --------------------------------------------------------------------------- termination


class Colour(IntEnum):
    """Of a node, or of the token."""

    WHITE = 0
    BLACK = 1


def ring(nodes: int = 4) -> Model:
    """Dijkstra's EWD840 (TLA+ Examples: EWD840 has 302 distinct, of three nodes; 1,566 of four)."""
    m = Model("ring", constants={"nodes": nodes})
    node = m.index("node", nodes)
    active = m.booleans("active", node, choices=(False, True))
    colour = m.enums("colour", node, Colour, Colour.WHITE, choices=list(Colour))
    at = m.integer("token_at", 0, nodes - 1, choices=range(nodes))
    token = m.enum("token", Colour, Colour.BLACK)

    @m.action(fair="weak")
    def probe(do: Step) -> None:
        do.when(at == 0, (token == Colour.BLACK) | (colour[0] == Colour.BLACK))
        do.set(at, nodes - 1)
        do.set(token, Colour.WHITE)
        do.set(colour[0], Colour.WHITE)

    @m.action(i=node, fair="weak")
    def passes(do: Step, i: IntExpr) -> None:
        do.when(at == i, i != 0)
        do.when(~active[i] | (colour[i] == Colour.BLACK) | (token == Colour.BLACK))
        do.set(at, i - 1, when=i != 0)
        do.set(token, Colour.BLACK, when=colour[i] == Colour.BLACK)
        do.set(colour[i], Colour.WHITE)

    @m.action(i=node, j=node)
    def sends(do: Step, i: IntExpr, j: IntExpr) -> None:
        do.when(active[i], i != j)
        do.set(active[j], True)
        do.set(colour[i], Colour.BLACK, when=j > i)

    @m.action(i=node)
    def rests(do: Step, i: IntExpr) -> None:
        do.when(active[i])
        do.set(active[i], False)

    quiet = forall(node, lambda i: ~active[i])
    white = (at == 0) & (token == Colour.WHITE) & (colour[0] == Colour.WHITE) & ~active[0]
    m.always("detected", implies(white, quiet), because="nobody works when it is announced")
    m.leads_to("detects", quiet, white, because="and it is announced at last")
    m.done(True)
    return m


def quiescence(nodes: int = 7) -> Model:
    """What EWD840 implements (TLA+ Examples, SyncTerminationDetection: 129; 3,722 generated)."""
    m = Model("quiescence", constants={"nodes": nodes})
    node = m.index("node", nodes)
    active = m.booleans("active", node, choices=(False, True))
    detected = m.boolean("detected", choices=(False, True))
    quiet = forall(node, lambda i: ~active[i])
    m.initially(implies(detected, quiet))

    @m.action(i=node)
    def rests(do: Step, i: IntExpr) -> None:
        do.when(active[i])
        do.set(active[i], False)

    @m.action(i=node)
    def rests_last(do: Step, i: IntExpr) -> None:
        do.when(forall(node, lambda j: active[j] == (j == i)))
        do.set(active[i], False)
        do.set(detected, True)

    @m.action(i=node, j=node)
    def wakes(do: Step, i: IntExpr, j: IntExpr) -> None:
        do.when(active[i])
        do.set(active[j], True)

    @m.action()
    def detects(do: Step) -> None:
        do.when(quiet)
        do.set(detected, True)

    m.always("right", implies(detected, quiet), because="it is not announced too early")
    return m


# ---------------------------------------------------------------------------- allocators


def allocator(clients: int = 3, resources: int = 2) -> Model:
    """Sets of resources asked for, given and returned (TLA+ Examples, SimpleAllocator: 400)."""
    m = Model("allocator", constants={"clients": clients, "resources": resources})
    client = m.index("client", clients)
    resource = m.index("resource", resources)
    some = m.subsets(resource)
    wants = m.sets("wants", client, of=resource)
    has = m.sets("has", client, of=resource)

    @m.action(c=client, s=some, say="client {c} asks for {s}")
    def request(do: Step, c: IntExpr, s: IntExpr) -> None:
        do.when(s > 0, wants[c].is_empty, has[c].is_empty)
        do.fill(wants[c], lambda r: member(r, s))

    @m.action(c=client, s=some, say="client {c} gets {s}")
    def allocate(do: Step, c: IntExpr, s: IntExpr) -> None:
        def given(r: IntExpr) -> BoolExpr:
            return exists(client, lambda d: has[d][r])

        do.when(s > 0)
        do.when(forall(resource, lambda r: implies(member(r, s), wants[c][r] & ~given(r))))
        do.fill(has[c], lambda r: has[c][r] | member(r, s))
        do.fill(wants[c], lambda r: wants[c][r] & ~member(r, s))

    @m.action(c=client, s=some, say="client {c} returns {s}")
    def give_back(do: Step, c: IntExpr, s: IntExpr) -> None:
        do.when(s > 0, forall(resource, lambda r: implies(member(r, s), has[c][r])))
        do.fill(has[c], lambda r: has[c][r] & ~member(r, s))

    once = forall(resource, lambda r: total([has[c][r] for c in range(clients)]) <= 1)
    m.always("exclusive", once, because="a resource has one holder")
    m.sometimes("all", ite(has[0][0], 1, 0) + ite(has[1][1], 1, 0) == 2, because="two hold one")
    return m


def smokers() -> Model:
    """Patil's cigarette smokers (TLA+ Examples, CigaretteSmokers: 6 distinct, 15 generated)."""
    m = Model("smokers")
    kind = m.index("ingredient", ["matches", "paper", "tobacco"], symmetric=True)
    lacks = m.integer("lacks", 0, 3, choices=range(3), holds=kind)
    smoking = m.set("smoking", of=kind)

    @m.action(k=kind)
    def start(do: Step, k: IntExpr) -> None:
        do.when(lacks == k)
        do.add(smoking, k)
        do.set(lacks, 3)

    @m.action(k=kind, new=kind)
    def stop(do: Step, k: IntExpr, new: IntExpr) -> None:
        do.when(smoking[k])
        do.remove(smoking, k)
        do.set(lacks, new)

    m.always("one at a time", smoking.size <= 1, because="the ingredients suffice for one")
    return m
