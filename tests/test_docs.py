"""What the documentation shows is typed, and runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def blocks() -> list[str]:
    """Every Python block of every page."""
    return [b for p in PAGES for b in re.findall(r"```python\n(.*?)```", p.read_text(), re.DOTALL)]


def test_every_block_passes_mypy_strict(tmp_path: Path) -> None:
    assert len(blocks()) >= 2
    files = []
    for number, block in enumerate(blocks()):
        # A block that begins with a file's name may be imported by another.
        named = re.match(r"# (\w+\.py)\n", block)
        files.append(tmp_path / (named[1] if named else f"block{number}.py"))
        files[-1].write_text(block)
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--config-file",
            ROOT / "pyproject.toml",
            *files,
        ],
        cwd=ROOT,
        env=os.environ | {"MYPYPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("block", [b for b in blocks() if "print(check(" in b])
def test_a_block_that_checks_prints_what_it_says(block: str, tmp_path: Path) -> None:
    script = tmp_path / "example.py"
    script.write_text(block)
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    said = re.findall(r"# ([A-Z]+)", block)
    assert result.stdout.split() == said


def test_every_command_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert {"demo", "test", "verify"} <= targets
    makefile = (ROOT / "Makefile").read_text()
    for target in targets:
        assert f"\n{target}:" in makefile, f"make {target} is in the README only"
