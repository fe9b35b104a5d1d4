"""`python -m nbio.testing replay trace.jsonl`: was that a run of the model?"""

import argparse
import sys
from collections.abc import Sequence

from nbio.testing.replay import TraceError, read, replay


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay traces; 0: all are runs of the model, 1: one isn't, 2: one is no trace."""
    parser = argparse.ArgumentParser(prog="python -m nbio.testing", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    replaying = commands.add_parser("replay", help="replay what `nbio --record-trace` wrote")
    replaying.add_argument("traces", nargs="+", metavar="trace.jsonl")
    wrong = 0
    for path in parser.parse_args(arguments).traces:
        try:
            recording = read(path)
        except (TraceError, OSError, UnicodeDecodeError) as error:
            print(f"nbio.testing: {path}: {error}", file=sys.stderr)
            return 2
        found = replay(recording)
        ended = "" if recording.complete else " (it was not closed: judged as far as it goes)"
        print(f"{path}: {found}{ended}")
        wrong |= found.refused is not None
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
