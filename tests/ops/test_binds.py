"""Where a server listens: names, addresses of both kinds, paths, descriptors."""

import errno
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nbio.binds import Bind, OwnPath, open_sockets, parse, systemd_fds
from nbio.config import Config
from tests.ops.commands import get, nbio, raw

APP = """
from nbio import Request, Response

async def app(request: Request) -> Response:
    return Response(repr(request.server))
"""
ASK = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "application.py").write_text(APP, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "bind"),
    [
        ("127.0.0.1:81", Bind(host="127.0.0.1", port=81)),
        ("localhost", Bind(host="localhost", port=8000)),
        (":81", Bind(port=81)),
        ("[::1]:81", Bind(host="::1", port=81)),
        ("[::1]", Bind(host="::1", port=8000)),
        ("unix:/run/a.sock", Bind(path="/run/a.sock")),
        ("unix:a:b", Bind(path="a:b")),
        ("fd:7", Bind(fd=7)),
    ],
)
def test_a_place(text: str, bind: Bind) -> None:
    assert parse(text, 8000) == bind


@pytest.mark.parametrize("text", ["::1:81", "a:b", "a:70000", "[::1:81", "unix:", "fd:", "fd:x"])
def test_what_is_no_place(text: str) -> None:
    with pytest.raises(ValueError, match=r"a place to listen|unix:|fd:"):
        parse(text, 8000)


def test_several_places_at_once(directory: Path) -> None:
    binds = ["--bind", "127.0.0.1:0", "--bind", "[::1]:0", "--bind", "unix:app.sock"]
    with nbio(directory, "application:app", *binds) as command:
        line = command.wait_for(r"127\.0\.0\.1:(\d+), http://\[::1\]:(\d+), unix:app.sock")[0]
        assert b"'127.0.0.1'" in raw(("127.0.0.1", int(line[1])), ASK)
        assert b"'::1'" in raw(("::1", int(line[2])), ASK)
        assert b"('app.sock', None)" in raw(str(directory / "app.sock"), ASK)
        command.signal(signal.SIGTERM)
        assert command.end() == 0
    assert not (directory / "app.sock").exists()


def test_a_unix_sockets_mode(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    [sock] = open_sockets(Config(bind=(f"unix:{path}",), unix_mode="620"), {})
    with sock:
        assert stat.S_IMODE(path.stat().st_mode) == 0o620


def test_a_dead_servers_socket_is_taken_over_and_a_live_ones_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    config = Config(bind=(f"unix:{path}",))
    [dead] = open_sockets(config, {})
    dead.close()
    assert path.exists()
    [alive] = open_sockets(config, {})
    with alive:
        with pytest.raises(OSError, match="another server listens there"):
            open_sockets(config, {})
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(OSError, match="no socket"):
        open_sockets(Config(bind=(f"unix:{path}",)), {})
    assert path.read_text() == "data"


def test_nothing_stays_open_when_one_place_cannot_be_had(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        places = ("127.0.0.1:0", f"unix:{tmp_path}/a.sock", f"127.0.0.1:{port}")
        with pytest.raises(OSError, match=f"can't listen on 127.0.0.1:{port}"):
            open_sockets(Config(bind=places), {})
    assert len(os.listdir("/proc/self/fd")) == before
    assert not (tmp_path / "a.sock").exists()


@pytest.mark.parametrize("flag", ["bind", "fd"])
def test_an_inherited_descriptor(directory: Path, flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        fd = listening.fileno()
        port = listening.getsockname()[1]
        options = ["--bind", f"fd:{fd}"] if flag == "bind" else ["--fd", str(fd)]
        with nbio(directory, "application:app", *options, pass_fds=(fd,)) as command:
            assert command.port() == port
            assert b"127.0.0.1" in get(port)
            command.signal(signal.SIGTERM)
            assert command.end() == 0


def test_a_descriptor_that_does_not_listen(directory: Path) -> None:
    with socket.socket() as idle:
        fd = idle.fileno()
        with nbio(directory, "application:app", "--bind", f"fd:{fd}", pass_fds=(fd,)) as command:
            assert command.end() == 1
            command.wait_for("doesn't listen")


ACTIVATE = """
import os, socket, sys
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*[sock.getsockname()[1] for sock in sockets], flush=True)
high = [os.dup(sock.fileno()) for sock in sockets]
high = [os.dup2(fd, 50 + n) for n, fd in enumerate(high)]
for n, fd in enumerate(high):
    os.dup2(fd, 3 + n, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2")
os.execv(sys.executable, [sys.executable, "-m", "nbio", "application:app", *sys.argv[1:]])
"""


@pytest.mark.parametrize("processes", ["1", "2"])
def test_activation_by_systemd(directory: Path, processes: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", ACTIVATE, "--workers", processes],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        for port in map(int, process.stdout.readline().split()):
            # The kernel queues what comes before the server is there.
            assert b"127.0.0.1" in get(port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()


def test_descriptors_for_somebody_else_are_not_ours() -> None:
    assert systemd_fds({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) == []
    assert systemd_fds({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2"}) == [3, 4]


def test_a_path_that_cannot_be_listened_on_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(sock: OwnPath, backlog: int) -> None:
        assert Path(sock.path).exists(), "it is bound by then"
        raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))

    monkeypatch.setattr(OwnPath, "listen", refuse, raising=False)
    path = tmp_path / "a.sock"
    with pytest.raises(OSError, match=r"can't listen on unix:.*a\.sock"):
        open_sockets(Config(bind=(f"unix:{path}",)), {})
    assert not path.exists()
