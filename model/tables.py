"""The generated parts of README and docs: claims, the transition table, the TRUSTED files.

A page holds ``<!-- begin NAME -->`` and ``<!-- end NAME -->``; what stands between them is made
here from the manifest and the lifecycle, never by hand. ``python -m model table --check`` says
which page is stale.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from model import claims
from model.history import BEYOND, CONFIGURATIONS, DESIGNS
from model.lifecycle import OUTCOME_DOC, SLOT, Outcome
from nbio.verify.source import to_source

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "docs/lifecycle.md", "docs/trust.md", "docs/history.md")
_BLOCK = re.compile(r"(<!-- begin (?P<name>[a-z-]+) -->\n).*?(<!-- end (?P=name) -->)", re.DOTALL)


def claims_table(historic: bool) -> str:
    """One row a claim, with all its counts: of the final design's world, or of the history."""
    rows = [
        "| claim | bounds | states | transitions | depth | refuted |",
        "|---|---|---|---|---|---|",
    ]
    for c in _claims(historic):
        refuted = [f"{p} ({n})" for p, n in c.refuted().items()]
        says = "" if historic else f": {c.says}"
        rows.append(
            f"| `{c.name}` ({c.tier}){says} | {_bounds(c)} | {c.states:,} | {c.transitions:,} "
            f"| {c.depth} | {', '.join(refuted) or 'nothing'} |"
        )
    return "\n".join(rows)


def short_claims() -> str:
    """One row a claim about the final design's world, without what only its re-derivation needs."""
    rows = ["| claim | bounds | states | refuted |", "|---|---|---|---|"]
    for c in _claims(historic=False):
        refuted = ", ".join(c.refuted()) or "nothing"
        rows.append(f"| {c.says} (`{c.name}`) | {_bounds(c)} | {c.states:,} | {refuted} |")
    return "\n".join(rows)


def _claims(historic: bool) -> list[claims.Claim]:
    history = (*DESIGNS, *BEYOND)
    return [c for c in claims.load() if (c.model in history) is historic]


def _bounds(claim: claims.Claim) -> str:
    return ", ".join(f"{k} {v}" for k, v in claim.bounds.items()) or "as in the model"


def matrix() -> str:
    """Design by configuration: which properties are refuted there, and nothing where none is."""
    found = {c.name: c for c in claims.load()}
    rows = [
        f"| | {' | '.join(DESIGNS)} |",
        f"|---|{'---|' * len(DESIGNS)}",
    ]
    for name, (says, _) in CONFIGURATIONS.items():
        cells = (_ranges(found[f"{d}-{name}"].refuted()) for d in DESIGNS)
        rows.append(f"| **{name}**: {says} | {' | '.join(cells)} |")
    return "\n".join(rows)


def beyond_table() -> str:
    """What goes wrong beside the reader: one row a model."""
    found = {c.name: c for c in claims.load()}
    rows = ["| model | what it is | refuted |", "|---|---|---|"]
    for name, (design, _) in BEYOND.items():
        rows.append(f"| {name} | {design.says} | {_ranges(found[name].refuted())} |")
    return "\n".join(rows)


def _ranges(refuted: Iterable[str]) -> str:
    """``P1-4, 6``, or a full stop for nothing."""
    numbers = sorted(int(p.removeprefix("P")) for p in refuted)
    runs: list[list[int]] = []
    for n in numbers:
        if runs and n == runs[-1][-1] + 1:
            runs[-1].append(n)
        else:
            runs.append([n])
    told = [f"{r[0]}-{r[-1]}" if len(r) > 2 else ", ".join(map(str, r)) for r in runs]
    return f"P{', '.join(told)}" if told else "."


def designs_table() -> str:
    """One row a design."""
    rows = ["| design | of | what it does |", "|---|---|---|"]
    rows += [f"| {d.name} | {d.versions} | {d.says} |" for d in DESIGNS.values()]
    return "\n".join(rows)


def steps_table() -> str:
    """Every operation of every design, step by step; what a former design has is told once."""
    parts: list[str] = []
    told: dict[tuple[str, ...], str] = {}
    for d in DESIGNS.values():
        parts.append(f"**{d.name}** ({d.versions})\n")
        for what in ("acquire", "append", "read", "close", "release"):
            steps = tuple(line.says for line in getattr(d, what))
            if not steps:
                continue
            before = told.setdefault((what, *steps), d.name)
            text = "; ".join(_step(s) for s in steps)
            parts.append(f"- {WHAT[what]}: {text if before == d.name else f'as {before}'}")
        parts.append("")
    return "\n".join(parts).rstrip()


WHAT = {
    "acquire": "acquire",
    "append": "append, once a buffer",
    "read": "Read",
    "close": "Close",
    "release": "release, after its Close",
}


def _step(says: str) -> str:
    for word, name in (("{o}", "r"), ("{k}", "b")):
        says = says.replace(f"reader {word}", name).replace(f"buf {word}", name)
    return says.removeprefix("append ")


def transition_table() -> str:
    """One row a rule, in the order in which they are tried."""
    rows = ["| event | when | outcome | writes | because |", "|---|---|---|---|---|"]
    for event in SLOT.events.values():
        for rule in event.rules:
            writes = ", ".join(f"`{k} = {to_source(v)}`" for k, v in rule.writes.items())
            if len(rule.writes) == len(SLOT.fields):
                writes = "recycles: every field as new, generation + 1"
            when = to_source(rule.when)
            tried = "otherwise" if when == "True" else f"`{when}`"
            name = f"**{event.name}**" if rule is event.rules[0] else ""
            rows.append(
                f"| {name} | {tried} | {rule.outcome.name} | {writes or 'nothing'} "
                f"| {rule.because} |"
            )
    return "\n".join(rows)


def outcome_table() -> str:
    """One row an outcome."""
    rows = ["| outcome | code | meaning |", "|---|---|---|"]
    rows += [f"| {o.name} | {o.value} | {OUTCOME_DOC[o]} |" for o in Outcome]
    return "\n".join(rows)


def trusted_table() -> str:
    """Every file that must be believed, with its length."""
    rows = ["| file | lines | what it says |", "|---|---|---|"]
    for path in sorted(ROOT.glob("*/**/*.py")):
        if any(part.startswith(".") for part in path.relative_to(ROOT).parts):
            continue
        text = path.read_text(encoding="utf-8")
        if text.startswith('"""TRUSTED'):
            first = text[3:].splitlines()[0].removeprefix("TRUSTED:").strip()
            name = path.relative_to(ROOT).as_posix()
            rows.append(f"| `{name}` | {len(text.splitlines())} | {first} |")
    return "\n".join(rows)


TABLES: dict[str, Callable[[], str]] = {
    "claims": short_claims,
    "final": partial(claims_table, historic=False),
    "history": partial(claims_table, historic=True),
    "matrix": matrix,
    "beyond": beyond_table,
    "designs": designs_table,
    "steps": steps_table,
    "transitions": transition_table,
    "outcomes": outcome_table,
    "trusted": trusted_table,
}


def renewed(text: str, tables: Mapping[str, Callable[[], str]] = TABLES) -> str:
    """A page with its generated parts made again."""

    def fill(match: re.Match[str]) -> str:
        return f"{match[1]}{tables[match['name']]()}\n{match[3]}"

    return _BLOCK.sub(fill, text)


def stale_pages() -> list[str]:
    """Pages whose generated parts differ from what they should say now."""
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in PAGES}
    return [name for name, text in texts.items() if renewed(text) != text]


def write() -> None:
    """Renew every page."""
    for name in PAGES:
        path = ROOT / name
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
