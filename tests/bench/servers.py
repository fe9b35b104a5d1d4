"""The servers, and how each is started. All run from one environment, so on one interpreter."""

from dataclasses import dataclass, replace

HERE = "tests.bench.apps"
ALL = ("hello", "big", "read", "count", "echo")
NO_SOCKETS = ("hello", "big", "read", "count")


@dataclass(frozen=True)
class Server:
    """A server with one interface.

    `command` has {port} and {app}; `kind` is what its application speaks, which is also the
    module with its applications; `apps` are those it has.
    """

    name: str
    kind: str
    command: str
    apps: tuple[str, ...] = ALL
    prefix: str = ""
    skip: frozenset[str] = frozenset()
    # Whether it is the compiled nbio of build/compiled.
    compiled: bool = False


NBIO = "python -m nbio --host 127.0.0.1 --port {port} {app}"
GRANIAN = (
    "granian --host 127.0.0.1 --port {port} --workers 1 --loop uvloop --backlog 16384 "
    "--log-level warning"
)
THREADS = 32

PEERS_AND_SOURCE = (
    Server("bare", "control", "python -m tests.bench.apps.bare {port}", ("hello",)),
    Server("bare + task", "control", "python -m tests.bench.apps.bare_task {port}", ("hello",)),
    # Serves one connection at a time, and knows no chunks.
    Server(
        "recv_into",
        "control",
        "python -m tests.bench.apps.recv_loop {port}",
        ("count",),
        skip=frozenset(["chunked-16m"]),
    ),
    Server("nbio native", "native", NBIO, NO_SOCKETS),
    # What blocks cost that aren't used again.
    Server("nbio native, fresh blocks", "native", NBIO + " --max-idle-blocks 0", ("count",)),
    Server("nbio asgi", "asgi", NBIO),
    # What it holds of a body is less than 16 MiB.
    Server(
        "nbio inline",
        "native",
        NBIO,
        ("hello", "read"),
        "inline_",
        skip=frozenset(["post-16m"]),
    ),
    Server("nbio sync", "native", NBIO, ("hello", "read", "count"), "sync_"),
    Server("nbio wsgi", "wsgi", NBIO, NO_SOCKETS),
    Server(
        "uvicorn",
        "asgi",
        "uvicorn --host 127.0.0.1 --port {port} --loop uvloop --http httptools "
        "--no-access-log --timeout-keep-alive 60 --backlog 2048 --log-level warning {app}",
    ),
    Server("granian asgi", "asgi", GRANIAN + " --interface asgi {app}"),
    Server(
        "hypercorn",
        "asgi",
        "hypercorn -k uvloop -b 127.0.0.1:{port} --keep-alive 60 --backlog 2048 "
        "--log-level WARNING {app}",
    ),
    Server("granian rsgi", "rsgi", GRANIAN + " --interface rsgi {app}"),
    Server("socketify", "socketify", "python -m tests.bench.apps.socketify_app {app} {port}"),
    Server("aiohttp", "aio", "python -m tests.bench.apps.aio {app} {port}"),
    Server(
        "granian wsgi",
        "wsgi",
        GRANIAN + f" --interface wsgi --blocking-threads {THREADS} {{app}}",
        NO_SOCKETS,
    ),
    Server(
        "gunicorn",
        "wsgi",
        f"gunicorn -k gthread --threads {THREADS} --keep-alive 60 --worker-connections 20000 "
        "-b 127.0.0.1:{port} --log-level warning {app}",
        NO_SOCKETS,
    ),
)
COMPILED = tuple(
    replace(server, name=f"{server.name} compiled", compiled=True)
    for server in PEERS_AND_SOURCE
    if server.name in ("nbio native", "nbio asgi", "nbio inline", "nbio wsgi")
)
SERVERS = PEERS_AND_SOURCE + COMPILED
BY_NAME = {server.name: server for server in SERVERS}

SCRIPTS = ("socketify", "aio", "control")
"""Kinds that are programs of ours, started with the workload's bare name."""


def command(server: Server, app: str, port: int, binaries: str) -> list[str]:
    """The command line; programs are those of the environment."""
    name = server.prefix + app
    target = name if server.kind in SCRIPTS else f"{HERE}.{server.kind}:{name}"
    if server.kind == "control":
        target = ""
    words = server.command.format(port=port, app=target).split()
    return [f"{binaries}/{words[0]}", *words[1:]]
