"""nbio: a typed, non-blocking HTTP server whose body pool runs checked transitions.

`nbio.run("module:app")` or `nbio.Server(app)` serve an ASGI application or a native handler,
`async def handler(request: Request) -> Response`. Names are imported when they are first used,
so that `import nbio.verify` loads no server. `nbio.compiled` says whether the server's inner part
is compiled; `NBIO_PURE=1` in the environment runs the source all the same.
"""

import importlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbio.blocks import BlockPool, BlockStats
    from nbio.body import BodyReader
    from nbio.config import Config
    from nbio.errors import (
        BlockingCallError,
        BodyClosedError,
        BodyDisconnected,
        BodyError,
        BodyProtocolError,
        BodyTooLarge,
        ClientDisconnected,
        ConcurrentReadError,
        IncompleteBodyError,
        NbioError,
        PoolExhausted,
        PoolImbalance,
        ResponseError,
    )
    from nbio.files import File
    from nbio.headers import Headers
    from nbio.inlining import inline
    from nbio.lifespan import StartupFailed
    from nbio.loading import AppError
    from nbio.native import Request, Response
    from nbio.pool import BodyPool, PoolStats
    from nbio.process import run
    from nbio.server import Server

    compiled: bool

if os.environ.get("NBIO_PURE") == "1":
    from nbio.pure import prefer_sources

    prefer_sources()

_HOMES = {
    "AppError": "loading",
    "BlockPool": "blocks",
    "BlockStats": "blocks",
    "BlockingCallError": "errors",
    "BodyClosedError": "errors",
    "BodyDisconnected": "errors",
    "BodyError": "errors",
    "BodyPool": "pool",
    "BodyProtocolError": "errors",
    "BodyReader": "body",
    "BodyTooLarge": "errors",
    "ClientDisconnected": "errors",
    "ConcurrentReadError": "errors",
    "Config": "config",
    "File": "files",
    "Headers": "headers",
    "IncompleteBodyError": "errors",
    "NbioError": "errors",
    "PoolExhausted": "errors",
    "PoolImbalance": "errors",
    "PoolStats": "pool",
    "Request": "native",
    "Response": "native",
    "ResponseError": "errors",
    "Server": "server",
    "StartupFailed": "lifespan",
    "inline": "inlining",
    "run": "process",
}

__all__ = [
    "AppError",
    "BlockPool",
    "BlockStats",
    "BlockingCallError",
    "BodyClosedError",
    "BodyDisconnected",
    "BodyError",
    "BodyPool",
    "BodyProtocolError",
    "BodyReader",
    "BodyTooLarge",
    "ClientDisconnected",
    "ConcurrentReadError",
    "Config",
    "File",
    "Headers",
    "IncompleteBodyError",
    "NbioError",
    "PoolExhausted",
    "PoolImbalance",
    "PoolStats",
    "Request",
    "Response",
    "ResponseError",
    "Server",
    "StartupFailed",
    "compiled",
    "inline",
    "run",
]


def __getattr__(name: str) -> object:
    if name == "compiled":
        from nbio.variant import COMPILED

        return COMPILED
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'nbio' has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"nbio.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
