"""What a run found: a table of the targets, a table and a picture a workload.

python -m tests.bench.report DIR      # renew the text and pictures from DIR/results.json
"""

import json
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from tests.bench.servers import BY_NAME as SERVERS
from tests.bench.workloads import BY_NAME as WORKLOADS

Result: TypeAlias = dict[str, Any]

VALID = 2.4
"""The bare control is at least so many times as fast as uvicorn, or the run is void."""


@dataclass(frozen=True)
class Target:
    """A line of the aims: nbio's figure over another's is at least `least`."""

    what: str
    workload: str
    ours: str
    than: str
    least: float
    # Of a latency or memory less is better, and the ratio is the other one's over ours.
    figure: str = "rate"


ASGI_PEERS = "uvicorn|granian asgi|hypercorn"
PEERS = ASGI_PEERS + "|granian rsgi|socketify|aiohttp|granian wsgi|gunicorn"


def targets(version: tuple[int, ...]) -> Iterator[Target]:
    """The aims, which depend a little on Python's version."""
    newer = version >= (3, 12)
    yield Target("GET 13 B, ASGI / uvicorn", "get", "nbio asgi", "uvicorn", 1.6)
    yield Target("GET 13 B, ASGI / granian asgi", "get", "nbio asgi", "granian asgi", 1.6)
    yield Target("GET 13 B, ASGI / bare", "get", "nbio asgi", "bare", 0.60 if newer else 0.55)
    # The fastest peers' handlers have no task either.
    yield Target("GET 13 B, native inline / fastest peer", "get", "nbio inline", PEERS, 1.0)
    yield Target("GET 13 B, native inline / bare", "get", "nbio inline", "bare", 0.80)
    yield Target("GET 13 B, native in a task / fastest peer", "get", "nbio native", PEERS, 1.0)
    yield Target("GET 13 B, native in a task / bare", "get", "nbio native", "bare", 0.80)
    yield Target("POST 16 MiB, ASGI / fastest peer", "post-16m", "nbio asgi", ASGI_PEERS, 1.2)
    yield Target(
        "POST 16 MiB, native views / recv_into", "count-16m", "nbio native", "recv_into", 0.85
    )
    yield Target(
        "chunked 16 MiB, native views / recv_into of as many plain bytes",
        "chunked-16m",
        "nbio native",
        "recv_into",
        0.60,
    )
    yield Target("WSGI GET / gunicorn gthread", "get", "nbio wsgi", "gunicorn", 4.0)
    yield Target("WSGI GET / granian wsgi", "get", "nbio wsgi", "granian wsgi", 0.0)
    yield Target("websocket echo 64 B / fastest peer", "websocket-64", "nbio asgi", ASGI_PEERS, 1.0)
    yield Target("idle memory / every peer's", "idle", "nbio asgi", PEERS, 1.0, "less")
    yield Target("p99 at half load / every peer's", "latency", "nbio asgi", ASGI_PEERS, 1.0, "p99")


def median(cell: dict[str, Any] | None, key: str) -> float | None:
    """The median of a cell's rounds; None when there is none."""
    if cell is None or not cell[key] or cell["error"]:
        return None
    values: list[float] = cell[key]
    return statistics.median(values)


def cell_of(result: Result, workload: str, server: str) -> dict[str, Any] | None:
    """A cell. The control for uploads knows no chunks, so there its plain bytes stand in."""
    if workload == "chunked-16m" and server == "recv_into":
        workload = "count-16m"
    found: dict[str, Any] | None = result["cells"].get(workload, {}).get(server)
    return found


def judge(result: Result, target: Target) -> tuple[str, float] | None:
    """The hardest of the others, and our ratio to it."""
    less = target.figure in ("less", "p99")
    key = "p99" if target.figure == "p99" else "rate"
    ours = median(cell_of(result, target.workload, target.ours), key)
    if not ours:
        return None
    ratios = []
    for name in target.than.split("|"):
        theirs = median(cell_of(result, target.workload, name), key)
        if theirs:
            ratios.append(((theirs / ours) if less else (ours / theirs), name))
    if not ratios:
        return None
    ratio, name = min(ratios)
    return name, ratio


def aims(result: Result) -> Iterator[str]:
    """The table of the aims."""
    version = tuple(int(part) for part in result["machine"]["python"].split(".")[:2])
    yield "| aim | against | ratio | compiled | at least | |"
    yield "|---|---|---|---|---|---|"
    for target in targets(version):
        found = judge(result, target)
        compiled = judge(result, replace(target, ours=f"{target.ours} compiled"))
        least = f"{target.least:.2f}" if target.least else "-"
        if found is None:
            yield f"| {target.what} | | not measured | | {least} | |"
            continue
        name, ratio = found
        other = f"{compiled[1]:.2f}" if compiled is not None else ""
        yield (
            f"| {target.what} | {name} | {ratio:.2f} | {other} | {least} | "
            f"{verdict(target, ratio, compiled)} |"
        )


def verdict(target: Target, ratio: float, compiled: tuple[str, float] | None) -> str:
    """Whether an aim is met, and where only the compiled nbio meets it, that."""
    if not target.least:
        return ""
    if ratio >= target.least:
        return "met"
    return "met compiled" if compiled and compiled[1] >= target.least else "**missed**"


