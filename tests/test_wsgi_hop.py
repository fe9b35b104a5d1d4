"""A WSGI response's way back to the loop: once, and not later than it has to be."""

import threading
from typing import Any

from nbio.wsgi import _KNOWN_FIELDS, _fields, start_fields
from tests.live import get, serving


def test_a_response_does_not_wait_for_its_close() -> None:
    answered = threading.Event()
    closed = threading.Event()

    class Closing(list[bytes]):
        def close(self) -> None:
            assert answered.wait(20)
            closed.set()

    def app(environ: Any, start: Any) -> Any:
        start("200 OK", [("Content-Type", "text/plain")])
        return Closing([b"body"])

    with serving(app, interface="wsgi") as live:
        assert live.ask(get()).body == b"body"
        assert not closed.is_set()
        answered.set()
        assert closed.wait(20)


def test_fields_of_all_kinds_are_sent_as_the_application_said() -> None:
    kinds: dict[str, list[Any]] = {
        "/tuples": [("X-A", "1"), ("Content-Length", "2")],
        "/lists": [["X-A", "1"], ["Content-Length", "2"]],
    }

    def app(environ: Any, start: Any) -> Any:
        start("200 OK", kinds[environ["PATH_INFO"]])
        return [b"ok"]

    with serving(app, interface="wsgi") as live:
        for path in [*kinds, *kinds]:
            answer = live.ask(get(path))
            assert (answer.status, answer.body, answer.headers["x-a"]) == (200, b"ok", "1")


def test_what_is_remembered_of_fields_is_bounded() -> None:
    for number in range(_KNOWN_FIELDS * 3):
        assert start_fields([("Content-Length", str(number))])[1] == number
    start_fields([("X", "y" * 5000)])
    assert 0 < len(_fields) <= _KNOWN_FIELDS
    assert all(len(value) < 5000 for key in _fields for _, value in key)
