"""No test may leave a slot or a block out of its pool; and what tests have to tell is printed."""

import pytest

pytest_plugins = ["nbio.testing.plugin"]

TOLD = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite-traces", action="store_true", help="search for the stories in traces/ again"
    )


@pytest.fixture(scope="session")
def told(request: pytest.FixtureRequest) -> list[str]:
    """Lines for the end of the run."""
    return request.config.stash.setdefault(TOLD, [])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in config.stash.get(TOLD, []):
        terminalreporter.write_line(line)
