"""The workloads as WSGI applications."""

from collections.abc import Callable, Iterable
from typing import Any

from tests.bench.apps.payload import BIG, HELLO, TEXT

Start = Callable[[str, list[tuple[str, str]]], Any]


def answer(start: Start, body: bytes) -> Iterable[bytes]:
    """Send a whole response."""
    start("200 OK", [("Content-Type", TEXT), ("Content-Length", str(len(body)))])
    return [body]


def hello(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    """A GET of 13 bytes."""
    return answer(start, HELLO)


def big(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    """A GET of 16 MiB."""
    return answer(start, BIG)


def read(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    """Read the body in full."""
    return answer(start, str(len(environ["wsgi.input"].read())).encode())


def count(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    """Count the body's bytes."""
    size = 0
    while data := environ["wsgi.input"].read(65536):
        size += len(data)
    return answer(start, str(size).encode())
