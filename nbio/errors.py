"""What can go wrong with a body or a pool, as types.

Every message names the object, the state it is in, what was refused, and the remedy, so that
it can be acted on without opening this package. The pool's shell builds these errors from the
outcome of a transition function; nothing here decides anything.
"""

from typing import Self, TypeVar

E = TypeVar("E", bound=BaseException)


class NbioError(Exception):
    """The root of every error this package raises on purpose."""


class BodyError(NbioError):
    """A request body can't be read, or not in this way.

    `request` is the label the body was acquired under, for example "POST /upload".
    """

    def __init__(self, message: str, *, request: str = "") -> None:
        super().__init__(message)
        self.request = request

    def fresh(self) -> Self:
        """Return an equal error without traceback.

        A cut-off body raises its error at every read. One instance raised over and over would
        collect tracebacks, and through their frames keep the handle alive for ever.
        """
        twin = type(self).__new__(type(self), *self.args)
        twin.__dict__.update(self.__dict__)
        twin.__cause__ = self.__cause__
        return twin


class BodyClosedError(BodyError):
    """The body was closed, or its request is over, before this call.

    `closed_by` says who was first: "handler", "framework" or "finalizer"; "" when unknown.
    """

    closed_by: str = ""


class ConcurrentReadError(BodyError):
    """Another reader is at work on the same body; a body has one reader at a time."""


class BodyDisconnected(BodyError):
    """The client went away before the body was complete."""


class BodyTooLarge(BodyError):
    """The body is longer than the server allows."""


class BodyProtocolError(BodyError):
    """The client's framing of the body is not HTTP (RFC 9112, sections 6 and 7)."""


class IncompleteBodyError(BodyError):
    """The body ended before the number of bytes asked for; `partial` holds what there was."""

    partial: bytes = b""


class BlockingCallError(NbioError):
    """A call that blocks its thread was made where it would stop an event loop."""


class PoolExhausted(NbioError):
    """The pool's cap is reached: everything it may hand out is in use."""


class PoolImbalance(NbioError, AssertionError):
    """Something that was acquired has not come back."""


class Refusal(NbioError):
    """A request that isn't served: answered with `status`, and the connection is closed.

    `of_head` says that it is a HEAD, whose answer has no content.
    """

    of_head = False

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class ResponseError(NbioError):
    """The application sent what can't be sent, or in an order that makes no response."""


class ClientDisconnected(OSError):
    """The response can't be sent: the client is gone, or its request was refused midway."""


class RequestCutOff(OSError):
    """Reading `wsgi.input`: the body won't be complete, since it was cut off or refused.

    An OSError, because that is what frameworks expect of a file; its cause is the BodyError.
    """


def caused(error: E, cause: BaseException) -> E:
    """`raise caused(error, cause)` is `raise error from cause`, which mypyc doesn't compile."""
    error.__cause__ = cause
    return error
