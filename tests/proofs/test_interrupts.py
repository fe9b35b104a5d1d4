"""A storm of signals leaves the pool whole, and shows up copies that it doesn't.

In a process of its own: here pytest's time-out has the timer.
"""

import subprocess
import sys
from pathlib import Path

from proofs.interrupts import SEEDS

ROOT = Path(__file__).resolve().parents[2]


def test_an_interrupt_anywhere_leaves_the_pool_whole() -> None:
    command = [sys.executable, "-m", "proofs.interrupts"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    said = [line for line in ran.stdout.splitlines() if not line.startswith(" ")]
    assert [line.split()[0] for line in said] == ["CONFIRMED"] * (1 + len(SEEDS)), ran.stdout
    assert not ran.stderr
