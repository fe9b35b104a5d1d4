"""The workloads for nbio's own interface; `sync_` ones run in threads, `inline_` ones don't."""

from nbio import Request, Response, inline
from tests.bench.apps.payload import BIG, HELLO, TEXT


async def hello(request: Request) -> Response:
    """A GET of 13 bytes."""
    return Response(HELLO, media_type=TEXT)


async def big(request: Request) -> Response:
    """A GET of 16 MiB."""
    return Response(BIG, media_type=TEXT)


async def read(request: Request) -> Response:
    """Read the body in full, as one bytes object."""
    return Response(str(len(await request.body.read())))


async def count(request: Request) -> Response:
    """Count the body's bytes, without a copy."""
    size = 0
    async for view in request.body.views():
        size += len(view)
    return Response(str(size))


def sync_hello(request: Request) -> Response:
    """A GET of 13 bytes, in a thread."""
    return Response(HELLO, media_type=TEXT)


def sync_read(request: Request) -> Response:
    """Read the body in full, in a thread."""
    return Response(str(len(request.body.read_blocking())))


def sync_count(request: Request) -> Response:
    """Count the body's bytes, in a thread."""
    size = 0
    while data := request.body.read_blocking(65536):
        size += len(data)
    return Response(str(size))


@inline
def inline_hello(request: Request) -> Response:
    """A GET of 13 bytes, where it is read."""
    return Response(HELLO, media_type=TEXT)


@inline
def inline_read(request: Request) -> Response:
    """Read the body in full, where it has arrived."""
    return Response(str(len(request.body.read_blocking())))
