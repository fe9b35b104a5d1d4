"""What only one of the frameworks has."""

import pytest

from tests.frameworks.apps import fastapi_app, starlette_app
from tests.live import get, post, serving

pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_background_task_runs_after_the_response() -> None:
    with serving(starlette_app.app) as live:
        assert live.ask(post(b"hello", path="/later")).body == b"hello"
    assert starlette_app.ran == ["later"]


def test_parameters_and_the_schema() -> None:
    with serving(fastapi_app.app) as live, live.client() as client:
        assert client.ask(get("/items/3?q=x")).body == b'{"item":3,"q":"x"}'
        assert client.ask(get("/items/x")).status == 422
        assert client.ask(get("/openapi.json")).status == 200
