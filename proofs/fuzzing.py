"""Any bytes whatever on a connection, for a while: what `tests/fuzz` demands must hold."""

import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from nbio.verify.engine import Verdict
from proofs.ledger import Row

SECONDS = 60
ROOT = Path(__file__).parent.parent


def rows() -> Iterable[Row]:
    """One row: a search, so it can only ever find or not find."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "tests.fuzz", str(SECONDS)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS * 5)
    said = [line for line in ran.stdout.splitlines() if line.startswith(("fuzz:", "found:"))]
    verdict = {0: Verdict.CONFIRMED, 1: Verdict.REFUTED}.get(ran.returncode, Verdict.UNKNOWN)
    yield Row(
        "requests mean the same however they are cut, and nothing malformed gets through",
        said[-1] if said else "the fuzzer didn't come to its end",
        verdict if said else Verdict.UNKNOWN,
        f"{SECONDS} seconds of inputs, each at most 600 bytes",
        time.perf_counter() - began,
        "anything about inputs that weren't tried",
        () if verdict is Verdict.CONFIRMED else tuple(said or ran.stderr.splitlines()[-3:]),
    )
