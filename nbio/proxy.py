"""Who the client really is, behind proxies that are trusted: their header fields, their preface.

`Forwarded` (RFC 7239), or `X-Forwarded-For` with `X-Forwarded-Proto`, whichever it is that the
proxies write (never both: the other ones are their clients' word), count only on a connection
from a trusted address, and only as far back as trusted proxies wrote them: the client is the
last address, from the right, that isn't a trusted proxy's. What is malformed ends that walk, since
whatever stands left of it may have been written by anybody.

The PROXY protocol (versions 1 and 2, by its published specification) is a preface that a proxy
sends before the first byte of the connection; with it switched on every connection must have one.
"""

import ipaddress
import re
import socket
import struct
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from nbio.body import BodyReader
from nbio.config import Config, Fields
from nbio.errors import NbioError
from nbio.exchange import Address, Exchange, Peer, Wire
from nbio.heads import RequestHead
from nbio.hub import Site
from nbio.pool import BodyPool

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Headers: TypeAlias = Sequence[tuple[bytes, bytes]]


class ProxyError(NbioError):
    """A PROXY preface that isn't one; the connection is cut."""


class Trust:
    """Which peers are proxies that may say who their client is.

    `items` are addresses, networks ("10.0.0.0/8"), "unix" for peers on a Unix socket, or "*" for
    everybody. Raises ValueError for anything else.
    """

    def __init__(self, items: Iterable[str]) -> None:
        self._networks: list[Network] = []
        self._all = self._unix = False
        for item in items:
            if item == "*":
                self._all = self._unix = True
            elif item == "unix":
                self._unix = True
            else:
                try:
                    self._networks.append(ipaddress.ip_network(item))
                except ValueError:
                    raise ValueError(
                        f"a trusted proxy is an address, a network, unix or *, not {item!r}"
                    ) from None

    def __bool__(self) -> bool:
        return self._all or self._unix or bool(self._networks)

    def trusts(self, address: Address | None) -> bool:
        """Whether a peer at this address is a trusted proxy; None is an unnamed Unix socket."""
        if address is None or address[1] is None:
            return self._unix
        return self._all or self._holds(address[0])

    def _holds(self, host: str) -> bool:
        try:
            found = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return False
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in network for network in self._networks)


def secure(peer: Peer, config: Config) -> bool:
    """Whether an https URI may be asked for here: over TLS, or by a trusted proxy."""
    # With the PROXY protocol there are no connections but trusted proxies'.
    trusted = config.proxy_protocol or Trust(config.trusted_proxies).trusts(peer.client)
    return trusted or peer.scheme == "https"


# --------------------------------------------------------------------- header fields


def forwarded_peer(peer: Peer, headers: Headers, trust: Trust, kind: Fields) -> Peer:
    """The peer as a trusted proxy's fields tell it; `peer` itself where they don't count."""
    if not trust.trusts(peer.client):
        return peer
    hops: list[tuple[Address | None, str]] = []
    if kind == "forwarded":
        whole = _values(headers, b"forwarded")
        hops = forwarded(whole) if whole is not None else []
    else:
        chain = _values(headers, b"x-forwarded-for")
        schemes = _values(headers, b"x-forwarded-proto")
        if chain is not None or schemes is not None:
            hops = x_forwarded(chain or "", schemes or "")
    if not hops:
        return peer
    client, scheme = peer.client, peer.scheme
    for address, proto in reversed(hops):
        if proto:
            scheme = proto
        if address is None:
            break
        client = address
        if not trust.trusts(address):
            break
    return Peer(client, peer.server, scheme, peer.tls)


class Forwarding:
    """A site whose requests are told of the client behind trusted proxies."""

    __slots__ = ("_kind", "_site", "_trust", "interface")

    def __init__(self, site: Site, trust: Trust, kind: Fields) -> None:
        self._site = site
        self._kind: Fields = kind
        self._trust = trust
        self.interface = site.interface

    def begin(self, pool: BodyPool) -> None:
        self._site.begin(pool)

    def end(self) -> None:
        self._site.end()

    def exchange(
        self, wire: Wire, head: RequestHead, body: BodyReader | None, peer: Peer
    ) -> Exchange:
        """Make the exchange for a request, its peer the one that its fields tell of."""
        return self._site.exchange(
            wire, head, body, forwarded_peer(peer, head.headers, self._trust, self._kind)
        )


def _values(headers: Headers, name: bytes) -> str | None:
    found = [value.decode("latin-1") for key, value in headers if key == name]
    return ", ".join(found) if found else None


_PAIR: Final = re.compile(
    r"\s*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=(?:([!#$%&'*+\-.^_`|~0-9A-Za-z]+)"
    r'|"((?:[^"\\\x00-\x1f]|\\[\t -~])*)")\s*'
)


def forwarded(value: str) -> list[tuple[Address | None, str]]:
    """Parse `Forwarded` (RFC 7239, section 4) into (address, scheme) a hop, oldest first.

    What stands before something malformed is left out; the address of an `unknown` or
    obfuscated hop is None.
    """
    hops: list[tuple[Address | None, str]] = []
    at, node, scheme = 0, "", ""
    while True:
        pair = _PAIR.match(value, at)
        if pair is not None:
            at = pair.end()
            text = pair[2] if pair[2] is not None else re.sub(r"\\(.)", r"\1", pair[3])
            if pair[1].lower() == "for":
                node = text
            elif pair[1].lower() == "proto":
                scheme = text.lower()
        end = value[at : at + 1]
        if end not in (",", ";", "") or (pair is None and end != ";"):
            # Malformed here; perhaps the rest is a trusted proxy's again.
            hops, node, scheme = [(None, "")], "", ""
            at = value.find(",", at)
            if at < 0:
                return hops
            at += 1
            continue
        if end != ";":
            hops.append((node_address(node), scheme if scheme in ("http", "https") else ""))
            node, scheme = "", ""
        if not end:
            return hops
        at += 1


