"""What an idle connection holds for itself: five objects of ours, and the loop's transport."""

import asyncio
import gc
import types
from typing import Any

import pytest

from nbio import Request, Response
from nbio.exchange import Peer
from nbio.http1 import Receiver
from nbio.protocol import Connection
from tests.live import Client, Live, get, post, serving

CODE = (type, types.ModuleType, types.FunctionType)


async def handler(request: Request) -> Response:
    return Response(await request.body.read())


def reachable(root: object, *common: object) -> dict[int, object]:
    """All that is held by an object, and by what that holds, but for code and what is common."""
    found: dict[int, object] = {id(one): one for one in common}
    todo = [root]
    while todo:
        one = todo.pop()
        if id(one) not in found and not isinstance(one, CODE):
            found[id(one)] = one
            todo += gc.get_referents(one)
    return found


async def own(live: Live) -> list[object]:
    """What one of the server's two connections holds, and the other doesn't."""
    hub: Any = live.server._hub
    # A turn for what is done once a request is over.
    await asyncio.sleep(0)
    first, second = hub.connections
    shared = reachable(second, hub, hub.loop)
    # Of the transport's, nothing is ours to save.
    theirs = reachable_only(first._transport, first)
    return [
        o
        for key, o in reachable(first, hub, hub.loop).items()
        if key not in shared and key not in theirs
    ]


def reachable_only(transport: object, connection: object) -> set[int]:
    """The transport, and what it alone refers to directly."""
    kinds = (list, types.MethodType, types.BuiltinMethodType)
    parts = [o for o in gc.get_referents(transport) if isinstance(o, kinds)]
    assert connection not in parts
    return {id(transport), *map(id, parts)}


@pytest.mark.parametrize("asked", [get(), post(b"x" * 100), post(b"x" * 300_000), get() * 20])
def test_what_an_idle_connection_holds(asked: bytes) -> None:
    pytest.importorskip("uvloop")
    with serving(handler) as live, live.client() as one, live.client() as two:
        for client in (one, two):
            answered(client, asked)
        kinds = sorted(type(held).__name__ for held in live.run(own(live)))
    wanted = [Connection.__name__, Peer.__name__, Receiver.__name__, "int", "str", "tuple"]
    assert kinds == sorted(wanted), "its client's address is the last three"


def answered(client: Client, asked: bytes) -> None:
    client.send(asked)
    for _ in range(asked.count(b"HTTP/1.1\r\n")):
        head = client.until(b"\r\n\r\n").lower()
        size = int(head.partition(b"content-length:")[2].split()[0])
        while size:
            size -= len(client.socket.recv(size))
