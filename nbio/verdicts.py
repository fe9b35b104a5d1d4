"""What goes wrong while a body arrives, as the client and as its reader learn of it."""

from nbio.errors import (
    BodyDisconnected,
    BodyError,
    BodyProtocolError,
    BodyTooLarge,
    Refusal,
)


def verdict(error: Exception) -> tuple[int, str]:
    """Status and reason of what went wrong while receiving."""
    if isinstance(error, Refusal):
        return error.status, str(error)
    return 503, "the server has no room for the body"


def disconnected(request: str) -> BodyDisconnected:
    """The error for a body whose client is gone."""
    return BodyDisconnected(
        f"the client of {request!r} disconnected before its body was complete", request=request
    )


def body_error(status: int, why: str, request: str, gone: bool) -> BodyError:
    """The error that a reader of a refused body gets."""
    if gone or status == 408:
        return disconnected(request)
    kind = BodyTooLarge if status == 413 else BodyProtocolError
    return kind(f"the body of {request!r} was refused: {why}", request=request)
