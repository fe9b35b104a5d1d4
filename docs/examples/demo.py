"""What ``make demo`` shows: the bug, the fix that is none, the checked design, and a server on it.

Every step checks what it shows and the demo fails with the first one that is not as claimed.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, NoReturn

from model.__main__ import main as model_main

ROOT: Final = Path(__file__).resolve().parent.parent.parent
SIZE: Final = 64 << 20
"""Bytes uploaded to each server."""
CLIENT_LIMIT: Final = "60"
"""Seconds that one upload may take before the demo calls it a failure."""


class DemoFailed(Exception):
    """Something that the demo shows is not so."""


def fail(what: str) -> NoReturn:
    """End the demo."""
    raise DemoFailed(what)


def heading(number: int, text: str) -> None:
    """Announce a step."""
    print(f"\n=== {number}. {text}\n", flush=True)


def expect_model(name: str, code: int, *arguments: str) -> None:
    """Check a model, and that the verdict is the claimed one."""
    got = model_main(["check", name, *arguments])
    if got != code:
        fail(f"model {name}: exit code {got}, expected {code}")


class Served:
    """A real server in a process of its own, on a port of its own choice."""

    def __init__(self, application: str) -> None:
        command = [sys.executable, "-m", "nbio", application, "--port", "0", "--print-balance"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.url = self._listening()
        print(f"$ nbio {application} --port 0   # {self.url}", flush=True)

    def _listening(self) -> str:
        if self._process.stderr is None:
            fail("the server has no standard error")
        for line in self._process.stderr:
            found = re.search(r"http://\S+", line)
            if found:
                return found[0]
        fail(f"the server ended with exit code {self._process.wait()} before it listened")

    def stop(self) -> str:
        """End it as a supervisor would, and return the pool's books."""
        self._process.send_signal(signal.SIGTERM)
        out, err = self._process.communicate(timeout=30)
        if self._process.returncode != 0:
            fail(f"the server ended with exit code {self._process.returncode}: {err}")
        return out.strip()

    def kill(self) -> None:
        """Whatever happened, leave no process behind."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def upload(url: str, path: Path) -> str:
    """Send the file with curl, or with the standard library where there is no curl."""
    if shutil.which("curl"):
        command = ["curl", "-sS", "--fail", "--max-time", CLIENT_LIMIT, "-T", str(path), url]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            fail(f"curl: {run.stderr}")
        return run.stdout.strip()
    print("(curl is not installed: the standard library's client sends the file)")
    host = url.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(host, timeout=float(CLIENT_LIMIT))
    with path.open("rb") as file:
        connection.request("PUT", "/", body=file, headers={"Content-Length": str(SIZE)})
        answer = connection.getresponse().read().decode().strip()
    connection.close()
    return answer


def balanced(books: str, uploads: int) -> None:
    """The pool's books: everything acquired was released, nothing is outstanding."""
    print(books)
    bodies = re.search(r"bodies acquired (\d+), released (\d+), outstanding (\d+)", books)
    blocks = re.search(
        r"blocks acquired (\d+), released (\d+), given up (\d+), outstanding (\d+)", books
    )
    if bodies is None or blocks is None:
        fail("the server printed no books")
    acquired, released, outstanding = map(int, bodies.groups())
    if (acquired, released, outstanding) != (uploads, uploads, 0):
        fail(f"{uploads} bodies were uploaded, but the books say otherwise")
    taken, back, given_up, out = map(int, blocks.groups())
    if taken == 0 or taken != back + given_up or out != 0:
        fail("the blocks don't add up")


def serve_and_upload(application: str, path: Path, digest: str) -> None:
    """One application: the file through pooled blocks, the digest, the books."""
    server = Served(application)
    try:
        started = time.perf_counter()
        answer = upload(server.url, path)
        seconds = time.perf_counter() - started
        print(f"uploaded {SIZE >> 20} MiB in {seconds:.2f} s; sha256 {answer}")
        if answer != digest:
            fail(f"the file's digest is {digest}")
        balanced(server.stop(), uploads=1)
    finally:
        server.kill()


def main() -> int:
    """The whole demo."""
    heading(
        1, "The bug of issue 445, found: an ordinary handler closes the body, then the framework"
    )
    expect_model("G1", 1, "--traces", "P1", "--fold")
    heading(2, "The published advice, an atomic `closed` flag (put back by whoever wins): refuted")
    expect_model("F1", 1, "--fold")
    heading(3, "The final design: nothing refuted within these bounds")
    expect_model("final", 0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "upload.bin"
        path.write_bytes(bytes(range(256)) * (SIZE // 256))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        heading(4, "A server whose pool runs exactly those transitions: an ASGI application")
        serve_and_upload("docs.examples.upload_asgi:app", path, digest)
        heading(5, "The same upload through a native handler, hashed without a copy")
        serve_and_upload("docs.examples.upload_native:handler", path, digest)
    print("\nEverything above was checked as it ran. Next: make test; docs/lifecycle.md")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DemoFailed as failure:
        sys.exit(f"demo: FAILED: {failure}")