def number(value: float | None, form: str = ",.0f") -> str:
    return "" if value is None else format(value, form)


def spread(values: list[float], scale: float, form: str) -> str:
    """The least and the most, where there is more than one."""
    if len(values) < 2:
        return ""
    return f"{min(values) / scale:{form}} to {max(values) / scale:{form}}"


def columns(workload: str) -> tuple[str, float, str]:
    """What the first figure of a workload is, its scale and its form."""
    if workload == "idle":
        return "bytes a connection", 1, ",.0f"
    if WORKLOADS[workload].per == "GB":
        return "GB/s", 1e9, ".2f"
    return "requests/s", 1, ",.0f"


def table(workload: str, cells: dict[str, Any]) -> Iterator[str]:
    """A workload's table."""
    unit, scale, form = columns(workload)
    per = WORKLOADS[workload].per
    cpu = ("CPU s/GB", ".3f") if per == "GB" else ("CPU us/request", ".2f")
    last = "p50 us | p99 us" if workload == "latency" else f"{cpu[0]} | faults/{per}"
    yield f"| server | {unit} | spread | {last} | peak MiB | errors |"
    yield "|---|---|---|---|---|---|---|"
    for name, cell in cells.items():
        if not cell["rate"] or cell["error"]:
            yield f"| {name} | {cell['error'] or 'nothing'} | | | | | |"
            continue
        figure = statistics.median(cell["rate"])
        if workload == "latency":
            two = f"{number(median(cell, 'p50'))} | {number(median(cell, 'p99'))}"
        else:
            faults = number(median(cell, "faults"), ".3f" if per == "request" else ",.0f")
            two = f"{number(median(cell, 'cpu'), cpu[1])} | {faults}"
        yield (
            f"| {name} | {figure / scale:{form}} | {spread(cell['rate'], scale, form)} | {two} "
            f"| {cell['memory'] / 2**20:.0f} | {cell['errors']} |"
        )


def void(result: Result) -> str | None:
    """Why the run says nothing; None when it counts."""
    bare = median(cell_of(result, "get", "bare"), "rate")
    uvicorn = median(cell_of(result, "get", "uvicorn"), "rate")
    if not bare or not uvicorn:
        return None
    ratio = bare / uvicorn
    if ratio >= VALID:
        return None
    return f"void: the bare control is {ratio:.2f} x uvicorn, not {VALID}"


def text(result: Result) -> Iterator[str]:
    """The whole report as Markdown."""
    machine = result["machine"]
    libraries = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    yield f"# Python {machine['python']}, {machine['date']}"
    yield ""
    yield f"{machine['processor']}; {machine['system']}; {libraries}."
    yield (
        f"Medians of {result['rounds']} alternating rounds (twice as many for `get` and "
        f"`count-16m`) of {result['seconds']} s each; server on one core, client on the other."
    )
    yield ""
    wrong = void(result)
    if wrong:
        yield f"**{wrong}**"
        yield ""
    yield from aims(result)
    for name in WORKLOADS:
        if name not in result["cells"]:
            continue
        cells = result["cells"][name]
        yield ""
        yield f"## {name}: {WORKLOADS[name].title}"
        yield ""
        yield from table(name, cells)
        yield ""
        yield f"![{name}]({name}.png)"


COLOURS = {"control": "#888888", "nbio": "#c0392b", "peer": "#5b7fa6"}


def colour(name: str) -> str:
    if name.startswith("nbio"):
        return COLOURS["nbio"]
    return COLOURS["control" if SERVERS[name].kind == "control" else "peer"]


def draw(workload: str, cells: dict[str, Any], into: Path, footer: str) -> None:
    """One bar a server: the median, and a line from the least to the most."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    key = "p99" if workload == "latency" else "rate"
    unit, scale, _ = ("p99, microseconds", 1.0, "") if key == "p99" else columns(workload)
    found = [(name, cell[key]) for name, cell in cells.items() if cell[key] and not cell["error"]]
    if not found:
        return
    found.sort(key=lambda item: statistics.median(item[1]), reverse=key != "p99")
    figure, axes = pyplot.subplots(figsize=(8, 0.6 + 0.34 * len(found)), layout="constrained")
    middles = [statistics.median(values) / scale for _, values in found]
    low = [m - min(values) / scale for m, (_, values) in zip(middles, found, strict=True)]
    high = [max(values) / scale - m for m, (_, values) in zip(middles, found, strict=True)]
    names = [name for name, _ in found]
    axes.barh(names, middles, xerr=[low, high], color=[colour(name) for name in names])
    axes.invert_yaxis()
    axes.set_xlabel(f"{unit}    ({footer})", fontsize=8)
    axes.set_title(WORKLOADS[workload].title, fontsize=10)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(into / f"{workload}.png", dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def write(result: Result, into: Path, show: Callable[[str], None] = print) -> int:
    """Write the report; return 3 for a run that is void, else 0."""
    lines = list(text(result))
    (into / "results.md").write_text("\n".join(lines) + "\n")
    machine = result["machine"]
    for name, cells in result["cells"].items():
        draw(name, cells, into, f"Python {machine['python']}, {machine['date']}")
    show("\n".join(lines))
    return 3 if void(result) else 0


if __name__ == "__main__":
    where = Path(sys.argv[1])
    raise SystemExit(write(json.loads((where / "results.json").read_text()), where))
