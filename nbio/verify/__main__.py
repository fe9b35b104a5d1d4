"""``python -m nbio.verify``: see :mod:`nbio.verify.cli`."""

import os
import sys

import nbio.verify

if __name__ == "__main__":
    try:
        # Without NumPy this says what to install.
        nbio.verify.check  # noqa: B018
    except ModuleNotFoundError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    from nbio.verify.cli import MISUSE, main

    # An array of many cells that is read by a variable index is a choice nested as deep.
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 10_000))
    code = main()
    if code == MISUSE:
        # What could not be written must not fail once more, at exit, with another code.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.exit(code)
