"""``python -m nbio.verify``: see :mod:`nbio.verify.cli`."""

import os
import sys

from nbio.verify.cli import MISUSE, main

if __name__ == "__main__":
    code = main()
    if code == MISUSE:
        # What could not be written must not fail once more, at exit, with another code.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.exit(code)
