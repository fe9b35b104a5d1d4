"""Feeders that pause and readers that wait, at once: nobody stays asleep, no byte is lost.

A lost wake-up or a lost resume shows as a test that runs into its timeout.
"""

import asyncio
import random
import sys
from collections.abc import Iterator

import pytest

from nbio.blocks import BlockPool
from nbio.body import BodyReader
from nbio.pool import BodyPool


@pytest.fixture(autouse=True)
def _switch_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


class Feeder:
    """A connection, as far as a body sees it: stops when told, goes on when called."""

    def __init__(self, pool: BodyPool, seed: int) -> None:
        self.random = random.Random(seed)
        self.resumed = asyncio.Event()
        self.body: BodyReader = pool.acquire(f"POST /{seed}", on_resume=self.resumed.set)
        self.sent = bytearray()
        self.pauses = 0

    async def run(self, chunks: int) -> None:
        for _ in range(chunks):
            data = self.random.randbytes(self.random.choice([1, 5, 8, 16, 40]))
            self.sent += data
            self.resumed.clear()
            if self.feed(data):
                self.pauses += 1
                await self.resumed.wait()
                assert not self.body.paused
            elif self.random.random() < 0.3:
                await asyncio.sleep(0)
        self.body.finish()

    def feed(self, data: bytes) -> bool:
        if self.random.random() < 0.5 or len(data) > 16:
            return self.body.feed(data)
        pool = self.body._pool.blocks
        block = pool.get()
        block[: len(data)] = data
        kept, paused = self.body.feed_block(block, len(data))
        if kept is not None:
            pool.put(kept)
        return paused


async def read_somehow(body: BodyReader, how: str) -> bytes:
    if how == "thread":
        return await asyncio.to_thread(read_in_thread, body)
    if how == "views":
        return b"".join([bytes(view) async for view in body.views()])
    if how == "chunks":
        return b"".join([chunk async for chunk in body])
    if how == "readinto":
        out, buffer = bytearray(), bytearray(11)
        while count := await body.readinto(buffer):
            out += buffer[:count]
        return bytes(out)
    if how == "impatient":
        return await read_impatiently(body)
    return await body.read()


def read_in_thread(body: BodyReader) -> bytes:
    out = bytearray()
    while part := body.read_blocking(13):
        out += part
    return bytes(out)


async def read_impatiently(body: BodyReader) -> bytes:
    """Cancel about every second read that waits."""
    out = bytearray()
    while True:
        task = asyncio.ensure_future(body.read(9))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        try:
            part = await task
        except asyncio.CancelledError:
            continue
        if not part:
            return bytes(out)
        out += part


@pytest.mark.parametrize("high", [1, 2, 4])
def test_every_way_of_reading_beside_a_pausing_feeder(high: int) -> None:
    hows = ["thread", "views", "chunks", "readinto", "impatient", "whole", "thread", "thread"]

    async def main() -> None:
        pool = BodyPool(BlockPool(block_size=16), high_water=high, low_water=high // 2)
        feeders = [Feeder(pool, seed) for seed in range(len(hows))]
        async with asyncio.TaskGroup() as group:
            reads = [
                group.create_task(read_somehow(feeder.body, how))
                for feeder, how in zip(feeders, hows, strict=True)
            ]
            for feeder in feeders:
                group.create_task(feeder.run(300))
        for feeder, read in zip(feeders, reads, strict=True):
            assert read.result() == bytes(feeder.sent)
            assert feeder.body.received == feeder.body.consumed == len(feeder.sent)
            feeder.body.release()
        assert sum(feeder.pauses for feeder in feeders) > 0
        stats = pool.stats()
        assert stats.blocks.given_up == 0
        assert stats.blocks.outstanding == 0

    asyncio.run(asyncio.wait_for(main(), 60))
