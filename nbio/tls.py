"""TLS by the standard library's `ssl`: a context from the configuration, and its renewal.

A context can be given another certificate, but authorities are only ever added to it, and it
goes on resuming sessions whose certificates it saw before. So a renewal makes a new one.
"""

import ssl
from typing import Final, Self

from nbio.config import Config
from nbio.errors import NbioError

ALPN: Final = ["http/1.1"]

UNHURRIED: Final = 86400.0
"""Seconds that a loop lets a connection with TLS end in: the server's own clock ends it earlier,
where the client takes too little. The loops' 30 seconds would cut a slow client's response."""

_CLIENT_AUTH: Final = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}


class TlsError(NbioError):
    """A certificate, key or authority that can't be used."""


def make_context(config: Config) -> ssl.SSLContext | None:
    """The context that the configuration asks for; None without a certificate.

    TLS 1.2 and up. Raises TlsError.
    """
    if not config.ssl_certfile:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(ALPN)
    load_certificate(context, config)
    context.verify_mode = _CLIENT_AUTH[config.ssl_client_auth]
    if config.ssl_ca_certs:
        try:
            context.load_verify_locations(config.ssl_ca_certs)
        except (OSError, ssl.SSLError) as error:
            raise TlsError(f"ssl_ca_certs {config.ssl_ca_certs!r} can't be used: {error}") from None
    return context


def load_certificate(context: ssl.SSLContext, config: Config) -> None:
    """Load the certificate and key. Raises TlsError."""
    key = config.ssl_keyfile or None
    # A function, since OpenSSL would ask the terminal for a password that wasn't given.
    try:
        context.load_cert_chain(config.ssl_certfile, key, lambda: config.ssl_keyfile_password)
    except (OSError, ssl.SSLError) as error:
        raise TlsError(
            f"ssl_certfile {config.ssl_certfile!r} with its key can't be used: {error}"
        ) from None


class Renewable(ssl.SSLContext):
    """Stands for another context, in whose place a new one can be put: for handshakes to come.

    Loops take the context when they begin to listen, and don't take another one later.
    """

    current: ssl.SSLContext

    @classmethod
    def of(cls, config: Config) -> Self | None:
        """Make one by the configuration; None without a certificate. Raises TlsError."""
        context = make_context(config)
        if context is None:
            return None
        made = cls(ssl.PROTOCOL_TLS_SERVER)
        made.current = context
        return made

    def renew(self, config: Config) -> None:
        """Read all files again. Raises TlsError, and what was in use stays so."""
        context = make_context(config)
        assert context is not None, "there was a certificate, and the configuration is the same"
        self.current = context

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """As the current one does: it's what loops make a connection's TLS with."""
        return self.current.wrap_bio(incoming, outgoing, server_side, server_hostname, session)
