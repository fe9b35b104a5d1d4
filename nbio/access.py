"""The access log: a line for each request, by a format string of the usual atoms, or JSON."""

import base64
import binascii
import json
import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from nbio.observing import Outcome

logger = logging.getLogger("nbio.access")

NAMED: Final = {
    "combined": '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"',
}
"""Formats with a name."""

Atom: TypeAlias = Callable[[Outcome], str]

_ATOM: Final = re.compile(r"%\((?:\{([^}]+)\}([io])|(\w+))\)s|%%")
_ODD: Final = re.compile(r"[^ !#-\[\]-~]")


def clean(text: str) -> str:
    """Escape what could break a line, or pretend to be another one: controls, quotes, backslash."""
    return _ODD.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def _target(outcome: Outcome) -> str:
    head = outcome.head
    if head is None:
        return "-"
    target = head.path + (b"?" + head.query if head.query else b"")
    return clean(target.decode("latin-1"))


def _field(name: str) -> Atom:
    wanted = name.lower().encode("latin-1", "replace")

    def find(outcome: Outcome) -> str:
        head = outcome.head
        if head is not None:
            for key, value in head.headers:
                if key == wanted:
                    return clean(value.decode("latin-1"))
        return "-"

    return find


def _response_field(name: str) -> Atom:
    wanted = name.lower().encode("latin-1", "replace")

    def find(outcome: Outcome) -> str:
        for line in outcome.response_head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.lower() == wanted:
                return clean(value.strip().decode("latin-1"))
        return "-"

    return find


def _user(outcome: Outcome) -> str:
    kind, _, value = _field("authorization")(outcome).partition(" ")
    if kind.lower() != "basic":
        return "-"
    try:
        user = base64.b64decode(value, validate=True).split(b":", 1)[0]
    except binascii.Error:
        return "-"
    return clean(user.decode("utf-8", "replace")) or "-"


def _client(outcome: Outcome) -> str:
    client = outcome.peer.client
    return clean(str(client[0])) if client is not None else "-"


def _request_line(outcome: Outcome) -> str:
    head = outcome.head
    if head is None:
        return "-"
    return f"{head.method} {_target(outcome)} HTTP/{head.version}"


ATOMS: Final[Mapping[str, tuple[Atom, str]]] = {
    "h": (_client, "the client's address"),
    "l": (lambda _: "-", "always -"),
    "u": (_user, "the user name of Basic authentication"),
    "t": (
        lambda o: time.strftime("[%d/%b/%Y:%H:%M:%S %z]", time.localtime(o.began)),
        "when the request's head had arrived",
    ),
    "r": (_request_line, "the request line"),
    "m": (lambda o: o.head.method if o.head else "-", "the method"),
    "U": (lambda o: _target(o).partition("?")[0], "the target without its query"),
    "q": (lambda o: _target(o).partition("?")[2], "the query"),
    "H": (lambda o: f"HTTP/{o.head.version}" if o.head else "-", "the protocol"),
    "s": (lambda o: str(o.status) if o.status else "-", "the status, - when nothing was sent"),
    "b": (lambda o: str(o.sent - o.head_size or "-"), "bytes sent after the head, - for none"),
    "B": (lambda o: str(o.sent - o.head_size), "bytes sent after the head"),
    "O": (lambda o: str(o.sent), "bytes sent, head and all"),
    "I": (lambda o: str(o.received), "bytes of the request's body that arrived"),
    "f": (_field("referer"), "the Referer"),
    "a": (_field("user-agent"), "the User-Agent"),
    "T": (lambda o: str(int(o.seconds)), "whole seconds it took"),
    "M": (lambda o: str(int(o.seconds * 1e3)), "milliseconds it took"),
    "D": (lambda o: str(int(o.seconds * 1e6)), "microseconds it took"),
    "L": (lambda o: f"{o.seconds:.6f}", "seconds it took"),
    "p": (lambda _: str(os.getpid()), "the process"),
    "S": (lambda o: o.peer.scheme, "http or https"),
    "c": (lambda o: "+" if o.complete else "X", "+ for a complete response, X for a cut-off one"),
    "id": (lambda o: o.request_id.decode("latin-1") or "-", "the request id"),
}
"""Each atom %(name)s, and what it says; %({name}i)s and %({name}o)s are a request's and a
response's field."""


def compiled(form: str) -> Callable[[Outcome], str]:
    """Make a function of a format. Raises ValueError that names an atom there is not."""
    parts: list[str | Atom] = []
    at = 0
    for match in _ATOM.finditer(form):
        parts.append(form[at : match.start()])
        at = match.end()
        if match[1] is not None:
            parts.append(_field(match[1]) if match[2] == "i" else _response_field(match[1]))
        elif match[3] is None:
            parts.append("%")
        elif match[3] in ATOMS:
            parts.append(ATOMS[match[3]][0])
        else:
            raise ValueError(
                f"access_format has no atom %({match[3]})s; there are {', '.join(ATOMS)}"
            )
    parts.append(form[at:])
    if any(isinstance(part, str) and "%(" in part for part in parts):
        raise ValueError(f"access_format has an unfinished atom, which is %(name)s: {form!r}")
    return lambda outcome: "".join(p if isinstance(p, str) else p(outcome) for p in parts)


def as_json(outcome: Outcome) -> str:
    """A line of JSON: the same facts by their names."""
    head = outcome.head
    entry: dict[str, object] = {
        "time": outcome.began,
        "client": _client(outcome),
        "method": head.method if head else None,
        "target": _target(outcome) if head else None,
        "version": head.version if head else None,
        "scheme": outcome.peer.scheme,
        "status": outcome.status or None,
        "sent": outcome.sent,
        "received": outcome.received,
        "seconds": round(outcome.seconds, 6),
        "complete": outcome.complete,
        "referer": _field("referer")(outcome),
        "user_agent": _field("user-agent")(outcome),
        "pid": os.getpid(),
    }
    if outcome.request_id:
        entry["id"] = outcome.request_id.decode("latin-1")
    return json.dumps(entry)


class AccessLog:
    """Logs each request to the logger `nbio.access` at INFO.

    `form` is a format of ATOMS, "combined" or "json". Raises ValueError for anything else.
    """

    def __init__(self, form: str) -> None:
        if form not in ("json", *NAMED) and "%" not in form:
            raise ValueError(f'access_format is "combined", "json" or has atoms, unlike {form!r}')
        self._line = as_json if form == "json" else compiled(NAMED.get(form, form))

    def over(self, outcome: Outcome) -> None:
        """Log a request."""
        logger.info("%s", self._line(outcome))
