"""Where options come from, and how they are shown.

A value on the command line goes before one in the environment, that before one in the file, and
that before the default. `nbio --print-config` prints what it comes to, as such a file.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from nbio.config import Config, Option, options

TRUE: Final = frozenset(["1", "true", "yes", "on"])
FALSE: Final = frozenset(["0", "false", "no", "off", ""])
SECRET: Final = frozenset(["ssl_keyfile_password"])
"""Options that are not shown."""

Values = dict[str, Any]


class Chosen(NamedTuple):
    """The options, and where each that isn't the default comes from."""

    config: Config
    origins: dict[str, str]


def choose(given: Values, environ: Mapping[str, str], path: str | None = None) -> Chosen:
    """Put together what was given on the command line, in the environment and in the file.

    Raises ValueError for a wrong value or name and says where it stands, OSError for a file that
    can't be read.
    """
    values: Values = {}
    origins: dict[str, str] = {}
    sources = [("the environment", from_environment(environ)), ("the command line", given)]
    if path is not None:
        sources.insert(0, (path, from_file(path)))
    for origin, found in sources:
        values.update(found)
        origins.update(dict.fromkeys(found, origin))
    try:
        return Chosen(Config(**values), origins)
    except ValueError as error:
        name = str(error).split()[0]
        where = f" ({origins[name]})" if name in origins else ""
        raise ValueError(f"{error}{where}") from None


def from_environment(environ: Mapping[str, str]) -> Values:
    """The options among the variables: NBIO_PORT is `port`; a list has commas in between.

    Raises ValueError for a text that isn't of the option's type. A variable that is like none
    of ours is somebody else's.
    """
    found: Values = {}
    for option in options():
        if option.variable in environ:
            text = environ[option.variable]
            try:
                found[option.name] = parse(option, text)
            except ValueError as error:
                raise ValueError(f"{option.variable} {error}") from None
    return found


def parse(option: Option, text: str) -> Any:
    """The value that a text means. Raises ValueError."""
    if option.many:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if isinstance(option.default, bool):
        word = text.strip().lower()
        if word not in TRUE | FALSE:
            raise ValueError(f"must be true or false, not {text!r}")
        return word in TRUE
    if isinstance(option.default, str):
        return text
    try:
        return type(option.default)(text)
    except ValueError:
        kind = "a whole number" if isinstance(option.default, int) else "a number"
        raise ValueError(f"must be {kind}, not {text!r}") from None


def from_file(path: str) -> Values:
    """The options in a TOML file: names as of `Config`, with - or _; in a pyproject.toml those
    of the table tool.nbio.

    Raises ValueError for what is no TOML or no option, OSError.
    """
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} isn't TOML: {error}") from None
    if Path(path).name == "pyproject.toml":
        table = table.get("tool", {}).get("nbio", {})
    known = {option.name: option for option in options()}
    found: Values = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in known:
            raise ValueError(f"{key} in {path} is no option; nbio --help names them all")
        found[name] = tuple(value) if isinstance(value, list) else value
    return found


def to_toml(chosen: Chosen) -> Iterator[str]:
    """The options as lines of a file, each with where it comes from."""
    group = ""
    for option in options():
        if option.doc.group != group:
            group = option.doc.group
            yield f"# {group}"
        value = getattr(chosen.config, option.name)
        if option.name in SECRET and value:
            yield f"# {option.name} is set and not shown  # {chosen.origins[option.name]}"
            continue
        origin = chosen.origins.get(option.name)
        yield f"{option.name} = {literal(value)}" + (f"  # {origin}" if origin else "")


def literal(value: object) -> str:
    """A value as TOML has it: of these types, as JSON has it too."""
    return json.dumps(list(value) if isinstance(value, tuple) else value)
