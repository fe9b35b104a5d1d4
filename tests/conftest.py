"""No test may leave a slot or a block out of its pool; and what tests have to tell is printed."""

from typing import Protocol

import pytest

from nbio.variant import COMPILED

pytest_plugins = ["nbio.testing.plugin"]

TOLD = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite-traces", action="store_true", help="search for the stories in traces/ again"
    )


def pytest_report_header() -> str:
    return f"nbio: {'compiled' if COMPILED else 'source'}"


@pytest.fixture(scope="session")
def told(request: pytest.FixtureRequest) -> list[str]:
    """Lines for the end of the run."""
    return request.config.stash.setdefault(TOLD, [])


def pytest_sessionfinish(session: pytest.Session) -> None:
    # A worker process of pytest-xdist, whose lines the controller prints.
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["told"] = session.config.stash.get(TOLD, [])


class Node(Protocol):
    """A worker process, as the controller of pytest-xdist sees it when it is done."""

    config: pytest.Config
    workeroutput: dict[str, list[str]]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Node, error: object) -> None:
    # One that was killed has none.
    lines = getattr(node, "workeroutput", {}).get("told", [])
    node.config.stash.setdefault(TOLD, []).extend(lines)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in config.stash.get(TOLD, []):
        terminalreporter.write_line(line)
