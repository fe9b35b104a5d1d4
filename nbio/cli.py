"""The command line: `nbio module:app`, with an option for each field of `Config`."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from nbio.config import Config, Option, options
from nbio.options import choose, literal, to_toml

USAGE: Final = 2
"""Exit code for an application or option that is wrong; FAILED is the other."""

FAILED: Final = 1
"""Exit code for a server that couldn't start."""

COLUMN: Final = 29
"""Where the help's texts begin."""


class Parser(argparse.ArgumentParser):
    """A parser whose help has a line for each option, so that all of it fits on two screens."""

    def format_help(self) -> str:
        """The help."""
        return "\n".join(help_lines()) + "\n"


def help_lines() -> Iterator[str]:
    """The help, line by line."""
    yield "usage: nbio [options] module:app"
    yield "Serve an ASGI or WSGI application, or a native handler, over HTTP/1.1."
    yield line("module:app", "the application to import")
    yield line("--app-dir DIR", "directory to import it from [.]")
    yield line("--config FILE", "TOML file of options; a pyproject.toml has them in tool.nbio")
    yield line("--print-config", "print the options as such a file, and end")
    yield line("--version", "print the version, and whether it is compiled, and end")
    group = ""
    for option in options():
        if option.doc.group != group:
            group = option.doc.group
            yield f"{group}:"
        yield line(f"{option.flag} {placeholder(option)}", f"{option.doc.text}{default(option)}")
    yield "Sizes are in bytes, times in seconds. A number in parentheses is a refusal's status."
    yield "Also NBIO_NAME in the environment, or name in the file: the command line goes first."
    yield "Exit codes: 0 ended by a signal, 1 couldn't start, 2 wrong usage."


def line(left: str, right: str) -> str:
    """Two columns."""
    return f"  {left.strip():{COLUMN - 3}} {right}"


def placeholder(option: Option) -> str:
    """What stands for the value."""
    if isinstance(option.default, bool):
        return ""
    if option.many:
        return "X ..."
    return "X" if isinstance(option.default, str) else "N"


def default(option: Option) -> str:
    """The choices, the default first; or the default."""
    value = option.default
    if option.choices:
        return f" [{value}{''.join(f', {one}' for one in option.choices if one != value)}]"
    if isinstance(value, bool):
        return f" [on; --no-{option.flag[2:]}]" if value else ""
    if value in ("", ()):
        return ""
    return f" [{value if isinstance(value, str) else literal(value)}]"


def parser() -> argparse.ArgumentParser:
    """The parser, made from `Config`. What wasn't given isn't in its result."""
    result = Parser(prog="nbio", usage="nbio [options] module:app", allow_abbrev=False)
    result.add_argument("app", metavar="module:app", nargs="?")
    result.add_argument("--app-dir", default=".")
    result.add_argument("--config")
    result.add_argument("--print-config", action="store_true")
    result.add_argument("--version", action="store_true")
    for option in options():
        if isinstance(option.default, bool):
            result.add_argument(
                option.flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS
            )
        else:
            result.add_argument(
                option.flag,
                type=str if option.many else type(option.default),
                choices=option.choices or None,
                action="append" if option.many else "store",
                default=argparse.SUPPRESS,
            )
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    reader = parser()
    given = vars(reader.parse_args(arguments))
    reference, app_dir = given.pop("app"), given.pop("app_dir")
    path, printing = given.pop("config"), given.pop("print_config")
    if given.pop("version"):
        print(version())
        return 0
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
    try:
        chosen = choose(given, os.environ, path)
    except (ValueError, OSError) as error:
        return complain(error, USAGE)
    if printing:
        print("\n".join(to_toml(chosen)))
        return 0
    if reference is None:
        reader.error("say which application: nbio module:app")
    if app_dir not in sys.path:
        sys.path.insert(0, app_dir)
    return served(reference, chosen.config, app_dir)


def version() -> str:
    """The version, and what it runs on."""
    from importlib.metadata import version
    from platform import python_implementation, python_version

    from nbio.variant import COMPILED

    what = "compiled" if COMPILED else "source"
    return f"nbio {version('nbio')} ({what}), {python_implementation()} {python_version()}"


def served(reference: str, config: Config, app_dir: str) -> int:
    """Serve; return the exit code."""
    # Only now, so that --help is quick.
    from nbio import process
    from nbio.server import Server

    process.configure_logging(config)
    if not config.reload and config.workers == 1 and not config.max_requests:
        return process.outcome(lambda: process.serve_here(lambda: Server(reference, config)))
    from nbio.reload import watcher
    from nbio.supervisor import Supervisor

    def supervise() -> None:
        changes = partial(watcher, app_dir) if config.reload else None
        codes.append(Supervisor(reference, config, changes).run())

    codes: list[int] = []
    return process.outcome(supervise) or codes[0]


def complain(error: Exception, code: int) -> int:
    """Say it in one line."""
    print(f"nbio: error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
    return code
