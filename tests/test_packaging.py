"""The wheel holds `nbio` only, the source archive everything."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return out


def test_the_wheel_holds_nbio_only(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"nbio"}
    sources = {p.relative_to(ROOT).as_posix() for p in (ROOT / "nbio").rglob("*.py")}
    assert sources <= set(names)
    assert "nbio/py.typed" in names


def test_the_source_archive_holds_everything(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = [name.partition("/")[2] for name in opened.getnames()]
    tops = {name.split("/")[0] for name in names}
    assert {"nbio", "model", "proofs", "tests", "docs", "Makefile", "LICENSE"} <= tops
    assert "model/CLAIMS.toml" in names
    assert not [n for n in names if n.startswith((".venv", "dist", ".git/"))]
