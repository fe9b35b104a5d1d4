"""Reports for machines say what the checker found, and nothing in them can read as a pass."""

from __future__ import annotations

import json
import os
from xml.etree import ElementTree

import pytest

from nbio.verify import Bounds, Model, Report, Step, assert_confirmed, check
from nbio.verify.outputs import as_github, as_json, as_junit
from nbio.verify.report import render

NASTY = 'a "quoted" <tag> & 100%,\n:: \x00\x1b\ud800 ü'


def model(top: int = 4, claims: bool = True) -> Model:
    m = Model("up", constants={"top": top})
    at = m.integer("at", 0, top)
    late = m.boolean("late")

    @m.action(actor="clock", say="clock: ticks {{at}}")
    def tick(do: Step) -> None:
        do.when(at < top)
        do.set(at, at + 1)
        do.set(late, at >= 1)

    @m.action()
    def never(do: Step) -> None:
        do.when(at < 0)

    if claims:
        m.always("early", ~late, because=NASTY)
        m.always("low", at <= top, because="it stops at the top")
        m.sometimes("beyond", at > top, because="nobody gets there")
        m.done(at == top)
    else:
        m.checks_deadlock = False
    return m


@pytest.fixture(scope="module")
def refuted() -> Report:
    return check(model())


@pytest.fixture(scope="module")
def unknown() -> Report:
    return check(model(100_000), Bounds(states=1))


@pytest.fixture(scope="module")
def nothing() -> Report:
    return check(model(claims=False))


def test_json(refuted: Report) -> None:
    data = json.loads(as_json(refuted, "up.py:up"))
    assert data["schema"] == "nbio.verify/1"
    assert (data["model"], data["target"]) == ("up", "up.py:up")
    assert (data["verdict"], data["exit_code"]) == ("REFUTED", 1)
    assert data["constants"] == {"top": 4}
    search = data["search"]
    assert (search["states"], search["transitions"], search["depth"]) == (5, 4, 4)
    assert (search["generated"], search["initial"]) == (5, 1)
    assert (search["complete"], search["stopped"]) == (True, "")
    assert data["actions"] == {"tick": 4, "never": 0}
    assert "never happens" in data["warnings"][0]
    early, low, beyond, deadlock = data["properties"]
    assert (early["verdict"], early["depth"], early["because"]) == ("REFUTED", 2, NASTY)
    assert early["file"] == __file__
    assert (low["verdict"], low["trace"]) == ("CONFIRMED", [])
    assert (beyond["kind"], beyond["verdict"]) == ("sometimes", "REFUTED")
    assert (deadlock["file"], deadlock["line"]) == (None, None)
    assert early["trace"][0] == {
        "step": 0,
        "action": None,
        "actor": None,
        "says": None,
        "changed": {},
        "state": {"at": "0", "late": "no"},
    }
    assert early["trace"][2] == {
        "step": 2,
        "action": "tick",
        "actor": "clock",
        "says": "ticks {at}",
        "changed": {"at": "2", "late": "yes"},
        "state": {"at": "2", "late": "yes"},
    }


def test_json_of_a_search_that_stopped(unknown: Report) -> None:
    data = json.loads(as_json(unknown))
    assert (data["verdict"], data["exit_code"]) == ("UNKNOWN", 3)
    assert data["search"]["complete"] is False
    assert data["search"]["stopped"] == "more than 1 states"
    assert {p["verdict"] for p in data["properties"]} == {"UNKNOWN"}


def test_junit(refuted: Report) -> None:
    top = ElementTree.fromstring(as_junit(refuted, "up.py:up").encode())
    suite = top[0]
    for element in (top, suite):
        assert {k: element.get(k) for k in ("tests", "failures", "errors")} == {
            "tests": "4",
            "failures": "2",
            "errors": "0",
        }
    cases = {c.get("name"): c for c in suite.findall("testcase")}
    assert list(cases) == ["always early", "always low", "sometimes beyond", "always deadlock"]
    assert [len(c) for c in cases.values()] == [1, 0, 1, 0]
    failure = cases["always early"][0]
    assert (failure.tag, failure.get("type")) == ("failure", "REFUTED")
    assert 'a "quoted" <tag> & 100%,' in (failure.get("message") or "")
    assert "early is violated after 2 steps" in (failure.text or "")
    assert "ticks" in (failure.text or "")
    assert cases["always early"].get("file") == os.path.relpath(__file__)
    assert "holds in none of 5 reachable states" in (cases["sometimes beyond"][0].text or "")


