"""``python -m tests.peers``: the conformance cases against other servers, as a table.

The servers are installed in an environment of their own (`make peers` makes it). Nothing here
fails: it says who does what. The table is docs/peers.md.
"""

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from model.tables import renewed
from tests.conformance import bodies, connections, disguises, heads, responses
from tests.conformance.cases import Case, get
from tests.conformance.replies import Ended, NotHttp, Replies, Reply
from tests.conformance.running import PROBE, judge
from tests.peers.table import Row, differences, summary

ROOT = Path(__file__).parents[2]
PEERS = ROOT / ".venv-peers"
PAGE = ROOT / "docs" / "peers.md"
PATIENCE = 0.5
"""Seconds after which an answer, or the end, that hasn't come isn't waited for."""

ASGI = "tests.peers.apps:asgi"
SERVERS = {
    "nbio": "-m nbio --port {port} tests.conformance.app:handler",
    "uvicorn": f"-m uvicorn --port {{port}} --http httptools --no-access-log {ASGI}",
    "uvicorn (h11)": f"-m uvicorn --port {{port}} --http h11 --no-access-log {ASGI}",
    "hypercorn": f"-m hypercorn -b 127.0.0.1:{{port}} {ASGI}",
    "granian": f"-m granian --port {{port}} --interface asgi {ASGI}",
    "gunicorn": "-m gunicorn -k gthread --keep-alive 30 -b 127.0.0.1:{port} tests.peers.apps:wsgi",
}


@contextmanager
def serving(arguments: str) -> Iterator[int]:
    """Run a server on a free port until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(PEERS / "bin" / "python"), *arguments.format(port=port).split()]
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(command, cwd=ROOT, stdout=quiet, stderr=quiet)
    try:
        until = time.monotonic() + 30
        while not listens(port):
            if server.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"it doesn't start: {' '.join(command)}")
            time.sleep(0.05)
        yield port
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def outcome(port: int, case: Case) -> str:
    """What the server makes of a case: "as the RFC says", or in a few words what else."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
        replies = Replies(sock)
        got: list[str] = []
        try:
            sock.sendall(case.data)
            if case.fin:
                sock.shutdown(socket.SHUT_WR)
            for wanted in case.answers:
                head = not isinstance(wanted, int) and bool(wanted.get("head"))
                reply = replies.next(head=head)
                if reply.status == 100:
                    reply = replies.next(head=head)
                got.append(verdict(reply, wanted))
        except Ended:
            got.append("closed")
        except TimeoutError:
            got.append("no answer")
        except NotHttp:
            got.append("not HTTP")
        except ConnectionError:
            got.append("reset")
        else:
            got.append(ending(sock, replies, case))
    differs = [entry for entry in got if entry]
    return differs[0] if differs else ""


def verdict(reply: Reply, wanted: object) -> str:
    """What differs in a response; nothing if nothing does that matters here."""
    if isinstance(wanted, int):
        if reply.status == wanted:
            return ""
        return f"{reply.status}" if reply.status < 400 else f"({reply.status})"
    assert isinstance(wanted, dict)
    if reply.status != wanted["status"]:
        return str(reply.status)
    if wanted.get("trailers") or wanted.get("trailed"):
        # No peer's application can see or send them without an extension.
        wanted = {k: v for k, v in wanted.items() if k not in ("trailers", "trailed")}
    try:
        judge(reply, wanted)
    except (AssertionError, ValueError, KeyError):
        return "otherwise"
    return ""


def ending(sock: socket.socket, replies: Replies, case: Case) -> str:
    try:
        if case.ends == "closed":
            return "" if replies.rest() == b"" else "more answers"
        sock.sendall(get(target=PROBE))
        return "" if json.loads(replies.next().body)["target"] == PROBE else "out of step"
    except TimeoutError:
        return "stays open" if case.ends == "closed" else "no answer"
    except Ended:
        return "closes"
    except (NotHttp, ValueError, KeyError):
        return "out of step"
    except ConnectionError:
        return "" if case.ends == "closed" else "closes"


def versions() -> dict[str, str]:
    listed = subprocess.run(
        [str(PEERS / "bin" / "python"), "-m", "pip", "list"], capture_output=True, text=True
    ).stdout
    return {m[1].lower(): m[2] for m in re.finditer(r"^(\S+)\s+([0-9]\S*)", listed, re.MULTILINE)}


def main() -> int:
    """Run every case against every server, and write the table."""
    tables = (heads, bodies, disguises, connections, responses)
    cases = [case for table in tables for case in table.CASES]
    rows = [Row(case.section, case.name, case.answers, case.ends) for case in cases]
    for name, arguments in SERVERS.items():
        with serving(arguments) as port:
            for case, row in zip(cases, rows, strict=True):
                row.outcomes[name] = outcome(port, case)
        differing = sum(bool(row.outcomes[name]) for row in rows)
        print(f"{name}: {differing} of {len(cases)} differ", flush=True)
    parts = {
        "servers": partial(summary, rows, list(SERVERS), versions()),
        "cases": partial(differences, rows, list(SERVERS)),
    }
    PAGE.write_text(renewed(PAGE.read_text(), parts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
