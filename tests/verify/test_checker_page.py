"""What docs/checker.md shows is what happens: its files, its commands, its output."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from nbio.verify import Verdict, check
from nbio.verify.targets import Target

PAGE = (Path(__file__).parents[2] / "docs" / "checker.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL))
SHOWN = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True
    )


def test_the_counterexample_is_the_one_that_is_shown(folder: Path) -> None:
    out = run(folder, "nbio.verify", "check", "my_model.py")
    assert out.returncode == 1
    # Time and rate differ; the line before the blank one ends with them.
    assert re.sub(r"(depth \d+), .*", r"\1", out.stdout) == SHOWN[0]


def test_the_mended_design_is_confirmed_from_the_shell(folder: Path) -> None:
    sets = ("--set", "atomic=1", "--set", "parties=5")
    assert run(folder, "nbio.verify", "check", "my_model.py", *sets).returncode == 0


def test_the_tests_pass(folder: Path) -> None:
    out = run(folder, "pytest", "-q", "-p", "no:cacheprovider", "test_my_pool.py")
    assert out.returncode == 0, out.stdout
    assert "2 passed" in out.stdout


def test_the_mended_code_refuses_as_is_shown(folder: Path) -> None:
    mended = FILES["my_pool.py"].replace('        replay.at("mark", by=by)\n', "")
    (folder / "my_pool.py").write_text(mended, encoding="utf-8")
    test = FILES["test_my_pool.py"].replace("    assert outcome.complete", "    print(outcome)\n#")
    (folder / "test_my_pool.py").write_text(test, encoding="utf-8")
    out = run(folder, "pytest", "-q", "-p", "no:cacheprovider", "test_my_pool.py")
    assert SHOWN[1] in out.stdout
    assert out.returncode == 1


@pytest.mark.parametrize(
    ("producers", "consumers", "places"),
    [(1, 1, 1), (2, 1, 1), (1, 2, 1), (2, 1, 2), (2, 2, 2), (3, 2, 2), (3, 3, 3), (4, 3, 3)],
)
def test_a_queue_deadlocks_where_threads_are_more_than_twice_the_places(
    folder: Path, monkeypatch: pytest.MonkeyPatch, producers: int, consumers: int, places: int
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    constants = {"producers": producers, "consumers": consumers, "places": places}
    model, _ = Target.parse(str(folder / "blocking_queue.py")).build(constants)
    report = check(model)
    stuck = producers + consumers > 2 * places
    assert report.verdict is (Verdict.REFUTED if stuck else Verdict.CONFIRMED)
    if (producers, consumers, places) == (2, 1, 1):
        assert report.result("deadlock").depth == 8
