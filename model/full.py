"""When the claims of the full tier were last recomputed, by whom, and from which sources.

They take too long for every run, so ``make verify-full`` recomputes them and records each in
``FULL.toml``: the date, the machine, and the SHA-256 of the sources of its model. ``make check``
fails where a claim was never recomputed, or its model has changed since.
"""

import ast
import hashlib
import platform
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from model import claims, registry

PATH = Path(__file__).resolve().parent / "FULL.toml"
ROOT = PATH.parent.parent
COMMAND = "python -m model verify --tier full"
HEADER = f"""\
# When each claim of the full tier was last recomputed and came out as claimed; written by
# `{COMMAND}` (make verify-full). sources is the SHA-256 of the model's files.
"""


def sources(model: str) -> str:
    """The digest of the files that say what the model is: its own and what they import here."""
    digest = hashlib.sha256()
    for path in sorted(imported(registry.module_of(model))):
        digest.update(path.relative_to(ROOT).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def imported(name: str, seen: dict[Path, None] | None = None) -> dict[Path, None]:
    """A module of the package ``model`` and all that it imports of it."""
    seen = {} if seen is None else seen
    path = _file(name)
    if path is None or path in seen:
        return seen
    seen[path] = None
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for inner in (node.module, *(f"{node.module}.{a.name}" for a in node.names)):
                imported(inner, seen)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                imported(alias.name, seen)
    return seen


def _file(name: str) -> Path | None:
    if name.partition(".")[0] != "model":
        return None
    base = ROOT.joinpath(*name.split("."))
    found = [p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()]
    return found[0] if found else None


def machine() -> str:
    """What this runs on, in one line."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        named = [x for x in info.read_text(encoding="utf-8").splitlines() if "model name" in x]
        cpu = named[0].partition(":")[2].strip() if named else cpu
    return f"{cpu}, {platform.system()}, Python {platform.python_version()}"


def load() -> dict[str, dict[str, str]]:
    """What is recorded, by claim."""
    if not PATH.exists():
        return {}
    data = tomllib.loads(PATH.read_text(encoding="utf-8"))
    return {name: {k: str(v) for k, v in row.items()} for name, row in data.items()}


def record(done: Mapping[str, claims.Claim]) -> None:
    """Note claims that were recomputed just now and came out as claimed."""
    rows = load()
    today, here = datetime.now(UTC).date().isoformat(), machine()
    for name, claim in done.items():
        rows[name] = {"date": today, "machine": here, "sources": sources(claim.model)}
    wanted = [c.name for c in claims.load() if c.tier == "full"]
    parts = [
        f'["{name}"]\n' + "".join(f'{k} = "{v}"\n' for k, v in rows[name].items())
        for name in wanted
        if name in rows
    ]
    PATH.write_text("\n".join([HEADER, *parts]), encoding="utf-8")


def stale() -> Iterator[str]:
    """What is wrong with the record, a line each; nothing where it is fresh."""
    rows = load()
    for claim in claims.load():
        if claim.tier != "full":
            continue
        row = rows.get(claim.name)
        if row is None:
            yield f"claim {claim.name} was never recomputed: run {COMMAND}"
        elif row["sources"] != sources(claim.model):
            yield f"the model of claim {claim.name} has changed since {row['date']}: run {COMMAND}"
