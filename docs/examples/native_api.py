"""The native interface, all of it. Run it with `nbio docs.examples.native_api:handler`."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import nbio


async def numbers() -> AsyncIterator[bytes]:
    """A stream; it runs in the handler's task."""
    for number in range(3):
        yield b"%d\n" % number
        await asyncio.sleep(0)


def lines() -> Iterator[bytes]:
    """A synchronous stream; it runs in a worker thread."""
    for number in range(3):
        yield b"line %d\n" % number


async def upload(request: nbio.Request) -> nbio.Response:
    """Read without copying, and answer with a trailer."""
    size = 0
    async for view in request.body.views():
        size += len(view)
    told = request.trailers.get("x-count", "nothing")

    async def report() -> AsyncIterator[bytes]:
        yield f"{size} bytes, {told} announced\n".encode()

    return nbio.Response(report(), trailers=lambda: {"X-Size": str(size)})


async def page(request: nbio.Request) -> nbio.Response:
    """Early hints, then a file by sendfile."""
    request.send_early_hints(["</style.css>; rel=preload; as=style"])
    try:
        return nbio.Response(nbio.File(__file__), media_type="text/plain")
    except FileNotFoundError:
        return nbio.Response("no such page\n", status=404)


async def headers(request: nbio.Request) -> nbio.Response:
    """Fields with types."""
    length: int | None = request.headers.content_length
    since = request.headers.get_date("if-modified-since")
    accepted: list[str] = request.headers.get_list("accept-encoding")
    theme: str | None = request.headers.cookies.get("theme")
    host = request.client[0] if request.client is not None else "nobody"
    return nbio.Response(f"{length} {since} {accepted} {theme} {host} {request.scheme}\n")


async def patient(request: nbio.Request) -> nbio.Response:
    """Give up when the client does."""
    work = asyncio.ensure_future(asyncio.sleep(0.01, "done\n"))
    gone = asyncio.ensure_future(request.wait_disconnected())
    await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
    gone.cancel()
    return nbio.Response(await work if work.done() else None)


async def handler(request: nbio.Request) -> nbio.Response:
    """Choose by path."""
    match request.method, request.path:
        case "POST", "/upload":
            return await upload(request)
        case "GET", "/page":
            return await page(request)
        case "GET", "/headers":
            return await headers(request)
        case "GET", "/patient":
            return await patient(request)
        case "GET", "/numbers":
            return nbio.Response(numbers())
        case "GET", "/lines":
            return nbio.Response(lines())
    return nbio.Response("not found\n", status=404)


def synchronous(request: nbio.Request) -> nbio.Response:
    """A handler for worker threads: `nbio docs.examples.native_api:synchronous`."""
    return nbio.Response(f"{sum(map(len, request.iter_body()))} bytes\n")
