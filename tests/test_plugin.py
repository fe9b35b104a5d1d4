"""The pytest plugin, from outside: a test that leaks fails, and is told where."""

import subprocess
import sys
from pathlib import Path

LEAKY = """
import pytest
from nbio.pool import BodyPool

def test_held():
    test_held.body = BodyPool(safety="debug").acquire("POST /held")

def test_dropped():
    BodyPool(safety="debug").acquire("POST /dropped")

def test_block():
    BodyPool().blocks.get()

def test_fine():
    BodyPool().acquire("POST /fine").release()

@pytest.mark.nbio_unbalanced
def test_on_purpose():
    test_on_purpose.body = BodyPool().acquire("POST /purpose")
"""


def test_a_test_that_leaks_fails_and_says_where(tmp_path: Path) -> None:
    (tmp_path / "test_leaky.py").write_text(LEAKY)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "nbio.testing.plugin",
        "-p",
        "no:cacheprovider",
    ]
    child = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    out = child.stdout
    assert "5 passed, 3 errors" in out, out + child.stderr
    assert "1 of 1 bodies" in out
    assert "'POST /held' acquired at" in out
    assert "in test_held" in out
    assert "body of 'POST /dropped' was never closed" in out
    assert "in test_dropped" in out
    assert "1 of 1 blocks" in out
