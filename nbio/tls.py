"""TLS by the standard library's `ssl`: a context from the configuration, and its renewal."""

import ssl
from typing import Final

from nbio.config import Config
from nbio.errors import NbioError

ALPN: Final = ["http/1.1"]

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
    """Load the certificate and key, also anew: handshakes from here on use them.

    Raises TlsError; the context then goes on with what it had.
    """
    key = config.ssl_keyfile or None
    # A function, since OpenSSL would ask the terminal for a password that wasn't given.
    try:
        context.load_cert_chain(config.ssl_certfile, key, lambda: config.ssl_keyfile_password)
    except (OSError, ssl.SSLError) as error:
        raise TlsError(
            f"ssl_certfile {config.ssl_certfile!r} with its key can't be used: {error}"
        ) from None
