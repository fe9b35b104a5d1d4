"""What takes minutes (`make soak`): memory and the books, over many uploads and connections."""

import random
import resource
import signal
import socket
from contextlib import suppress

import pytest

from tests.conformance.replies import Ended, Replies
from tests.live import chunked, get, post
from tests.soak.processes import Process, running

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1200)]

UPLOADS = 20_000
IDLE = 10_000
MIB = 1024 * 1024


def cut_off(process: Process, data: bytes, cut: int) -> None:
    """Send the first `cut` bytes, and go away without a word."""
    with process.connect() as client:
        with suppress(ConnectionError):
            client.sendall(data[:cut])
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def whole(process: Process, data: bytes, size: int) -> None:
    with process.connect() as client:
        client.sendall(data)
        assert Replies(client).next().body == b"%d" % size


def test_uploads_with_random_aborts(told: list[str]) -> None:
    """20,000 of them: memory stays, and at the end every body and block is back."""
    chance = random.Random(445)
    sizes = [0, 1, 5000, 70_000, 300_000]
    uploads = [(post(bytes(size)), size) for size in sizes]
    uploads += [(chunked(*[bytes(1000)] * (size // 1000)), size // 1000 * 1000) for size in sizes]
    with running("tests.soak.apps:count", "--print-balance") as process:
        samples: list[int] = []
        for number in range(UPLOADS):
            data, size = chance.choice(uploads)
            if number % 3:
                cut_off(process, data, chance.randrange(len(data)))
            else:
                whole(process, data, size)
            if number % 1000 == 999:
                samples.append(process.memory())
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
        balance = next(line for line in process.said.splitlines() if line.startswith("pool: "))
    told.append(f"soak: {UPLOADS} uploads, memory {samples[0]} to {max(samples)} bytes; {balance}")
    # The pool's blocks are there after the first thousand.
    assert max(samples) - samples[0] < 8 * MIB, samples
    assert "outstanding 0; blocks" in balance
    assert balance.count("outstanding 0") == 2
    assert "leaks 0" in balance


def test_two_hundred_offsets_of_an_upload() -> None:
    chance = random.Random(7)
    with running("tests.soak.apps:count", "--print-balance") as process:
        for data in (post(bytes(1_000_000)), chunked(*[bytes(9000)] * 110)):
            for cut in sorted(chance.sample(range(1, len(data)), 200)):
                cut_off(process, data, cut)
            whole(process, post(bytes(1000)), 1000)
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
        assert process.said.count("outstanding 0") >= 2


def test_idle_connections(told: list[str]) -> None:
    """10,000 that are kept alive: under 4 KiB of the server's memory each."""
    wanted = IDLE + 500
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"needs {wanted} descriptors, and {hard} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    options = ["--max-connections", str(wanted), "--idle-timeout", "600"]
    with running("tests.soak.apps:hello", *options, descriptors=wanted) as process:
        clients = [asked(process) for _ in range(100)]
        before = process.memory()
        clients += [asked(process) for _ in range(IDLE)]
        each = (process.memory() - before) / IDLE
        told.append(f"soak: {IDLE} idle connections, {each:.0f} bytes each")
        used = process.cpu()
        for client in clients[::100]:
            client.sendall(get())
            assert Replies(client).next().body == b"hello", "none is lost"
        told.append(f"soak: {process.cpu() - used:.2f} s of processor meanwhile")
        process.signal(signal.SIGTERM)
        for client in clients:
            with pytest.raises(Ended):
                Replies(client).next()
            client.close()
        assert process.wait() == 0
    assert each < 4096


def asked(process: Process) -> socket.socket:
    """A connection that has had its first answer."""
    client = process.connect()
    client.sendall(get("/", "User-Agent: soak", "Accept: */*"))
    assert Replies(client).next().body == b"hello"
    return client
