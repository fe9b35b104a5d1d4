"""The control for uploads: a blocking `recv_into` loop into one 256 KiB buffer."""

import re
import socket
import sys

LENGTH = re.compile(rb"\r\ncontent-length: ([0-9]+)\r\n", re.IGNORECASE)


def serve(client: socket.socket, buffer: bytearray) -> None:
    """Count bodies until the client goes."""
    view = memoryview(buffer)
    while got := client.recv_into(view):
        head = bytes(view[:got]).partition(b"\r\n\r\n")[0]
        match = LENGTH.search(head + b"\r\n")
        assert match is not None, "a head comes in one piece, with a Content-Length"
        size = int(match[1])
        missing = size - (got - len(head) - 4)
        while missing:
            missing -= client.recv_into(view[:missing] if missing < len(view) else view)
        text = str(size).encode()
        client.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(text), text))


def main() -> None:
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    buffer = bytearray(256 << 10)
    while True:
        client, _ = listener.accept()
        with client:
            serve(client, buffer)


if __name__ == "__main__":
    main()
