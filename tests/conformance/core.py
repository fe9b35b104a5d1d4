"""The receiving half without a socket: bytes in, however cut, messages or a refusal out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from nbio.config import Config
from nbio.errors import Refusal
from nbio.heads import HeadParser, RequestHead
from nbio.http1 import COMPLETE, HEAD, Receiver


@dataclass
class Parts:
    """A sink that keeps what it is fed."""

    data: bytearray = field(default_factory=bytearray)
    ended: int = 0

    def feed(self, data: bytes | bytearray | memoryview) -> bool:
        self.data += data
        return False

    def feed_block(self, block: bytearray, n: int) -> tuple[bytearray | None, bool]:
        self.data += block[:n]
        return block, False

    def finish(self) -> None:
        self.ended += 1


Message = tuple[str, bytes, bytes, str, tuple[tuple[bytes, bytes], ...], bytes, tuple[Any, ...]]


class Core:
    """A connection's receiving half, and what it made of its bytes."""

    def __init__(self, **options: Any) -> None:
        config = replace(Config(), **options)
        heads = HeadParser(
            max_line=config.max_request_line,
            max_fields=config.max_headers,
            max_body=config.max_body,
        )
        self.receiver = Receiver(config, heads)
        self.messages: list[Message] = []
        self.refused = 0
        self._head: RequestHead | None = None
        self._sink = Parts()

    def put(self, data: bytes) -> None:
        """Receive, unless something was refused: then the connection is closed."""
        if self.refused or not data:
            return
        try:
            self._direct(data) if self.receiver.direct else self._receive(data)
            self._advance()
        except Refusal as error:
            self.refused = error.status
            assert self._sink.ended == 0 or self._head is None, "not complete and then refused"

    def outcome(self) -> tuple[list[Message], int]:
        return self.messages, self.refused

    def _receive(self, data: bytes) -> None:
        self.receiver.receive(data, len(data))

    def _direct(self, data: bytes) -> None:
        """As the kernel would write it: straight into a block, as far as the body goes."""
        n = min(len(data), self.receiver.direct)
        self.receiver.filled(bytearray(data[:n]), n)
        if n < len(data):
            self._advance()
            self.put(data[n:])

    def _advance(self) -> None:
        receiver = self.receiver
        while receiver.state in (HEAD, COMPLETE):
            if receiver.state == HEAD:
                self._head = receiver.next_head()
                if self._head is None:
                    return
                self._sink = Parts()
                if receiver.state != COMPLETE:
                    receiver.start_body(self._sink)
            if receiver.state == COMPLETE:
                self._complete()

    def _complete(self) -> None:
        head = self._head
        assert head is not None, "a message has a head"
        assert self._sink.ended == (1 if head.has_body else 0)
        self.messages.append(
            (
                head.method,
                head.path,
                head.query,
                head.version,
                tuple(head.headers),
                bytes(self._sink.data),
                tuple(head.trailers),
            )
        )
        self._head = None
        self._sink = Parts()
        self.receiver.next_message()


def read(pieces: Iterable[bytes], **options: Any) -> tuple[list[Message], int]:
    """What a fresh connection makes of these pieces."""
    core = Core(**options)
    for piece in pieces:
        core.put(piece)
    return core.outcome()


def cuts(data: bytes, step: int = 1) -> Iterator[tuple[bytes, bytes]]:
    """The data in two, in every way (every `step`th)."""
    for at in range(1, len(data), step):
        yield data[:at], data[at:]
