"""`python -m nbio`."""

import sys

from nbio.cli import main

if __name__ == "__main__":
    sys.exit(main())
