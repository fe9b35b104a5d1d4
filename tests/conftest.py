"""No test may leave a slot or a block out of its pool."""

pytest_plugins = ["nbio.testing.plugin"]
