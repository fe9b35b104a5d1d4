"""Claims are data: ``CLAIMS.toml`` is read, recomputed, and compared.

A claim names a model and its bounds, the properties that hold and those that are refuted (with the
length of the shortest counterexample), and the number of states and transitions and the depth of
the whole graph. Any difference fails.
"""

import textwrap
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.registry import build
from nbio.verify.check import Report, check
from nbio.verify.engine import Bounds, Verdict

PATH = Path(__file__).resolve().parent / "CLAIMS.toml"

HEADER = """\
# Every claim the project makes about its models; `make verify` recomputes the ci tier and fails
# on any difference, `make verify-full` the rest. Renewed by: python -m model verify --rewrite
# states, transitions and depth are of the whole graph (violating states are expanded as well);
# a refuted property carries the length in steps of its shortest counterexample.
"""


@dataclass(frozen=True)
class Claim:
    """One row of the manifest."""

    name: str
    model: str
    tier: str
    says: str
    bounds: Mapping[str, int]
    states: int
    transitions: int
    depth: int
    properties: Mapping[str, str]

    @property
    def command(self) -> str:
        """What re-derives it."""
        sets = "".join(f" --set {k}={v}" for k, v in self.bounds.items())
        return f"python -m model check {self.model}{sets}"

    def refuted(self) -> dict[str, int]:
        """Refuted properties, with the length of the shortest counterexample."""
        return {p: int(v.split()[-1]) for p, v in self.properties.items() if "REFUTED in" in v}


def load(path: Path = PATH) -> list[Claim]:
    """Every claim of the manifest; KeyError names a missing entry."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    return [_claim(c) for c in data["claim"]]


def _claim(row: Mapping[str, object]) -> Claim:
    def number(key: str) -> int:
        value = row[key]
        if not isinstance(value, int):
            raise TypeError(f"claim {row.get('name')}: {key} is {value!r}, not a number")
        return value

    def table(key: str) -> Mapping[str, object]:
        value = row[key]
        if not isinstance(value, dict):
            raise TypeError(f"claim {row.get('name')}: {key} is {value!r}, not a table")
        return value

    holds = row["holds"]
    if not isinstance(holds, list):
        raise TypeError(f"claim {row.get('name')}: holds is {holds!r}, not a list")
    properties = {str(name): Verdict.CONFIRMED.name for name in holds}
    properties |= {name: _refuted(steps) for name, steps in table("refuted").items()}
    return Claim(
        str(row["name"]),
        str(row["model"]),
        str(row["tier"]),
        str(row["says"]),
        {k: v for k, v in table("bounds").items() if isinstance(v, int)},
        number("states"),
        number("transitions"),
        number("depth"),
        properties,
    )


def _refuted(steps: object) -> str:
    """In the manifest -1 says that there is no counterexample to count: a premise never happens."""
    return Verdict.REFUTED.name if steps == -1 else f"REFUTED in {steps}"


def verdicts(report: Report) -> dict[str, str]:
    """What a report found, in a claim's words: ``CONFIRMED`` or ``REFUTED in 9``."""
    words: dict[str, str] = {}
    for r in report.results:
        refuted_in = r.verdict == Verdict.REFUTED and r.depth is not None
        words[r.name] = f"REFUTED in {r.depth}" if refuted_in else r.verdict.name
    return words


@dataclass(frozen=True)
class Checked:
    """A claim, what was found, and every difference between the two."""

    claim: Claim
    report: Report
    differences: tuple[str, ...]

    def renewed(self) -> Claim:
        """The claim with what was found now in place of what was claimed."""
        c, f = self.claim, self.report.found
        found = verdicts(self.report)
        return Claim(
            c.name, c.model, c.tier, c.says, c.bounds, f.states, f.transitions, f.depth, found
        )


def recheck(claim: Claim, whole: bool = False) -> Checked:
    """Recompute one claim.

    Unless the ``whole`` graph is asked for, one that outgrows the claim by far is not searched to
    its end.
    """
    bounds = Bounds() if whole else Bounds(states=2 * claim.states + 10_000)
    report = check(build(claim.model, claim.bounds), bounds, traces=False)
    return Checked(claim, report, tuple(_differences(claim, report)))


def _differences(claim: Claim, report: Report) -> Iterator[str]:
    found, because = verdicts(report), {r.name: r.because for r in report.results}
    for name in {**claim.properties, **found}:
        wanted, got = claim.properties.get(name, "no claim"), found.get(name, "not judged")
        undecided = report.found.stopped and got == Verdict.UNKNOWN.name
        if wanted != got and not undecided:
            yield f"{name} ({because.get(name, '?')}): claimed {wanted}, found {got}"
    if report.found.stopped:
        yield f"states: claimed {claim.states:,}, stopped at {report.found.stopped}"
        return
    sizes = {
        "states": (claim.states, report.found.states),
        "transitions": (claim.transitions, report.found.transitions),
        "depth": (claim.depth, report.found.depth),
    }
    for name, (said, got_size) in sizes.items():
        if said != got_size:
            yield f"{name}: claimed {said:,}, found {got_size:,}"


def written(claims: Sequence[Claim]) -> str:
    """The manifest."""
    return "\n".join([HEADER, *map(_row, claims)])


def _row(c: Claim) -> str:
    bounds = ", ".join(f"{k} = {v}" for k, v in c.bounds.items())
    holds = [f'"{p}"' for p, v in c.properties.items() if v == Verdict.CONFIRMED.name]
    steps = c.refuted()
    no = {p: steps.get(p, -1) for p, v in c.properties.items() if v != Verdict.CONFIRMED.name}
    refuted = ", ".join(f"{_key(p)} = {n}" for p, n in no.items())
    return (
        f'[[claim]]\nname = "{c.name}"\nmodel = "{c.model}"\ntier = "{c.tier}"\n'
        f'says = "{c.says}"\nbounds = {{ {bounds} }}\n'
        f'command = "{c.command}"\n'
        f"states = {c.states}\ntransitions = {c.transitions}\ndepth = {c.depth}\n"
        f"refuted = {{ {refuted} }}\nholds = [\n{_wrapped(holds)}\n]\n"
    )


def _wrapped(names: Sequence[str]) -> str:
    text = " ".join(f"{name},".replace(" ", "\0") for name in names)
    lines = textwrap.wrap(text, 90, break_on_hyphens=False)
    return "\n".join(f"    {line}" for line in lines).replace("\0", " ")


def _key(name: str) -> str:
    return name if name.isidentifier() else f'"{name}"'
