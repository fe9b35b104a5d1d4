"""The generated parts of the documentation: `python -m nbio.reference docs`, or `--check docs`.

options.md is made whole; operations.md has tables between `<!-- begin NAME -->` and
`<!-- end NAME -->`.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from nbio.access import ATOMS
from nbio.config import options
from nbio.metrics import METRICS
from nbio.options import literal

INTRODUCTION: Final = """\
Sizes are in bytes, times in seconds. A number in parentheses is the status, or close code, of the
refusal. An option is the same on the command line (`--max-body 1000`), in the environment
(`NBIO_MAX_BODY=1000`), in a TOML file (`--config`; `max_body = 1000`) and as a keyword
(`nbio.run(app, max_body=1000)`). The first of these that has it counts. Keywords stand alone: a
program that calls nbio decides for itself whether it reads an environment or a file."""

_BLOCK: Final = re.compile(
    r"(<!-- begin (?P<name>[a-z]+) -->\n).*?(<!-- end (?P=name) -->)", re.DOTALL
)


def options_page() -> Iterator[str]:
    """Every option, with its default."""
    yield "# Options"
    yield ""
    yield "<!-- Generated from nbio/config.py by `make emit`; don't edit. -->"
    yield ""
    yield INTRODUCTION
    group = ""
    for option in options():
        if option.doc.group != group:
            group = option.doc.group
            yield f"\n## {group}\n"
            yield "| option | default | |"
            yield "|---|---|---|"
        text = option.doc.text + (f" [{', '.join(option.choices)}]" if option.choices else "")
        more = f": {option.doc.more}" if option.doc.more else ""
        yield f"| `{option.flag}` | `{literal(option.default)}` | {text}{more} |"


def atoms_table() -> Iterator[str]:
    """The atoms of the access log."""
    yield "| atom | |"
    yield "|---|---|"
    for name, (_, text) in ATOMS.items():
        yield f"| `%({name})s` | {text} |"
    yield "| `%({name}i)s`, `%({name}o)s` | a field of the request, of the response |"


def metrics_table() -> Iterator[str]:
    """The metrics, a family a row."""
    yield "| metric | kind | |"
    yield "|---|---|---|"
    families: dict[str, str] = {}
    for metric in METRICS:
        name = "nbio_request_seconds" if metric.kind == "histogram" else metric.name
        families.setdefault(name, f"| `{name}` | {metric.kind} | {metric.text} |")
    yield from families.values()


def pages(directory: Path) -> Iterator[tuple[Path, str]]:
    """Each page, and what it is to be."""
    yield directory / "options.md", "\n".join(options_page()) + "\n"
    tables = {"atoms": "\n".join(atoms_table()), "metrics": "\n".join(metrics_table())}
    page = directory / "operations.md"
    text = page.read_text(encoding="utf-8")
    yield page, _BLOCK.sub(lambda match: f"{match[1]}{tables[match['name']]}\n{match[3]}", text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or only say which are stale."""
    parser = argparse.ArgumentParser(prog="python -m nbio.reference", description=main.__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--check", action="store_true")
    chosen = parser.parse_args(arguments)
    stale = 0
    for page, text in pages(chosen.directory):
        if page.exists() and page.read_text(encoding="utf-8") == text:
            continue
        if chosen.check:
            stale = 1
            print(f"{page} is stale: run make emit", file=sys.stderr)
        else:
            page.write_text(text, encoding="utf-8")
    return stale


if __name__ == "__main__":
    sys.exit(main())
