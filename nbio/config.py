"""Every option of the server: one typed schema, from which the command line is made too."""

import math
import re
from dataclasses import Field, dataclass, fields
from typing import Annotated, Any, Literal, NamedTuple, get_type_hints

Interface = Literal["auto", "asgi", "wsgi", "native"]
Lifespan = Literal["auto", "on", "off"]
Safety = Literal["off", "simple", "debug"]
ClientAuth = Literal["none", "optional", "required"]
Fields = Literal["x-forwarded", "forwarded"]
LogLevel = Literal["debug", "info", "warning", "error"]

KIB = 1024
MIB = 1024 * KIB


class Doc(NamedTuple):
    """What an option is for: one line of the help, and what the documentation has besides."""

    group: str
    text: str
    more: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The server's options, with their defaults. Sizes are in bytes, times in seconds.

    Raises ValueError for a value that makes no sense, and says which.
    """

    host: Annotated[str, Doc("server", "address to listen on")] = "127.0.0.1"
    port: Annotated[int, Doc("server", "port to listen on; 0 takes a free one")] = 8000
    bind: Annotated[
        tuple[str, ...],
        Doc("server", "instead of host: HOST:PORT, [V6]:PORT, unix:PATH, fd:N"),
    ] = ()
    unix_mode: Annotated[str, Doc("server", "mode of Unix sockets, octal, e.g. 660")] = ""
    fd: Annotated[
        tuple[str, ...], Doc("server", "inherited descriptor to listen on, as bind fd:N")
    ] = ()
    backlog: Annotated[
        int, Doc("server", "connections the kernel may queue before they are accepted")
    ] = 2048
    interface: Annotated[Interface, Doc("server", "what the application speaks")] = "auto"
    lifespan: Annotated[
        Lifespan, Doc("server", "ASGI lifespan; auto: used if the application knows it")
    ] = "auto"
    root_path: Annotated[
        str, Doc("server", "path under which the application is mounted (ASGI root_path)")
    ] = ""
    factory: Annotated[bool, Doc("server", "the application is what module:app() returns")] = False
    server_header: Annotated[str, Doc("server", "value of the Server field; empty sends none")] = (
        "nbio"
    )
    threads: Annotated[
        int, Doc("server", "worker threads for WSGI and for synchronous native handlers")
    ] = 32
    ws_per_message_deflate: Annotated[bool, Doc("server", "compress WebSocket messages")] = True

    workers: Annotated[int, Doc("processes", "processes to serve in, supervised by one more")] = 1
    max_requests: Annotated[
        int, Doc("processes", "requests after which a process is replaced; 0: any")
    ] = 0
    max_requests_jitter: Annotated[
        int, Doc("processes", "at most so many requests more, at random")
    ] = 0
    reload: Annotated[
        bool, Doc("processes", "start anew when Python files change (watchfiles)")
    ] = False
    keep_memory: Annotated[
        int,
        Doc(
            "processes",
            "freed memory a process keeps for reuse; 0: malloc decides",
            "of glibc's malloc, unless the environment tunes it; see operations.md",
        ),
    ] = 64 * MIB

    ssl_certfile: Annotated[str, Doc("TLS", "certificate chain (PEM); switches TLS on")] = ""
    ssl_keyfile: Annotated[str, Doc("TLS", "its key, if it isn't in the same file")] = ""
    ssl_keyfile_password: Annotated[str, Doc("TLS", "password of the key")] = ""
    ssl_ca_certs: Annotated[str, Doc("TLS", "authorities that sign clients' certificates")] = ""
    ssl_client_auth: Annotated[
        ClientAuth, Doc("TLS", "whether clients must show a certificate")
    ] = "none"
    ssl_handshake_timeout: Annotated[float, Doc("TLS", "time for a handshake")] = 10.0

    trusted_proxies: Annotated[
        tuple[str, ...],
        Doc("proxies", "addresses, networks whose fields and prefaces count; unix; *"),
    ] = ()
    forwarded: Annotated[
        Fields,
        Doc(
            "proxies",
            "fields that trusted proxies write",
            "the others are left as they are, since then it's clients who write them",
        ),
    ] = "x-forwarded"
    proxy_protocol: Annotated[
        bool, Doc("proxies", "connections begin with a trusted proxy's PROXY preface")
    ] = False

    log_level: Annotated[LogLevel, Doc("logs", "least severity that is logged")] = "info"
    access_log: Annotated[bool, Doc("logs", "log each request")] = False
    access_format: Annotated[
        str, Doc("logs", "format of the access log's lines: of atoms, combined or json")
    ] = "combined"
    request_ids: Annotated[
        bool, Doc("logs", "give each request an X-Request-ID, or keep a proxy's")
    ] = False
    opentelemetry: Annotated[bool, Doc("logs", "a span for each request, by its API")] = False
    metrics_bind: Annotated[str, Doc("logs", "serve Prometheus' /metrics here; empty: nowhere")] = (
        ""
    )

    max_connections: Annotated[int, Doc("limits", "connections at once; more are answered 503")] = (
        16384
    )
    max_request_line: Annotated[int, Doc("limits", "length of a request line (414)")] = 8 * KIB
    max_head: Annotated[int, Doc("limits", "length of a request head (431)")] = 64 * KIB
    max_headers: Annotated[int, Doc("limits", "number of a request's header fields (431)")] = 100
    max_body: Annotated[int, Doc("limits", "length of a request body (413); 0: any")] = 1024 * MIB
    max_chunk_line: Annotated[int, Doc("limits", "length of a chunk's size line (400)")] = 4 * KIB
    max_chunk_extensions: Annotated[
        int, Doc("limits", "length of all chunk extensions of a body together (400)")
    ] = 16 * KIB
    max_trailers: Annotated[int, Doc("limits", "length of a body's trailers (431)")] = 16 * KIB
    max_pipelined: Annotated[
        int, Doc("limits", "bytes of later requests to receive while one is served")
    ] = 64 * KIB
    max_drain: Annotated[
        int,
        Doc(
            "limits",
            "bytes of an unread body to receive to keep the connection",
        ),
    ] = 256 * KIB
    ws_max_size: Annotated[int, Doc("limits", "length of a WebSocket message (code 1009)")] = (
        16 * MIB
    )
    ws_max_queue: Annotated[
        int, Doc("limits", "WebSocket messages to take in before they are asked for")
    ] = 32

    head_timeout: Annotated[float, Doc("timeouts", "time for a request head to arrive (408)")] = (
        10.0
    )
    idle_timeout: Annotated[
        float, Doc("timeouts", "time a connection may be idle between requests")
    ] = 30.0
    body_timeout: Annotated[
        float, Doc("timeouts", "time in which body_min_bytes of a body must arrive (408)")
    ] = 20.0
    body_min_bytes: Annotated[
        int, Doc("timeouts", "bytes of a body that must arrive in body_timeout")
    ] = 4 * KIB
    write_timeout: Annotated[
        float, Doc("timeouts", "time in which a client must take write_min_bytes of a response")
    ] = 60.0
    write_min_bytes: Annotated[
        int,
        Doc(
            "timeouts",
            "bytes of a response that must be taken in write_timeout; 0: one",
            "while there are some that wait to be sent: an application may be slow",
        ),
    ] = 4 * KIB
    linger_timeout: Annotated[
        float, Doc("timeouts", "time to let a client read a last response before closing")
    ] = 2.0
    app_timeout: Annotated[
        float, Doc("timeouts", "time an application may take to begin its response (503); 0: any")
    ] = 0.0
    shutdown_timeout: Annotated[
        float, Doc("timeouts", "time for requests to finish at shutdown, before they are cut off")
    ] = 10.0
    ws_ping_interval: Annotated[
        float, Doc("timeouts", "time between pings of a WebSocket; 0: none")
    ] = 20.0
    ws_ping_timeout: Annotated[
        float, Doc("timeouts", "time after it for anything to come back (code 1011)")
    ] = 20.0

    block_size: Annotated[int, Doc("pool", "size of a pooled body block")] = 64 * KIB
    max_blocks: Annotated[int, Doc("pool", "body blocks in use at once")] = 16384
    max_large_blocks: Annotated[
        int,
        Doc(
            "pool",
            "blocks four times as large in use at once; 0: none",
            "for what is still to come of a long body whose reader keeps up",
        ),
    ] = 1024
    max_idle_blocks: Annotated[int, Doc("pool", "body blocks kept for reuse")] = 256
    max_bodies: Annotated[int, Doc("pool", "request bodies at once")] = 65536
    high_water: Annotated[int, Doc("pool", "blocks a body may hold before reading pauses")] = 4
    low_water: Annotated[int, Doc("pool", "blocks a body may hold when reading resumes")] = 2
    safety: Annotated[Safety, Doc("pool", "how much the pool notes about its users")] = "simple"
    print_balance: Annotated[bool, Doc("pool", "print the pool's books at exit")] = False
    record_trace: Annotated[
        str, Doc("pool", "file for the pool's lifecycle events, to be replayed; empty: none")
    ] = ""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(item.default, tuple) and isinstance(value, list):
                # As a TOML file has it.
                value = tuple(value)
                object.__setattr__(self, item.name, value)
            check(item, value)
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must be between 0 and 65535, not {self.port}")
        if self.low_water >= self.high_water:
            raise ValueError(
                f"low_water must be below high_water, not {self.low_water} and {self.high_water}"
            )
        if self.proxy_protocol and not self.trusted_proxies:
            raise ValueError("proxy_protocol needs trusted_proxies: who may send the preface?")
        if not self.ssl_certfile:
            # Else it would be served in clear to anybody, which nobody asked for.
            for name in ("ssl_keyfile", "ssl_ca_certs"):
                if getattr(self, name):
                    raise ValueError(f"{name} needs ssl_certfile, which switches TLS on")
        if self.ssl_client_auth != "none" and not self.ssl_ca_certs:
            raise ValueError("ssl_client_auth needs ssl_ca_certs: who signs the certificates?")
        if not (self.server_header.isascii() and self.server_header.isprintable()):
            raise ValueError(f"server_header is a field's value, unlike {self.server_header!r}")
        if self.unix_mode and not _MODE.fullmatch(self.unix_mode):
            raise ValueError(f"unix_mode is octal, such as 660, not {self.unix_mode!r}")


# Counts of which none at all makes sense. Of everything else there must be some.
_MAY_BE_ZERO = frozenset(["port", "max_body", "max_idle_blocks", "low_water", "body_min_bytes"]) | {
    "write_min_bytes",
    "app_timeout",
    "keep_memory",
    "max_large_blocks",
    "max_requests",
    "max_requests_jitter",
    "max_chunk_extensions",
    "max_trailers",
    "max_drain",
    "linger_timeout",
    "shutdown_timeout",
    "ws_ping_interval",
}
CHOICES: dict[str, tuple[str, ...]] = {
    "interface": ("auto", "asgi", "wsgi", "native"),
    "lifespan": ("auto", "on", "off"),
    "safety": ("off", "simple", "debug"),
    "ssl_client_auth": ("none", "optional", "required"),
    "forwarded": ("x-forwarded", "forwarded"),
    "log_level": ("debug", "info", "warning", "error"),
}
_MODE = re.compile("0?[0-7]{3}")


class Option(NamedTuple):
    """A field of `Config`, as the command line, the environment and the documentation see it."""

    name: str
    default: Any
    doc: Doc
    choices: tuple[str, ...]

    @property
    def flag(self) -> str:
        """As on the command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        """As in the environment."""
        return f"NBIO_{self.name.upper()}"

    @property
    def many(self) -> bool:
        """Whether it has any number of values."""
        return isinstance(self.default, tuple)


