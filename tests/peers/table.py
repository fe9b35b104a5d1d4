"""The table of who does what."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Row:
    """A case, and each server's outcome: empty where it's as demanded."""

    section: str
    name: str
    answers: Sequence[object]
    ends: str
    outcomes: dict[str, str] = field(default_factory=dict)

    @property
    def demanded(self) -> str:
        statuses = [str(a) if isinstance(a, int) else str(status(a)) for a in self.answers]
        return " ".join([*statuses, self.ends])


def status(answer: object) -> object:
    assert isinstance(answer, dict)
    return answer["status"]


def differences(rows: Sequence[Row], servers: Sequence[str]) -> str:
    """The cases in which a server does otherwise."""
    lines = ["| section | case | demanded | " + " | ".join(servers) + " |"]
    lines.append("|---|---|---|" + "---|" * len(servers))
    for row in rows:
        if any(row.outcomes.values()):
            cells = [row.outcomes[name] for name in servers]
            name = row.name.replace("|", "\\|")
            lines.append(f"| {row.section} | {name} | {row.demanded} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def summary(rows: Sequence[Row], servers: Sequence[str], versions: dict[str, str]) -> str:
    """How many cases each server decides as demanded."""
    lines = ["| server | version | as demanded | calls the application where we refuse |"]
    lines.append("|---|---|---|---|")
    for name in servers:
        same = sum(not row.outcomes[name] for row in rows)
        lenient = sum(
            row.outcomes[name].startswith("2")
            for row in rows
            if row.answers and isinstance(row.answers[0], int)
        )
        version = versions.get(name.split()[0], "")
        lines.append(f"| {name} | {version} | {same} of {len(rows)} | {lenient} |")
    return "\n".join(lines)
