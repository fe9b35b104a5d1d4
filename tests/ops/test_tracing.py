"""Spans: their parents, their ends, and that the application runs within them."""

import threading
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from nbio import Request, Response
from nbio.testing import Served, serve
from tests.ops.commands import raw

EXPORTER = InMemorySpanExporter()
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module", autouse=True)
def provider() -> None:
    """Set once a process: the API allows no more."""
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(EXPORTER))
    trace.set_tracer_provider(made)


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    EXPORTER.clear()
    yield EXPORTER
    EXPORTER.clear()


def current() -> str:
    return format(trace.get_current_span().get_span_context().span_id, "x")


async def app(request: Request) -> Response:
    if request.path == "/fails":
        raise ValueError("on purpose")
    return Response(current())


def threaded(request: Request) -> Response:
    assert threading.current_thread().name.startswith("nbio")
    return Response(current())


def ask(served: Served, target: str, *fields: str) -> str:
    lines = [f"GET {target} HTTP/1.1", "Host: a", "Connection: close", *fields, "", ""]
    answer = raw((served.host, served.port), "\r\n".join(lines).encode())
    return answer.partition(b"\r\n\r\n")[2].decode()


def one(spans: InMemorySpanExporter) -> ReadableSpan:
    [span] = spans.get_finished_spans()
    spans.clear()
    return span


@pytest.mark.parametrize("handler", [app, threaded])
def test_a_request_runs_within_its_span(spans: InMemorySpanExporter, handler: object) -> None:
    assert callable(handler)
    with serve(handler, opentelemetry=True) as served:
        told = ask(served, "/a?b=c", f"traceparent: {PARENT}", "User-Agent: me")
        span = one(spans)
        assert span.context is not None
        assert told == format(span.context.span_id, "x")
        assert format(span.context.trace_id, "032x") == PARENT.split("-")[1]
        assert span.parent is not None
        assert format(span.parent.span_id, "016x") == PARENT.split("-")[2]
        assert dict(span.attributes or {}) == {
            "http.request.method": "GET",
            "url.scheme": "http",
            "url.path": "/a",
            "url.query": "b=c",
            "network.protocol.version": "1.1",
            "client.address": "127.0.0.1",
            "user_agent.original": "me",
            "server.address": "a",
            "http.response.status_code": 200,
            "http.request.body.size": 0,
        }
        # The next one is nobody's child, whoever came before.
        ask(served, "/")
        assert one(spans).parent is None


def test_an_error_is_told(spans: InMemorySpanExporter) -> None:
    with serve(app, opentelemetry=True) as served:
        ask(served, "/fails")
        span = one(spans)
        assert not span.status.is_ok
        assert (span.attributes or {})["error.type"] == "500"


def test_no_spans_unless_asked_for(spans: InMemorySpanExporter) -> None:
    with serve(app) as served:
        assert ask(served, "/") == "0"
    assert spans.get_finished_spans() == ()
