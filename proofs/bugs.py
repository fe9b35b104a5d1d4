"""The bugs that `proofs/seeded.py` plants: what each says, and which text it changes into what."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Bug:
    """One planted bug."""

    file: str
    says: str
    old: str
    new: str

    def planted(self, text: str) -> str:
        """The module's text with the bug. Raises ValueError where that isn't one change."""
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file}: {self.old!r} is there {text.count(self.old)} times")
        return text.replace(self.old, self.new)


BUGS: Final = (
    Bug(
        "http1",
        "a pause is lost when a body with a length comes through the scratch buffer",
        "self.pending = memoryview(data)[take:end].tobytes()\n        return pause",
        "self.pending = memoryview(data)[take:end].tobytes()\n        return False",
    ),
    Bug(
        "chunked",
        "a body is complete when the bytes end exactly at a chunk's end",
        "        if self.state == DONE:\n            sink.finish()",
        "        if self.state == DONE or (self.state == DATA_END and start == end):\n"
        "            sink.finish()",
    ),
    Bug(
        "http1",
        "what follows a body in the same segment is forgotten",
        "            if take < end:\n",
        "            if take > end:\n",
    ),
    Bug(
        "chunked",
        "trailers that mean something in a head aren't dropped",
        "if field[0] not in FORBIDDEN]",
        "]",
    ),
    Bug(
        "ending",
        "a refusal doesn't close",
        "            self._close(clean=clean)\n",
        "            pass\n",
    ),
    Bug(
        "ending",
        "a connection is closed at once though the client may be sending",
        "        if clean or self._eof or",
        "        if True or self._eof or",
    ),
    Bug(
        "ending",
        "a paused connection stays paused when it only waits for the client's end",
        "            self._resume()\n            if self._transport.can_write_eof():",
        "            if self._transport.can_write_eof():",
    ),
    Bug(
        "protocol",
        "the next request is parsed when the body is complete, and the response isn't",
        "        elif exchange is None and not self._lingering:\n            self._advance()",
        "        elif not self._lingering:\n            self._advance()",
    ),
    Bug(
        "protocol",
        "a body's room doesn't resume reading",
        "        if self.body is None or not self.body.paused:\n            self._resume()",
        "        if False:\n            self._resume()",
    ),
    Bug(
        "protocol",
        "an unwanted body is received to its end, however long",
        "body.dropped > self._hub.config.max_drain:",
        "body.dropped > (1 << 60):",
    ),
    Bug(
        "protocol",
        "a body that ends early is complete",
        '            self._refuse_body(Refusal(400, "the body ended early"), gone=True)',
        "            if self.body is not None:\n                self.body.finish()",
    ),
    Bug(
        "protocol",
        "a body that is refused with its head reaches the application",
        "            self._refuse(*verdict(error))\n            return False",
        "            self._refuse(*verdict(error))\n            return True",
    ),
    Bug(
        "protocol",
        "the end of a body lets a client that reads nothing off",
        "        if not self.write_paused:\n            self.deadline = NEVER",
        "        self.deadline = NEVER",
    ),
    Bug(
        "protocol",
        "a client that reads nothing is served on",
        "        if self.write_paused:\n            # The client",
        "        if False:\n            # The client",
    ),
    Bug(
        "protocol",
        "no body is ever too slow",
        "        enough = self._paused or waits or",
        "        enough = True or waits or",
    ),
    Bug(
        "protocol",
        "a pipelining client is never paused",
        "            if pipelined > self._hub.config.max_pipelined and",
        "            if pipelined > (1 << 60) and",
    ),
    Bug(
        "protocol",
        "a lost connection doesn't tell the body's reader",
        "            self.body.fail(disconnected(self.body.request))",
        "            pass",
    ),
    Bug(
        "exchange",
        "the 100 is forgotten",
        "                self.wire.write(CONTINUE)",
        "                pass",
    ),
    Bug(
        "exchange",
        "a response takes a detached body away",
        "            self.body.release()\n            self.released = True",
        "            self.body.close()\n            self.released = True",
    ),
    Bug(
        "exchange",
        "a response that breaks off ends as if it were whole",
        "        else:\n            self.wire.abort()",
        "        else:\n            self.wire.done(self)",
    ),
    Bug(
        "sending",
        "pipelined responses overtake",
        "        out.append(data)",
        "        out.insert(0, data)",
    ),
    Bug(
        "heads",
        "Connection: close is ignored",
        '    if b"close" in wishes:\n        return False',
        '    if b"close" in wishes:\n        return True',
    ),
    Bug(
        "views",
        "a view's lease isn't given back",
        "        if size:\n            self._body._unlease(size)",
        "        if not size:\n            self._body._unlease(size)",
    ),
    Bug(
        "blocks",
        "a block is used again though somebody has a view of it",
        "        except BufferError:\n            gone = self._gone\n            gone += (True,)\n"
        "            return\n",
        "        except BufferError:\n            pass\n",
    ),
    Bug(
        "blocks",
        "a block that comes back is put away twice",
        "            idle += (block,)\n",
        "            idle += (block, block)\n",
    ),
    Bug(
        "handle",
        "a failure doesn't wake the reader that waits",
        "            waiter = self._waiter\n        if waiter is not None:\n"
        "            waiter.wake()\n        if resumed and",
        "            waiter = None\n        if waiter is not None:\n"
        "            waiter.wake()\n        if resumed and",
    ),
)
