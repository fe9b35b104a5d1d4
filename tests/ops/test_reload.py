"""`--reload`: a change is served, a mistake is survived."""

import signal
import time
from pathlib import Path

from tests.ops.commands import TIMEOUT, get, nbio
from tests.ops.test_workers import gone

APP = """
import os
from nbio import Request, Response

async def app(request: Request) -> Response:
    return Response(f"VERSION {os.getpid()}")
"""


def until(port: int, version: str) -> int:
    """Ask until a version answers; its process."""
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        told, pid = get(port).decode().split()
        if told == version:
            return int(pid)
    raise AssertionError(f"{version} never answered")


def test_a_change_and_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "application.py"
    path.write_text(APP.replace("VERSION", "one"))
    with nbio(tmp_path, "application:app", "--port", "0", "--reload") as command:
        port = command.port()
        first = until(port, "one")
        path.write_text("this is a mistake(")
        command.wait_for("waiting for a change of the files")
        assert until(port, "one") == first
        path.write_text(APP.replace("VERSION", "two"))
        second = until(port, "two")
        assert gone(first)
        command.signal(signal.SIGINT)
        assert command.end() == 0
        assert gone(second)


def test_a_mistake_from_the_beginning(tmp_path: Path) -> None:
    path = tmp_path / "application.py"
    path.write_text("this is a mistake(")
    with nbio(tmp_path, "application:app", "--port", "0", "--reload") as command:
        command.wait_for("waiting for a change of the files")
        path.write_text(APP.replace("VERSION", "one"))
        until(command.port(), "one")
        command.signal(signal.SIGINT)
        assert command.end() == 0
