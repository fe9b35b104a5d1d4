"""The memory a serving process keeps: page faults of one that needs the same memory again."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nbio.memory import TOLD, keep_freed
from tests.ops.commands import get, nbio

# What an application does that reads a large upload in pieces. Of this size none has pages of its
# own, so no piece that is freed moves malloc's thresholds.
APP = """
import os
from nbio import Request, Response

async def app(request: Request) -> Response:
    pieces = [bytes(65536) for _ in range(400)]
    return Response(str(os.getpid()))
"""
PAGES = 400 * 65536 // os.sysconf("SC_PAGESIZE")


def of_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except ValueError:
        return False


pytestmark = pytest.mark.skipif(not of_glibc(), reason="malloc isn't glibc's")


@pytest.fixture(autouse=True)
def untuned(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*TOLD, "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)


def faults(pid: int) -> int:
    """A process's minor page faults so far."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[7])


def faults_a_request(directory: Path, *options: str) -> float:
    (directory / "application.py").write_text(APP, encoding="utf-8")
    with nbio(directory, "application:app", "--port", "0", *options) as command:
        port = command.port()
        pid = [int(get(port)) for _ in range(2)][-1]
        before = faults(pid)
        for _ in range(5):
            assert int(get(port)) == pid
        found = (faults(pid) - before) / 5
        command.signal(signal.SIGTERM)
        assert command.end() == 0
    return found


def test_what_was_freed_is_there_for_the_next_request(tmp_path: Path) -> None:
    assert faults_a_request(tmp_path, "--keep-memory", "0") > PAGES / 2
    assert faults_a_request(tmp_path) < PAGES / 50
    assert faults_a_request(tmp_path, "--max-requests", "1000") < PAGES / 50, "a worker's, too"


def test_an_environment_that_tunes_malloc_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    assert faults_a_request(tmp_path) > PAGES / 2


def test_when_malloc_is_left_alone() -> None:
    assert not keep_freed(0, {})
    assert not keep_freed(1 << 20, {"MALLOC_MMAP_THRESHOLD_": "1"})
    assert not keep_freed(1 << 20, {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=1"})


def test_an_embedded_server_leaves_its_process_as_it_is() -> None:
    # mallopt can't be asked what it was told, so: nobody but a process of our own calls it.
    code = """
import asyncio, sys, nbio, nbio.server
async def main():
    async with nbio.Server(lambda request: None, port=0, interface="native"):
        return "nbio.memory" in sys.modules
print(asyncio.run(main()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"False\n", done.stdout)
