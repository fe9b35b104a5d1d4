"""The command line, as processes."""

import http.client
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import nbio
from nbio.cli import main, parser
from nbio.config import Config
from nbio.errors import NbioError
from nbio.loading import AppError, arity, load, site_for
from nbio.server import Server

APP = """
import asyncio, threading
from nbio import Request, Response

started = False

async def native(request: Request) -> Response:
    if request.path == "/wait":
        await asyncio.sleep(0)
        print("waiting", flush=True)
        try:
            await asyncio.Event().wait()
        finally:
            print("cancelled", flush=True)
    return Response(await request.body.read() or b"native")

def sync(request: Request) -> Response:
    if request.path == "/stuck":
        print("waiting", flush=True)
        threading.Event().wait()
    return Response(b"sync")

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            print(kind, flush=True)
            await send({"type": kind + ".complete"})
            if kind == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"asgi"})

def wsgi(environ, start_response):
    start_response("200 OK", [])
    return [b"wsgi"]

async def failing(scope, receive, send):
    raise RuntimeError("no lifespan here")

number = 7

def make():
    return native

def fails():
    raise ValueError("on purpose")

class Nested:
    app = native
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "application.py").write_text(APP, encoding="utf-8")
    (tmp_path / "broken.py").write_text("raise ValueError('two\\nlines')", encoding="utf-8")
    (tmp_path / "needy.py").write_text("import not_there_at_all", encoding="utf-8")
    return tmp_path


@contextmanager
def command(
    directory: Path, app: str, *options: str
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run `nbio app`; yields the process and its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "nbio", app, "--port", "0", "--print-balance", *options],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        assert found, line + process.stderr.read()
        yield process, int(found[1])
    finally:
        process.kill()
        process.communicate()


def ask(port: int, method: str = "GET", path: str = "/", body: bytes | None = None) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, body)
    answer = connection.getresponse().read()
    connection.close()
    return answer


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", ["native", "sync", "asgi", "Nested.app"])
def test_serve_and_end(directory: Path, name: str, number: signal.Signals) -> None:
    with command(directory, f"application:{name}") as (process, port):
        assert ask(port) in (b"native", b"sync", b"asgi")
        ask(port, "POST", "/", b"x" * 100_000)
        process.send_signal(number)
        out, _ = process.communicate(timeout=20)
        assert process.returncode == 0
        assert "bodies acquired " in out
        assert "outstanding 0; blocks" in out
        if name == "asgi":
            assert out.startswith("lifespan.startup\nlifespan.shutdown\n")


@pytest.mark.parametrize(
    ("name", "options", "interface"),
    [
        ("make", ["--factory"], "native"),
        ("asgi", ["--interface", "asgi"], "asgi"),
        ("wsgi", [], "wsgi"),
        ("wsgi", ["--interface", "wsgi"], "wsgi"),
    ],
)
def test_the_interface_and_factories(
    directory: Path, name: str, options: list[str], interface: str
) -> None:
    with command(directory, f"application:{name}", *options) as (_, port):
        assert ask(port) == interface.encode()


def test_the_second_signal_does_not_wait(directory: Path) -> None:
    with command(directory, "application:native", "--shutdown-timeout", "600") as (process, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("POST", "/wait", b"body")
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
        connection.close()
        assert process.returncode == 0
        assert out.startswith("cancelled\n")
        assert "outstanding 0; blocks" in out


def test_a_stuck_thread_does_not_keep_the_process(directory: Path) -> None:
    options = ["--shutdown-timeout", "0.1"]
    with command(directory, "application:sync", *options) as (process, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/stuck")
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        connection.close()
        assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["application:number", "--factory"], 2, "the factory isn't callable"),
        (["application:fails", "--factory"], 2, "the factory failed: ValueError: on purpose"),
        (["application:native", "--bind", "a:b"], 2, "a place to listen is HOST:PORT"),
        (["application:native", "--trusted-proxies", "x"], 2, "a trusted proxy is an address"),
        (["application:native", "--access-log", "--access-format", "%(x)s"], 2, "no atom %(x)s"),
        (["application:native", "--ssl-certfile", "none.pem"], 1, "none.pem"),
        (["application:native", "--ssl-client-auth", "required"], 2, "needs ssl_ca_certs"),
        (["nowhere:app"], 2, "no module 'nowhere'"),
        (["application:nothing"], 2, "no attribute 'nothing'"),
        (["application:number"], 2, "isn't callable"),
        (["application"], 2, "module:app"),
        ([":app"], 2, "module:app"),
        (["broken:app"], 2, "ValueError: two lines"),
        (["needy:app"], 2, "not_there_at_all"),
        (["application:native", "--low-water", "9"], 2, "low_water must be below"),
        (["application:native", "--port", "70000"], 2, "port must be between"),
        (["application:native", "--max-head", "0"], 2, "max_head must be more than 0"),
        (["application:failing", "--lifespan", "on"], 1, "lifespan"),
        (["application:native", "--host", "203.0.113.1"], 1, "203.0.113.1"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    directory: Path, arguments: list[str], code: int, words: str
) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "nbio", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == code, run.stderr
    [line] = run.stderr.splitlines()
    assert line.startswith("nbio: error: ")
    assert words in line


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) <= 100, "two screens"
    assert max(map(len, text.splitlines())) <= 100
    for name in Config.__dataclass_fields__:
        assert f"--{name.replace('_', '-')}" in text


def test_what_was_not_given_is_left_to_the_config() -> None:
    chosen = vars(parser().parse_args(["x:y"]))
    assert set(chosen) == {"app", "app_dir", "config", "print_config", "version"}


def test_the_version_says_which_variant_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    variant = "compiled" if nbio.compiled else "source"
    assert re.fullmatch(rf"nbio \S+ \({variant}\), CPython \S+\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    "options",
    [
        {"interface": "cgi"},
        {"port": "80"},
        {"port": True},
        {"port": 1.5},
        {"host": 5},
        {"idle_timeout": -1},
        {"max_headers": 0},
        {"print_balance": 1},
    ],
)
def test_wrong_options(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Config(**options)  # type: ignore[arg-type]  # that they are wrong is the point


def test_interfaces() -> None:
    async def asgi(scope: object, receive: object, send: object) -> None: ...
    def wsgi(environ: object, start_response: object) -> None: ...
    def anything(*args: object) -> None: ...
    def one(request: object, *, option: int = 0) -> None: ...

    assert [arity(app) for app in (asgi, anything, wsgi, one)] == [3, 3, 2, 1]
    with pytest.raises(AppError, match="4 arguments"):
        arity(lambda a, b, c, d: None)
    with pytest.raises(AppError, match="callable"):
        site_for(7, Config())
    assert load("os:path.join")


def test_a_server_before_its_start() -> None:
    async def app(scope: object, receive: object, send: object) -> None: ...

    server = Server(app)
    with pytest.raises(NbioError):
        _ = server.port
    with pytest.raises(NbioError):
        _ = server.pool
    assert server.requests == 0
    with pytest.raises(TypeError):
        Server(app, Config(), port=1)
