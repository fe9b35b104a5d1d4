"""What a connection's requests can be told about its ends and its TLS."""

import asyncio
import ssl
from typing import Any, Final

from nbio.exchange import Address, Peer, address

VERSIONS: Final = {"TLSv1": 0x0301, "TLSv1.1": 0x0302, "TLSv1.2": 0x0303, "TLSv1.3": 0x0304}

# RFC 4514, section 3: short names of attribute types; the others keep their long names.
SHORT: Final = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}


def peer_of(transport: asyncio.BaseTransport) -> Peer:
    """The peer at the other end of a transport."""
    client = address(transport.get_extra_info("peername"))
    server = shared(address(transport.get_extra_info("sockname")))
    secure = transport.get_extra_info("ssl_object")
    if secure is None:
        return Peer(client, server)
    return Peer(client, server, "https", tls_extension(secure))


_KNOWN_SERVERS: Final = 64
_servers: dict[Address, Address] = {}


def shared(server: Address | None) -> Address | None:
    """The same object for all connections to one address of ours, for there may be many."""
    if server is None:
        return None
    known = _servers.get(server)
    if known is None:
        if len(_servers) >= _KNOWN_SERVERS:
            _servers.clear()
        known = _servers[server] = server
    return known


def tls_extension(secure: ssl.SSLObject) -> dict[str, Any]:
    """ASGI's tls extension. The server's certificate can't be had from here, so it is None."""
    der = secure.getpeercert(binary_form=True)
    # Empty unless the certificate was verified.
    details: Any = secure.getpeercert()
    version = secure.version()
    cipher = secure.cipher()
    return {
        "server_cert": None,
        "client_cert_chain": [ssl.DER_cert_to_PEM_cert(der)] if der else [],
        "client_cert_name": distinguished_name(details["subject"]) if details else None,
        "client_cert_error": None,
        "tls_version": VERSIONS.get(version) if version else None,
        "cipher_suite": cipher_number(secure, cipher[0]) if cipher else None,
    }


def cipher_number(secure: ssl.SSLObject, name: str) -> int | None:
    """The cipher suite's number in the TLS registry; None when the context doesn't know it."""
    for cipher in secure.context.get_ciphers():
        if cipher["name"] == name:
            return int(cipher["id"]) & 0xFFFF
    return None


def distinguished_name(subject: tuple[tuple[tuple[str, str], ...], ...]) -> str:
    """A subject as RFC 4514 writes it: the last part first."""
    return ",".join(
        "+".join(f"{SHORT.get(kind, kind)}={escaped(value)}" for kind, value in part)
        for part in reversed(subject)
    )


def escaped(value: str) -> str:
    """A value with its special characters escaped (RFC 4514, section 2.4)."""
    text = "".join(f"\\{c}" if c in '",+;<>\\' else c for c in value).replace("\0", "\\00")
    if text[:1] in ("#", " "):
        text = f"\\{text}"
    return f"{text[:-1]}\\ " if len(value) > 1 and text.endswith(" ") else text
