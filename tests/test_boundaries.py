"""Imports run one way, and a lazy package loads only what is asked for."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# package -> what it may import of this project
MAY_IMPORT = {
    "nbio/verify": ("nbio.verify",),
    "nbio": ("nbio",),
    # A record's format has one home, in the wheel: who replays one in a checkout reads it there.
    "model": ("model", "nbio.verify", "nbio.testing.replay"),
    "proofs": ("proofs", "model", "nbio"),
}
OURS = ("nbio", "model", "proofs", "tests")


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def violations(package: str, path: Path, source: str) -> list[str]:
    allowed = MAY_IMPORT[package]
    found = []
    for name in imported(ast.parse(source)):
        if name.split(".")[0] not in OURS:
            continue
        inside = any(name == a or name.startswith(a + ".") for a in allowed)
        # `from nbio import verify` names the package nbio on its way.
        towards = any(a.startswith(name + ".") for a in allowed)
        of_verify = package == "nbio" and (name + ".").startswith("nbio.verify.")
        if of_verify or not (inside or towards):
            found.append(f"{path}: imports {name}")
    return found


def files(package: str) -> list[Path]:
    paths = sorted((ROOT / package).rglob("*.py"))
    if package == "nbio":
        paths = [p for p in paths if (ROOT / "nbio" / "verify") not in p.parents]
    return paths


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_run_one_way(package: str) -> None:
    paths = files(package)
    assert paths
    found = [v for p in paths for v in violations(package, p, p.read_text(encoding="utf-8"))]
    assert found == []


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("nbio", "from nbio.verify import check"),
        ("nbio", "import model.final"),
        ("nbio/verify", "from nbio.pool import BodyPool"),
        ("model", "from nbio.pool import BodyPool"),
        ("model", "import proofs"),
        ("proofs", "import tests.conftest"),
    ],
)
def test_a_wrong_import_is_seen(package: str, source: str) -> None:
    assert violations(package, Path("seeded.py"), source)


def loaded_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(run.stdout.split())


def test_import_nbio_loads_no_checker() -> None:
    loaded = loaded_after("import nbio; nbio.Request; nbio.Server")
    assert "nbio.server" in loaded
    assert not {m for m in loaded if m.startswith(("nbio.verify", "numpy", "z3", "model"))}


def test_import_verify_loads_no_server() -> None:
    loaded = loaded_after("import nbio.verify; nbio.verify.Model; nbio.verify.check")
    assert "nbio.verify.engine" in loaded
    assert not {m for m in loaded if m in ("nbio.server", "nbio.pool", "httptools", "uvloop")}
    assert not {m for m in loaded if m.split(".")[0] in ("z3", "scipy", "rich")}
