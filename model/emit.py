"""Write ``nbio/_lifecycle.py`` from ``model/lifecycle.py``, or say that it is stale."""

import hashlib
from pathlib import Path

from model.lifecycle import OUTCOME_DOC, SLOT, Outcome
from nbio.verify.emit import emit_machine

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "nbio" / "_lifecycle.py"
COMMAND = "python -m model emit"


def text() -> str:
    """What the emitted file should hold now."""
    source = (ROOT / "model" / "lifecycle.py").read_bytes()
    header = (
        "The slot's transition functions: what the body pool runs.\n\n"
        f"Emitted from model/lifecycle.py by `{COMMAND}`; do not edit.\n"
        f"SHA-256 of the statement: {hashlib.sha256(source).hexdigest()}\n\n"
        "Fields and parameters in, the outcome and the new values of the written fields out. An\n"
        "outcome below zero is a refusal: the fields come back as they went in.\n"
    )
    return emit_machine(SLOT, Outcome, OUTCOME_DOC, header)


def write() -> None:
    """Renew the emitted file."""
    TARGET.write_text(text(), encoding="utf-8")


def is_stale() -> bool:
    """Whether the emitted file differs from what the statement says now."""
    return not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text()
