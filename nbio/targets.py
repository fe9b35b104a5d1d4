"""Request targets and Host values: which are HTTP, and which are refused.

RFC 9112 section 3.2, RFC 9110 sections 4.2 and 7.2, RFC 3986 section 3.2.2.
"""

import ipaddress
import re
from typing import Final

# RFC 3986, and the few characters more that browsers send raw (the URL standard's sets of what is
# percent-encoded): `[`, `]`, `|` in a path, also `\`, `^`, `{`, `}` and a backtick in a query. None
# of them can be mistaken for a delimiter of the message. A `%` begins an octet in two hexadecimal
# digits; a fragment is never sent, so `#` means a confused client. The repetitions are possessive:
# there is one way to match a target, so a long bad one is refused in linear time.
PATH: Final = rb"(?:[!$&-;=@-\[\]_a-z|~]++|%[0-9A-Fa-f]{2})*+"
QUERY: Final = rb"(?:[!$&-;=?-~]++|%[0-9A-Fa-f]{2})*+"

_ABSOLUTE: Final = re.compile(rb"(?i:https?)://([^/?]+)(/" + PATH + rb")?(\?" + QUERY + rb")?")
_HOST: Final = re.compile(
    rb"(\[[0-9A-Fa-f:.]+\]"
    rb"|\[[vV][0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+,;=:]+\]"
    rb"|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+)(?::([0-9]*))?"
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
    if port and int(port.lstrip(b"0")[:6] or b"0") > 65535:
        return False
    if host.startswith(b"[") and host[1] not in b"vV":
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

    The origin-form is empty for a URI without path and query. Userinfo is refused with the rest
    of what is no host (RFC 9110, 4.2.4).
    """
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        return None
    authority, path, query = match.groups(b"")
    if not valid_host(authority):
        return None
    return authority, (path or b"/") + query if query else path