def test_junit_unknown_is_an_error(unknown: Report) -> None:
    suite = ElementTree.fromstring(as_junit(unknown).encode())[0]
    assert (suite.get("errors"), suite.get("failures")) == ("4", "0")
    errors = suite.findall("testcase/error")
    assert {e.get("type") for e in errors} == {"UNKNOWN"}
    assert "more than 1 states" in (errors[0].text or "")


def test_github(refuted: Report) -> None:
    lines = as_github(refuted, "up.py:up").splitlines()
    errors = [line for line in lines if line.startswith("::error ")]
    assert len(errors) == 2
    place = next(p for p in refuted.model.properties if p.name == "early").place
    line = place.rpartition(":")[2]
    fields, _, message = errors[0].removeprefix("::error ").partition("::")
    assert fields.endswith(f"test_outputs.py,line={line},title=always early%3A REFUTED")
    assert not fields.startswith("file=/")
    assert "100%25,%0A:: " in message or "100%25" in message
    warnings = [line for line in lines if line.startswith("::warning ")]
    assert len(warnings) == 1
    assert ",line=" in warnings[0]


def test_github_unknown_names_the_target(unknown: Report) -> None:
    lines = as_github(unknown, "up.py:up").splitlines()
    assert sum(line.startswith("::error ") for line in lines) == 4
    assert "::error file=up.py,title=always deadlock%3A UNKNOWN::" in "\n".join(lines)


def test_a_model_that_claims_nothing_passes_nowhere(nothing: Report) -> None:
    assert json.loads(as_json(nothing))["exit_code"] == 3
    suite = ElementTree.fromstring(as_junit(nothing).encode())[0]
    assert (suite.get("tests"), suite.get("errors")) == ("1", "1")
    assert "::error file=up.py,title=UNKNOWN::the model states no property" in as_github(
        nothing, "up.py:up"
    )


def test_assert_confirmed_carries_the_story() -> None:
    with pytest.raises(AssertionError, match=r"(?s)early is violated after 2 steps.*ticks"):
        assert_confirmed(model())
    with pytest.raises(AssertionError, match="UNKNOWN"):
        assert_confirmed(model(claims=False))
    good = model()
    good.properties = [p for p in good.properties if p.name == "low"]
    with pytest.raises(AssertionError, match="more than 1 states"):
        assert_confirmed(good, Bounds(states=1))
    assert assert_confirmed(good).found.states == 5


def looking() -> Model:
    """Somebody looks (unseen) before each of its turns; another takes one between."""
    m = Model("looking")
    at = m.integer("at", 0, 4)
    looked = m.integers("looked", m.index("one", 1), 0, 4, hidden=True)

    def step(name: str, actor: str, number: int, effect: bool) -> None:
        def body(do: Step) -> None:
            do.when(looked[0] == number)
            do.set(looked[0], number + 1)
            do.set(at, number + 1, effect)

        m.add_action(name, body, {}, actor=actor, say=f"{actor}: {name}")

    step("looks", "anna", 0, False)
    step("moves", "anna", 1, True)
    step("peeks", "anna", 2, False)
    step("jumps", "bob", 3, True)
    m.always("low", at < 4, because="nobody jumps")
    m.checks_deadlock = False
    return m


def test_steps_that_change_nothing_share_a_row_with_their_actors_next() -> None:
    report = check(looking())
    plain, folded = (
        [line.split(" | ")[0].strip() for line in render(report, fold=fold).splitlines()]
        for fold in (False, True)
    )
    assert [n for n in plain if n[:1].isdigit() and " " not in n] == ["1", "2", "3", "4"]
    # Anna's last look isn't Bob's.
    assert [n for n in folded if n[:1].isdigit() and " " not in n] == ["1-2", "3", "4"]
    assert "looks; moves" in render(report, fold=True)
