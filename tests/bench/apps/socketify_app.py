"""The workloads for socketify's own interface; called with a workload and a port."""

import sys
from typing import Any

from socketify import App, AppListenOptions, CompressOptions, OpCode

from tests.bench.apps.payload import BIG, HELLO, TEXT


def hello(response: Any, request: Any) -> None:
    """A GET of 13 bytes."""
    response.write_header("content-type", TEXT)
    response.end(HELLO)


def big(response: Any, request: Any) -> None:
    """A GET of 16 MiB."""
    response.end(BIG)


async def read(response: Any, request: Any) -> None:
    """Read the body in full."""
    body = await response.get_data()
    response.end(str(len(body.getvalue())))


def count(response: Any, request: Any) -> None:
    """Count the body's bytes."""
    size = 0

    def part(response: Any, chunk: bytes | None, is_end: bool) -> None:
        nonlocal size
        size += len(chunk or b"")
        if is_end:
            response.end(str(size))

    response.on_data(part)


def main() -> None:
    app = App()
    name, port = sys.argv[1], int(sys.argv[2])
    if name == "echo":
        app.ws(
            "/*",
            {
                "compression": CompressOptions.DISABLED,
                "max_payload_length": 1 << 20,
                "message": lambda ws, message, opcode: ws.send(message, OpCode.BINARY),
            },
        )
    else:
        app.any("/", globals()[name])
    app.listen(AppListenOptions(port=port, host="127.0.0.1"))
    app.run()


if __name__ == "__main__":
    main()
