"""The historic readers in small Python: what the harnesses of real threads must catch.

G1 is upstream v1.5.4 to v1.5.11, F1 the published advice read as it stands. Each line that touches
a shared field stands for one memory step of the model in `model/history/`.
"""

import threading


class Engine:
    """Mallocs and frees buffers, and counts the frees."""

    def __init__(self) -> None:
        self.freed: list[bytearray] = []

    def malloc(self, data: bytes) -> bytearray:
        """A buffer with these bytes in it."""
        return bytearray(data)

    def free(self, buffer: bytearray) -> None:
        """Take a buffer back."""
        self.freed.append(buffer)


class ReaderPool:
    """A pool that hands out what was put into it, whatever that is."""

    def __init__(self) -> None:
        self.idle: list[Reader] = []

    def get(self, kind: "type[Reader]") -> "Reader":
        """An idle reader, or a new one."""
        return self.idle.pop() if self.idle else kind(self)

    def put(self, reader: "Reader") -> None:
        """It may be handed out again."""
        self.idle.append(reader)


class Reader:
    """G1: Close frees the buffer, zeroes every field, and puts the reader into the pool."""

    def __init__(self, pool: ReaderPool) -> None:
        self.pool = pool
        self.engine: Engine | None = None
        self.buffer: bytearray | None = None

    def open(self, engine: Engine, data: bytes) -> None:
        """A request takes it."""
        self.engine = engine
        self.buffer = engine.malloc(data)

    def close(self) -> None:
        """Called by the handler, and again by releaseRequest."""
        buffer = self.buffer
        if buffer is not None:
            engine = self.engine
            assert engine is not None, "invalid memory address or nil pointer dereference"
            engine.free(buffer)
        self.buffer = None
        self.engine = None
        self.pool.put(self)


class FlaggedReader(Reader):
    """F1: an atomic flag, reset when the reader is acquired; the Close that wins does it all."""

    def __init__(self, pool: ReaderPool) -> None:
        super().__init__(pool)
        self.closed = False
        self.swap = threading.Lock()

    def open(self, engine: Engine, data: bytes) -> None:
        self.closed = False
        super().open(engine, data)

    def close(self) -> None:
        with self.swap:
            won = not self.closed
            self.closed = True
        if won:
            super().close()
