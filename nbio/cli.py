"""The command line: `nbio module:app`, with an option for each field of `Config`."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, get_type_hints

from nbio.config import CHOICES, Config, Doc
from nbio.errors import NbioError

USAGE = 2
"""Exit code for an application or option that is wrong."""

FAILED = 1
"""Exit code for a server that couldn't start."""


def parser() -> argparse.ArgumentParser:
    """The parser, made from `Config`."""
    result = argparse.ArgumentParser(
        prog="nbio",
        description="Serve an ASGI application or a native handler over HTTP/1.1.",
        epilog="Sizes are in bytes, times in seconds. A number in parentheses is the status of "
        "the refusal. Exit codes: 0 ended by a signal, 1 couldn't start, 2 wrong usage.",
    )
    result.add_argument("app", metavar="module:app", help="the application to import")
    result.add_argument("--app-dir", default=".", help="directory to import it from (default: .)")
    groups: dict[str, Any] = {}
    hints = get_type_hints(Config, include_extras=True)
    for field in fields(Config):
        doc = next(item for item in hints[field.name].__metadata__ if isinstance(item, Doc))
        group = groups.get(doc.group)
        if group is None:
            group = groups[doc.group] = result.add_argument_group(doc.group)
        flag = f"--{field.name.replace('_', '-')}"
        if isinstance(field.default, bool):
            group.add_argument(flag, action="store_true", help=doc.text)
            continue
        group.add_argument(
            flag,
            type=type(field.default),
            choices=CHOICES.get(field.name),
            default=field.default,
            metavar=None if field.name in CHOICES else type(field.default).__name__,
            help=f"{doc.text} (default: {field.default!s})".replace("%", "%%"),
        )
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    chosen = vars(parser().parse_args(arguments))
    reference, app_dir = chosen.pop("app"), chosen.pop("app_dir")
    # Only now, so that --help is quick.
    from nbio.loading import AppError
    from nbio.server import configure_logging, run

    configure_logging()
    if app_dir not in sys.path:
        sys.path.insert(0, app_dir)
    try:
        config = Config(**chosen)
    except ValueError as error:
        return complain(error, USAGE)
    try:
        run(reference, config)
    except AppError as error:
        return complain(error, USAGE)
    except (NbioError, OSError) as error:
        return complain(error, FAILED)
    return 0


def complain(error: Exception, code: int) -> int:
    """Say it in one line."""
    print(f"nbio: error: {' '.join(str(error).split())}", file=sys.stderr)
    return code
