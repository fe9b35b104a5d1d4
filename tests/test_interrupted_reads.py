"""A read ended at each place where it waits, by whatever ends a coroutine, whatever has happened.

Between two awaits nothing can cancel a task: so each read is taken to where it waits, something
happens or doesn't, and then the exception comes at that place. After it the body reads on as if
nobody had tried, and everything is back at the end.
"""

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from nbio.blocks import BlockPool
from nbio.body import BodyReader
from nbio.errors import BodyClosedError, BodyDisconnected, BodyError
from nbio.pool import BodyPool
from proofs.interrupted import run

Read = Callable[[BodyReader], Coroutine[object, None, object]]
READS: dict[str, Read] = {
    "read": lambda body: body.read(3),
    "read to the end": lambda body: body.read(),
    "readexactly": lambda body: body.readexactly(3),
    "readinto": lambda body: body.readinto(bytearray(3)),
    "async for": lambda body: body.__anext__(),
    "views": lambda body: body.views().__anext__(),
}
BEFORE: dict[str, Callable[[BodyReader], object]] = {
    "nothing": lambda body: None,
    "fed": lambda body: body.feed(b"abc"),
    "ended": lambda body: body.finish(),
    "cut off": lambda body: body.fail(BodyDisconnected("gone")),
    "closed": lambda body: body.close(),
    "released": lambda body: body.release(),
    "detached": lambda body: body.detach(),
}


@pytest.mark.parametrize("error", [asyncio.CancelledError, KeyboardInterrupt, GeneratorExit])
@pytest.mark.parametrize("happened", BEFORE)
@pytest.mark.parametrize("how", READS)
def test_a_read_ended_where_it_waits(how: str, happened: str, error: type[BaseException]) -> None:
    pool = BodyPool(BlockPool(8))

    async def main() -> None:
        body = pool.acquire("POST /")
        reading = READS[how](body)
        reading.send(None)
        assert body._slot.waiting
        BEFORE[happened](body)
        with pytest.raises(error):
            reading.throw(error())
        assert (body._slot.waiting, body._slot.leased) == (False, 0)
        reads_on(body, happened)
        body.close()
        body.release()

    asyncio.run(main())
    pool.assert_balanced()


def reads_on(body: BodyReader, happened: str) -> None:
    """The next reader finds what is there."""
    errors: dict[str, type[BodyError]] = {
        "cut off": BodyDisconnected,
        "closed": BodyClosedError,
        "released": BodyClosedError,
    }
    if happened in errors:
        with pytest.raises(errors[happened]):
            run(body.read())
        return
    body.feed(b"def")
    body.finish()
    assert run(body.read()) == {"fed": b"abcdef", "ended": b""}.get(happened, b"def")


@pytest.mark.parametrize("how", READS)
def test_a_read_cancelled_as_it_is_woken(how: str) -> None:
    """The bytes have come, the task was told, and is cancelled before it runs."""
    pool = BodyPool(BlockPool(8))

    async def main() -> None:
        body = pool.acquire("POST /")
        task = asyncio.ensure_future(READS[how](body))
        await asyncio.sleep(0)
        body.feed(b"abc")
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert (body._slot.waiting, body._slot.leased, body.consumed) == (False, 0, 0)
        reads_on(body, "fed")
        body.release()

    asyncio.run(main())
    pool.assert_balanced()
