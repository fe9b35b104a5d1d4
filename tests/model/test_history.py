"""The history's claims against what is known of it, and the models' command line.

The verdicts below were established apart from this project, by an exhaustive search over memory
steps with another checker; ours must be the same in every cell that they state.
"""

import pytest

from model import claims, full, registry
from model.__main__ import main
from model.history import CONFIGURATIONS, DESIGNS
from nbio.verify.check import check
from nbio.verify.expr import ModelError

HOLDS = ""
SOMEHOW = "somehow"
"""Known to be refuted; by which property is not."""

KNOWN = {
    "A": {
        "G1": "1 2 3 4 6 8 10 11 12",
        "F1": "2 3 4 6 8 10 11",
        "F2": "2 3 4 6 8 10 11",
        **dict.fromkeys(("G0", "G2", "G3", "G4", "F1b", "F2w", "F3n", "F3x", "F3", "F4"), HOLDS),
    },
    "B": {
        "G1": "1 2 3 4 6 7 8 9 10 11 12",
        "G2": "2 4 7 9",
        "G3": "2 4 7 9",
        "F1": "2 3 4 6 7 8 9 10 11",
        "F2": "2 3 4 6 7 8 9 10 11",
        **dict.fromkeys(("G0", "G4", "F1b", "F2w", "F3n", "F3x", "F3", "F4"), HOLDS),
    },
    "J": {
        "G0": "2 4 7",
        "G2": SOMEHOW,
        "G3": "2 4 7 8 9 10",
        "G4": "2 4 7 8 10",
        "F1": SOMEHOW,
        "F1b": "2 4 7 8 10",
        "F2": SOMEHOW,
        "F2w": "2 3 4 6 7 8 10 11",
        "F3n": "2 4 7 8 10",
        "F3x": "8",
        "F3": HOLDS,
        "F4": HOLDS,
    },
    "C": {
        **dict.fromkeys(("G0", "G1", "G2", "G3", "F1", "F2"), SOMEHOW),
        "G4": "2 3 4 6 7 8 9 10 11",
        "F1b": "2 3 4 6 7 8 9 10 11",
        "F2w": "2 3 4 6 7 8 10 11",
        "F3n": "2 4 7 8 10",
        "F3x": "8",
        "F3": HOLDS,
        "F4": HOLDS,
    },
}
CELLS = [(d, c) for c, row in KNOWN.items() for d in row]
CLAIMED = {c.name: c for c in claims.load()}


@pytest.mark.parametrize(("design", "configuration"), CELLS)
def test_every_known_verdict_is_claimed(design: str, configuration: str) -> None:
    known, refuted = KNOWN[configuration][design], CLAIMED[f"{design}-{configuration}"].refuted()
    if known == SOMEHOW:
        assert refuted
    else:
        assert refuted.keys() == {f"P{n}" for n in known.split()}


@pytest.mark.parametrize(
    ("design", "refuted"),
    [("G1", True), ("F1", True), ("G4", False), ("F3", False), ("F4", False)],
)
def test_a_live_request_s_reader_is_handed_out_again(design: str, refuted: bool) -> None:
    assert ("P5" in CLAIMED[f"{design}-A3"].refuted()) is refuted


def test_every_design_is_claimed_in_every_configuration_at_its_bounds() -> None:
    for design in DESIGNS:
        for configuration in CONFIGURATIONS:
            claim = CLAIMED[f"{design}-{configuration}"]
            assert claim.model == design
            named = registry.constants_of(registry.MODELS[f"{design}-{configuration}"])
            assert {k: v for k, v in claim.bounds.items() if v} == {
                k: v for k, v in named.items() if v
            }


def test_every_full_claim_has_a_smaller_one_in_the_ci_tier() -> None:
    small = [c for c in claims.load() if c.tier == "ci"]
    for claim in claims.load():
        if claim.tier == "full":
            of_model = [c for c in small if c.model == claim.model]
            assert any(c.transitions < claim.transitions for c in of_model), claim.name


def test_a_full_claim_whose_model_has_changed_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not list(full.stale())
    recorded = full.load()
    name = next(iter(recorded))
    recorded[name]["sources"] = "0" * 64
    monkeypatch.setattr(full, "load", lambda: recorded)
    assert [line for line in full.stale() if f"the model of claim {name} has changed" in line]
    del recorded[name]
    assert [line for line in full.stale() if f"claim {name} was never recomputed" in line]


def test_the_sources_of_a_model_are_its_own() -> None:
    names = {p.name for p in full.imported("model.history")}
    assert {"stage.py", "steps.py", "ground.py", "g0.py", "f3.py"} <= names
    assert not {"final.py", "world.py", "lifecycle.py", "claims.py"} & names


def test_parties_and_bounds_can_be_combined(capsys: pytest.CaptureFixture[str]) -> None:
    sets = ["joined=1", "leftovers=1", "closers=1", "operations=1", "ordinary=0"]
    argv = ["check", "F3", *(part for s in sets for part in ("--set", s))]
    assert main(argv) == 0
    assert "joined=1 leftovers=1 closers=1 bodiless=0" in capsys.readouterr().out


def test_a_request_without_a_body_shows_the_signature_in_ordinary_use() -> None:
    # Its acquire stores a nil engine into a reader that was put twice and has another owner.
    constants = {"requests": 3, "operations": 1, "bodiless": 1}
    report = check(registry.build("G1", constants), traces=False)
    assert report.result("P12").verdict.name == "REFUTED"
    assert check(registry.build("G4", constants), traces=False).verdict.name == "CONFIRMED"


def test_an_unknown_model_is_told_what_there_is() -> None:
    with pytest.raises(ModelError, match=r"there are: G0, G1.*-A, -A3, -B, -J, -C"):
        registry.build("G9", {})
