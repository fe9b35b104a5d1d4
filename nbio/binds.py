"""Where a server listens: texts to sockets that listen already.

`HOST:PORT`, `HOST` (with the default port), `[V6]:PORT`, `unix:PATH`, `fd:N` for an inherited
socket. Sockets handed over by systemd (`LISTEN_FDS`, sd_listen_fds(3)) are taken when nothing else
is said.
"""

import contextlib
import errno
import os
import re
import socket
import stat
from collections.abc import Iterable, MutableMapping
from typing import Final, NamedTuple

from nbio.config import Config

FIRST_FD: Final = 3
"""Where sd_listen_fds(3) begins."""

_TCP: Final = re.compile(r"(?:\[([^\]]*)\]|([^:\[\]]*))(?::([0-9]{1,5}))?")


class Bind(NamedTuple):
    """One place: a host and port, a path, or a descriptor."""

    host: str = ""
    port: int = 0
    path: str = ""
    fd: int = -1


class OwnPath(socket.socket):
    """A Unix socket whose path we made; one that was handed to us has its path from others."""

    path = ""
    inode = 0

    def remove(self) -> None:
        """Remove the path, unless it is another's by now."""
        with contextlib.suppress(OSError):
            if os.stat(self.path).st_ino == self.inode:
                os.unlink(self.path)


def parse(text: str, port: int) -> Bind:
    """Read a place; `port` is for one without. Raises ValueError."""
    kind, _, rest = text.partition(":")
    if kind == "unix":
        if not rest:
            raise ValueError("unix: needs a path, as in unix:/run/app.sock")
        return Bind(path=rest)
    if kind == "fd":
        if not rest.isascii() or not rest.isdigit():
            raise ValueError(f"fd: needs a number, not {rest!r}")
        return Bind(fd=int(rest))
    match = _TCP.fullmatch(text)
    if match is None or int(match[3] or 0) > 65535:
        raise ValueError(
            f"a place to listen is HOST:PORT, [V6]:PORT, unix:PATH or fd:N, not {text!r}"
        )
    host = match[1] if match[1] is not None else match[2]
    return Bind(host=host, port=port if match[3] is None else int(match[3]))


def open_sockets(
    config: Config, environment: MutableMapping[str, str] | None = None
) -> list[socket.socket]:
    """Open every place that the configuration names.

    Raises ValueError for a place that is none, OSError, with the place in its text, for one that
    can't be had; nothing stays open then.
    """
    texts = (*config.bind, *(f"fd:{number}" for number in config.fd))
    if not texts:
        handed = systemd_fds(os.environ if environment is None else environment)
        texts = tuple(f"fd:{number}" for number in handed) or (_default(config),)
    opened: list[socket.socket] = []
    try:
        for text in texts:
            place = parse(text, config.port)
            try:
                opened += _open(place, config)
            except OSError as error:
                reason = error.strerror or str(error)
                raise OSError(error.errno, f"can't listen on {text}: {reason}") from None
    except BaseException:
        close_sockets(opened)
        raise
    return opened


def _default(config: Config) -> str:
    host = f"[{config.host}]" if ":" in config.host else config.host
    return f"{host}:{config.port}"


def systemd_fds(environment: MutableMapping[str, str]) -> list[int]:
    """The descriptors that systemd passed to this very process. Told once: they are taken then."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return []
    del environment["LISTEN_PID"]
    environment.pop("LISTEN_FDNAMES", None)
    count = environment.pop("LISTEN_FDS", "")
    if not count.isdigit():
        return []
    return list(range(FIRST_FD, FIRST_FD + int(count)))


def _adopt(fd: int) -> socket.socket:
    try:
        sock = socket.socket(fileno=fd)
    except OSError as error:
        raise OSError(error.errno, f"descriptor {fd} is no socket: {error.strerror}") from None
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.detach()
        raise OSError(errno.EINVAL, f"descriptor {fd} is a socket that doesn't listen")
    sock.setblocking(False)
    return sock


def _open(place: Bind, config: Config) -> list[socket.socket]:
    if place.fd >= 0:
        return [_adopt(place.fd)]
    if place.path:
        return [_open_unix(place.path, config)]
    opened: list[socket.socket] = []
    flags = socket.AI_PASSIVE
    found = socket.getaddrinfo(place.host or None, place.port, type=socket.SOCK_STREAM, flags=flags)
    port = place.port
    try:
        for family, kind, protocol, _, where in dict.fromkeys(found):
            sock = socket.socket(family, kind, protocol)
            opened.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # A host with several addresses is to have one port, also when any will do.
            sock.bind((where[0], port, *where[2:]))
            port = sock.getsockname()[1]
            _listen(sock, config)
    except BaseException:
        for sock in opened:
            sock.close()
        raise
    return opened


def _listen(sock: socket.socket, config: Config) -> None:
    sock.listen(config.backlog)
    sock.setblocking(False)


def _open_unix(path: str, config: Config) -> socket.socket:
    """Listen on a path; one that a dead server left behind is taken over."""
    if not path.startswith("\0"):
        remove_stale(path)
    sock = OwnPath(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The umask is the process's own; between bind and chmod nobody else may connect.
        before = os.umask(0o177) if config.unix_mode else None
        try:
            sock.bind(path)
        finally:
            if before is not None:
                os.umask(before)
        if not path.startswith("\0"):
            sock.path = os.path.abspath(path)
            sock.inode = os.stat(path).st_ino
        if config.unix_mode:
            os.chmod(path, int(config.unix_mode, 8))
        _listen(sock, config)
    except BaseException:
        close_sockets([sock])
        raise
    return sock


def remove_stale(path: str) -> None:
    """Remove a socket that nobody listens on. Raises OSError when somebody does."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise FileExistsError(errno.EEXIST, "there is a file that is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError as error:
            raise OSError(error.errno, f"it can't be asked whether it is in use: {error}") from None
    raise OSError(errno.EADDRINUSE, "another server listens there")


def close_sockets(sockets: Iterable[socket.socket], *, remove: bool = True) -> None:
    """Close them, and remove the paths that were made for them."""
    for sock in sockets:
        sock.close()
        if remove and isinstance(sock, OwnPath):
            sock.remove()


def name_of(sock: socket.socket, scheme: str) -> str:
    """A socket as people write it: a URL, or unix:PATH."""
    where = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{where if isinstance(where, str) else where.decode()}"
    host = f"[{where[0]}]" if ":" in where[0] else where[0]
    return f"{scheme}://{host}:{where[1]}"
