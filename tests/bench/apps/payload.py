"""What every server answers."""

TEXT = "text/plain; charset=utf-8"
HELLO = b"Hello, World!"
BIG = b"x" * (16 << 20)