def x_forwarded(chain: str, schemes: str) -> list[tuple[Address | None, str]]:
    """The same of X-Forwarded-For and X-Forwarded-Proto, which nobody has specified.

    A list of schemes as long as that of addresses is matched to it; otherwise the last counts.
    """
    nodes = [item.strip() for item in chain.split(",")] if chain else []
    protos = [item.strip().lower() for item in schemes.split(",")] if schemes else []
    protos = [item if item in ("http", "https") else "" for item in protos]
    if len(protos) != len(nodes):
        protos = [""] * (len(nodes) - 1) + protos[-1:] if protos else [""] * len(nodes)
    if not nodes:
        return [(None, protos[-1])] if protos else []
    return [(node_address(node), proto) for node, proto in zip(nodes, protos, strict=False)]


_NODE: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::([0-9]{1,5}))?|([0-9A-Fa-f:.]+)")


def node_address(node: str) -> Address | None:
    """The address of a node, port 0 where it has none; None unless it is an IP address."""
    match = _NODE.fullmatch(node)
    if match is None:
        return None
    host = match[1] or match[2] or match[4]
    port = int(match[3] or 0)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return None
    return (host, port) if port <= 65535 else None


# ------------------------------------------------------------------- PROXY protocol

V2_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
V1_LIMIT: Final = 107
"""The longest preface of version 1, with its CR LF."""
V2_LIMIT: Final = 16 + 4096
"""The longest preface of version 2 that is taken: addresses, and a few kilobytes of TLVs."""

_V1: Final = re.compile(
    rb"PROXY (?:(TCP4|TCP6) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) (0|[1-9][0-9]{0,4}) "
    rb"(0|[1-9][0-9]{0,4})|UNKNOWN[ -~]*)\r\n"
)

Ends: TypeAlias = tuple[Address | None, Address | None] | None
"""The client's and the server's address; None for the proxy's own connections (health checks)."""


def preface(data: bytes) -> tuple[int, Ends] | None:
    """Parse a PROXY preface: (its length in bytes, the ends), or None when more is to come.

    Raises ProxyError as soon as it can't become one.
    """
    if data[:12] == V2_SIGNATURE[: len(data)] and data[:1] == b"\r":
        return _version_2(data) if len(data) >= 16 else None
    if data[:6] != b"PROXY "[: len(data)]:
        raise ProxyError("the connection doesn't begin with a PROXY preface")
    end = data.find(b"\r\n", 0, V1_LIMIT)
    if end < 0:
        if len(data) >= V1_LIMIT:
            raise ProxyError(f"a PROXY preface of version 1 ends within {V1_LIMIT} bytes")
        return None
    match = _V1.fullmatch(data[: end + 2])
    if match is None:
        raise ProxyError("the PROXY preface of version 1 is malformed")
    if match[1] is None:
        return end + 2, None
    family = 4 if match[1] == b"TCP4" else 6
    client = _checked(family, match[2], match[4])
    return end + 2, (client, _checked(family, match[3], match[5]))


def missing(data: bytes) -> int:
    """How many bytes are still to come, at the least, of a preface that isn't complete."""
    if data[:1] == b"\r":
        if len(data) < 16:
            return 16 - len(data)
        size: int = struct.unpack("!H", data[14:16])[0]
        return 16 + size - len(data)
    least = _SHORTEST_TCP if data[6:7] == b"T" else _SHORTEST
    return max(least - len(data), 1 if data.endswith(b"\r") else 2)


_SHORTEST: Final = len(b"PROXY UNKNOWN\r\n")
_SHORTEST_TCP: Final = len(b"PROXY TCP6 :: :: 0 0\r\n")


def _checked(version: int, host: bytes, port: bytes) -> Address:
    try:
        found = ipaddress.ip_address(host.decode("ascii"))
    except ValueError:
        raise ProxyError("the PROXY preface has an address that is none") from None
    if found.version != version or int(port) > 65535:
        raise ProxyError("the PROXY preface has an address of another family, or no port")
    return str(found), int(port)


_SIZES: Final = {1: 12, 2: 36, 3: 216}


def _version_2(data: bytes) -> tuple[int, Ends] | None:
    version_command, family, size = struct.unpack("!BBH", data[12:16])
    if version_command >> 4 != 2 or version_command & 15 > 1:
        raise ProxyError("the PROXY preface is of another version, or has an unknown command")
    end = 16 + size
    if end > V2_LIMIT:
        raise ProxyError(f"a PROXY preface of {end} bytes is longer than is taken")
    if len(data) < end:
        return None
    kind = family >> 4
    if version_command & 15 == 0 or kind == 0:
        return end, None
    if kind not in _SIZES or size < _SIZES[kind]:
        raise ProxyError("the PROXY preface is too short for its addresses")
    return end, _ends(kind, data[16:end])


def _ends(kind: int, data: bytes) -> Ends:
    if kind == 3:
        client, server = (data[at : at + 108].partition(b"\0")[0] for at in (0, 108))
        return (client.decode("utf-8", "replace"), None), (server.decode("utf-8", "replace"), None)
    width, family = (4, socket.AF_INET) if kind == 1 else (16, socket.AF_INET6)
    ports = struct.unpack("!HH", data[2 * width : 2 * width + 4])
    hosts = [socket.inet_ntop(family, data[at : at + width]) for at in (0, width)]
    return (hosts[0], ports[0]), (hosts[1], ports[1])
