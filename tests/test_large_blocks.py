"""Larger blocks, for what is still to come of a long body whose reader keeps up."""

import asyncio
import hashlib
import threading

import pytest

from nbio import BlockPool, BodyPool, Request, Response
from nbio.hub import LARGE
from tests.live import Live, chunked, post, serving

SIZE = 16384
DATA = hashlib.shake_128(b"large").digest(SIZE * LARGE * 8)
HASH = hashlib.sha256(DATA).hexdigest().encode()


async def hashed(request: Request) -> Response:
    digest = hashlib.sha256()
    async for view in request.body.views():
        digest.update(view)
    return Response(digest.hexdigest())


def large_made(live: Live) -> int:
    """How many large blocks the server ever took."""
    large = live.server.pool.large
    return large.stats().acquired if large is not None else 0


def test_a_long_body_that_is_read_gets_them() -> None:
    with serving(hashed, block_size=SIZE) as live, live.client() as client:
        # Arriving at once, so that it isn't the client's pace that decides.
        assert client.ask(post(DATA)).body == HASH
        assert large_made(live) > 2
        assert client.ask(chunked(DATA[:100], DATA[100:])).body == HASH
        before = large_made(live)
        assert client.ask(post(DATA[: SIZE * LARGE])).status == 200
        assert large_made(live) == before, "that one is no longer than a large block"


def test_a_body_that_nobody_reads_gets_none() -> None:
    began, go = threading.Event(), threading.Event()

    async def late(request: Request) -> Response:
        began.set()
        await request.body.readexactly(SIZE)
        await asyncio.to_thread(go.wait, 20)
        return await hashed(request)

    with serving(late, block_size=SIZE) as live, live.client() as client:
        head = post(DATA)[: -len(DATA)]
        client.send(head)
        assert began.wait(20)
        # All that is received from here on is received into blocks.
        sender = threading.Thread(target=client.send, args=(DATA,))
        sender.start()
        while live.server.pool.stats().blocks.outstanding < 3:
            live.run(asyncio.sleep(0))
        assert large_made(live) == 0
        go.set()
        sender.join(20)
        expected = hashlib.sha256(DATA[SIZE:]).hexdigest().encode()
        assert client.answer().body == expected


@pytest.mark.parametrize("most", [0, 1])
def test_without_enough_of_them_the_others_do(most: int) -> None:
    with serving(hashed, block_size=SIZE, max_large_blocks=most) as live:
        with live.client() as client:
            assert client.ask(post(DATA)).body == HASH
        assert bool(large_made(live)) == bool(most)


def test_blocks_of_both_sizes_in_one_body() -> None:
    large = BlockPool(block_size=32)
    pool = BodyPool(BlockPool(block_size=8), large=large)
    body = pool.acquire("POST /")
    body.feed(b"12345678")
    block = large.get()
    block[:5] = b"abcde"
    assert body.feed_block(block, 5) == (None, False)
    body.feed(b"fghijklmnopqrstuvwxyz012345" + b"678")
    assert pool.stats().blocks.outstanding == 3, "the large one is filled first"
    assert body._slot.ends == [8, 32, 3]
    assert body.read_blocking(8) == b"12345678"
    assert body.read_blocking(99) == b"abcdefghijklmnopqrstuvwxyz012345"
    assert pool.blocks.stats().idle == 1
    assert large.stats().idle == 1
    body.release()
    pool.assert_balanced()
    assert pool.stats().blocks == pool.blocks.stats() + large.stats()


def test_a_block_of_neither_size_is_refused() -> None:
    pool = BodyPool(BlockPool(block_size=8), large=BlockPool(block_size=32))
    with pytest.raises(ValueError, match="16 bytes isn't a block of this pool"):
        pool.put_block(bytearray(16))