def options() -> tuple[Option, ...]:
    """The schema, in its order."""
    hints = get_type_hints(Config, include_extras=True)
    return tuple(
        Option(
            item.name,
            item.default,
            next(note for note in hints[item.name].__metadata__ if isinstance(note, Doc)),
            CHOICES.get(item.name, ()),
        )
        for item in fields(Config)
    )


def check(item: "Field[Any]", value: object) -> None:
    """Raise ValueError unless `value` is one the option can have."""
    choices = CHOICES.get(item.name)
    if choices is not None and value not in choices:
        raise ValueError(f"{item.name} must be one of {', '.join(choices)}, not {value!r}")
    if isinstance(item.default, tuple):
        if not isinstance(value, tuple) or not all(isinstance(one, str) for one in value):
            raise ValueError(f"{item.name} must be a tuple of str, not {value!r}")
        return
    if isinstance(item.default, bool | str):
        if not isinstance(value, type(item.default)):
            raise ValueError(f"{item.name} must be {type(item.default).__name__}, not {value!r}")
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{item.name} must be a number, not {value!r}")
    if isinstance(value, float) and isinstance(item.default, int):
        raise ValueError(f"{item.name} must be a whole number, not {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{item.name} must be a finite number, not {value!r}")
    if value < 0 or (value == 0 and item.name not in _MAY_BE_ZERO):
        least = "0 or more" if item.name in _MAY_BE_ZERO else "more than 0"
        raise ValueError(f"{item.name} must be {least}, not {value!r}")
