"""Request targets and Host values: which are HTTP, and which are refused.

RFC 9112 section 3.2, RFC 9110 sections 4.2 and 7.2, RFC 3986 section 3.2.2.
"""

import ipaddress
import re
from typing import Final

# VCHAR without `"`, `#`, `<` and `>`. RFC 3986 would refuse more (`[`, `|`, `\`, `^`, `{`), but
# browsers send those raw (the URL standard's query set), and none of them can be mistaken for a
# delimiter of the message. A fragment is never sent, so `#` means a confused client.
TARGET: Final = rb"[!$-;=?-~]"

_ABSOLUTE: Final = re.compile(rb"(?i:https?)://([^/?]+)(/?)(" + TARGET + rb"*)")
_HOST: Final = re.compile(
    rb"(\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+)(?::([0-9]{0,5}))?"
)
_KNOWN_HOSTS = 1024

_valid: set[bytes] = {b""}


def valid_host(value: bytes) -> bool:
    """Whether this is a Host field's value: a host, perhaps with a port, or nothing at all.

    Remembers what was valid: a server sees few hosts, and sees them at every request.
    """
    if value in _valid:
        return True
    match = _HOST.fullmatch(value)
    if match is None:
        return False
    host, port = match.groups()
    if port and int(port) > 65535:
        return False
    if host.startswith(b"["):
        try:
            ipaddress.IPv6Address(host[1:-1].decode())
        except ValueError:
            return False
    if len(_valid) >= _KNOWN_HOSTS:
        _valid.clear()
        _valid.add(b"")
    _valid.add(value)
    return True


def split_absolute(target: bytes) -> tuple[bytes, bytes] | None:
    """Split an absolute-form target into (authority, origin-form); None when it isn't one.

    Userinfo is refused with the rest of what is no host (RFC 9110, 4.2.4).
    """
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        return None
    authority, slash, rest = match.groups()
    if not valid_host(authority):
        return None
    return authority, (slash or b"/") + rest
