"""A pytest plugin: a test that leaves a slot or block out of its pool fails, and says where
it was acquired.

    pytest_plugins = ["nbio.testing.plugin"]

A test that leaves something out on purpose carries `@pytest.mark.nbio_unbalanced`.
"""

from collections.abc import Iterator

import pytest

from nbio.testing import watch


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "nbio_unbalanced: this test leaves bodies or blocks out of their pool"
    )


@pytest.fixture(autouse=True)
def nbio_conservation(request: pytest.FixtureRequest) -> Iterator[None]:
    """Check every body pool that the test made."""
    if request.node.get_closest_marker("nbio_unbalanced"):
        yield
        return
    with watch():
        yield
