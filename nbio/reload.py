"""A process that watches files for `--reload`, with watchfiles; it tells over a pipe."""

import contextlib
import importlib.util
import os
import signal
from typing import Final, NoReturn

from nbio.errors import NbioError

LOOK: Final = 250
"""Milliseconds between looks at whether the supervisor is still there."""


class ReloadError(NbioError):
    """The files can't be watched."""


def watcher(directory: str) -> tuple[int, int]:
    """Start to watch the Python files below a directory: a pipe to read, and a pid.

    Raises ReloadError without watchfiles.
    """
    if importlib.util.find_spec("watchfiles") is None:
        raise ReloadError("--reload needs watchfiles: pip install 'nbio[reload]'")
    if not os.path.isdir(directory):
        raise ReloadError(f"there is no directory {directory!r} to watch")
    read, write = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        _watch(directory, write, parent)
    os.close(write)
    # Not before it watches: a change in between would be seen by nobody.
    if not os.read(read, 1):
        os.close(read)
        os.waitpid(pid, 0)
        raise ReloadError(f"the files in {directory!r} can't be watched")
    return read, pid


def _watch(directory: str, pipe: int, parent: int) -> NoReturn:
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        # Only here: it has threads, and a process that forks must not.
        from watchfiles import PythonFilter, watch

        watching = False
        with contextlib.suppress(OSError):
            for changes in watch(
                directory,
                watch_filter=PythonFilter(),
                rust_timeout=LOOK,
                yield_on_timeout=True,
            ):
                if os.getppid() != parent:
                    break
                if changes or not watching:
                    watching = True
                    os.write(pipe, b"C")
    finally:
        os._exit(0)
