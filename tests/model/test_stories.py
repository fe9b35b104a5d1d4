"""The stories in ``traces/`` are runs of their models, as long as is claimed, and told as today.

``pytest tests/model/test_stories.py --rewrite-traces`` searches for all of them again.
"""

from pathlib import Path

import pytest

from model import stories

FOLDER = Path(__file__).parent / "traces"
CELLS = {cell.name: cell for cell in stories.cells()}


def told(name: str) -> str:
    return (FOLDER / f"{name}.txt").read_text(encoding="utf-8")


@pytest.fixture
def rewriting(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--rewrite-traces"))


@pytest.mark.parametrize("name", CELLS)
def test_a_story_is_the_shortest_run_to_its_violation(name: str, rewriting: bool) -> None:
    cell = CELLS[name]
    model = cell.model
    if rewriting:
        text = stories.written(cell, model, stories.search(cell))
        (FOLDER / f"{name}.txt").write_text(text, encoding="utf-8")
    steps = stories.read(told(name))
    assert tuple(steps) == cell.properties
    assert {p: len(s) for p, s in steps.items()} == {p: cell.claim.refuted()[p] for p in steps}
    traces = {p: stories.walk(model, p, s) for p, s in steps.items()}
    assert stories.written(cell, model, traces) == told(name)
    assert max(map(len, told(name).splitlines())) <= 100


def test_there_is_a_story_for_every_refuted_cell_and_no_other() -> None:
    assert {p.stem for p in FOLDER.glob("*.txt")} == set(CELLS)


def test_a_story_that_is_no_run_is_noticed() -> None:
    model, steps = CELLS["G1-A"].model, stories.read(told("G1-A"))["P1"]
    swapped = [*steps[:4], steps[5], steps[4], *steps[6:]]
    with pytest.raises(stories.StoryError, match="step 5 is none of the model there"):
        stories.walk(model, "P1", swapped)
    with pytest.raises(stories.StoryError, match="P1 still holds"):
        stories.walk(model, "P1", steps[:-1])
    with pytest.raises(stories.StoryError, match="P6 is violated before step"):
        stories.walk(model, "P6", stories.read(told("G1-A"))["P12"])
