"""A process that serves: its signals, its logs, its exit code, and that it always ends."""

import asyncio
import atexit
import contextlib
import gc
import logging
import os
import signal
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple, NoReturn

from nbio.cli import FAILED, USAGE, complain
from nbio.config import Config
from nbio.errors import NbioError
from nbio.listening import Places
from nbio.loading import AppError
from nbio.memory import keep_freed
from nbio.server import AnyApp, Server, balance, loop_factory

logger = logging.getLogger("nbio")

SERVES: Final = (signal.SIGINT, signal.SIGTERM)
"""The signals that end a process of its own."""


class Signals:
    """Some signals end the server: the first lets requests finish, the second doesn't.

    SIGHUP makes a process of its own read its certificates again.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._seen = 0

    def install(self, loop: asyncio.AbstractEventLoop, ending: Iterable[signal.Signals]) -> None:
        """Take the signals over. On the main thread; elsewhere they aren't ours."""
        with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
            for number in ending:
                loop.add_signal_handler(number, self._caught)
            if signal.SIGINT in ending:
                loop.add_signal_handler(signal.SIGHUP, self._server.reload_certificates)

    def _caught(self) -> None:
        self._seen += 1
        self._server.shutdown(now=self._seen > 1)


class Executor(ThreadPoolExecutor):
    """The loop's default executor, but that its shutdown waits for nobody.

    A thread that hangs would otherwise keep the loop from closing, whatever the timeouts say.
    """

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait=False, cancel_futures=cancel_futures)


def run(
    app: AnyApp | str,
    config: Config | None = None,
    *,
    ssl_context: ssl.SSLContext | None = None,
    **options: Any,
) -> None:
    """Serve `app` in this process until SIGINT or SIGTERM. Arguments and errors as `Server`.

    Raises ValueError for workers and reload: only `nbio module:app` has these.
    """
    if config is not None and options:
        raise TypeError("give either a config or options, not both")
    config = config if config is not None else Config(**options)
    if config.workers > 1 or config.reload:
        raise ValueError("workers and reload are of the command: nbio module:app")
    serve(lambda: Server(app, config, ssl_context=ssl_context))


class Line(NamedTuple):
    """The pipes between a worker and its supervisor."""

    tell: int
    alive: int
    ready: bytes
    leaving: bytes


def serve(make: Callable[[], Server], line: Line | None = None) -> Server:
    """Make a server inside a loop, so that its application is imported there, and run it."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.get_loop().set_default_executor(Executor())
        server = runner.run(_made(make))
        keep_freed(server.config.keep_memory, os.environ)
        runner.run(_main(server, line))
    if server.config.print_balance:
        print(balance(server.pool.stats()), flush=True)
    return server


async def _made(make: Callable[[], Server]) -> Server:
    return make()


async def _main(server: Server, line: Line | None) -> None:
    """Serve until a signal."""
    loop = asyncio.get_running_loop()
    Signals(server).install(loop, SERVES if line is None else [signal.SIGTERM])
    if line is not None:
        _connect(loop, server, line)
    # What was imported stays: the collector needn't look at it again at every full collection.
    gc.collect()
    gc.freeze()
    await server.serve()


def _connect(loop: asyncio.AbstractEventLoop, server: Server, line: Line) -> None:
    """Tell the supervisor how it goes, and end when it is gone."""

    def tell(word: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(line.tell, word)

    def gone() -> None:
        loop.remove_reader(line.alive)
        logger.error("the supervisor is gone")
        server.shutdown()

    server.on_started = lambda: tell(line.ready)
    server.on_leaving = lambda: tell(line.leaving)
    loop.add_reader(line.alive, gone)
    loop.add_signal_handler(signal.SIGQUIT, lambda: server.shutdown(now=True))


def work(reference: str, config: Config, places: Places, line: Line) -> int:
    """Serve as one of several; return the exit code."""
    return outcome(lambda: serve_here(lambda: Server(reference, config, places=places), line))


def serve_here(make: Callable[[], Server], line: Line | None = None) -> None:
    """Serve, then wait for the threads that a process waits for, within the shutdown timeout."""
    server = serve(make, line)
    if not wait_for_threads(0.0 if server.hurried else server.config.shutdown_timeout):
        leave(0)


def outcome(serving: Callable[[], None]) -> int:
    """Serve; the exit code, and one line that says why when it isn't 0."""
    try:
        serving()
    except (AppError, ValueError) as error:
        return complain(error, USAGE)
    except (NbioError, OSError) as error:
        return complain(error, FAILED)
    return 0


def wait_for_threads(patience: float) -> bool:
    """Wait at most so many seconds for threads that a process waits for; whether all have ended."""
    end = time.monotonic() + patience
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(max(0.0, end - time.monotonic()))
            if thread.is_alive():
                logger.error("the thread %s is stuck, and is left behind", thread.name)
                return False
    return True


def leave(code: int) -> NoReturn:
    """End the process at once, whatever its threads do."""
    try:
        with contextlib.suppress(Exception):
            atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
    finally:
        os._exit(code)


def configure_logging(config: Config) -> None:
    """Log to standard error, for a process that has no logging of its own; access to output."""
    logging.basicConfig(
        stream=sys.stderr, level=config.log_level.upper(), format="%(levelname)s %(message)s"
    )
    access = logging.getLogger("nbio.access")
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    access.addHandler(handler)
    access.setLevel(logging.INFO)
    access.propagate = False
