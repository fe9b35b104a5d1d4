"""A span for each request, by the OpenTelemetry API: its SDK and exporters are the application's.

The caller's `traceparent` is the parent. The span is current in the handler, in a worker thread
too, and ends with the response.
"""

from nbio.body import BodyReader
from nbio.errors import NbioError
from nbio.exchange import Exchange, Peer, Wire
from nbio.heads import RequestHead
from nbio.hub import Hub, Site
from nbio.observing import Observed, Outcome
from nbio.pool import BodyPool

try:
    from opentelemetry import context, propagate, trace
except ImportError:
    AVAILABLE = False
else:
    AVAILABLE = True


class TracingError(NbioError):
    """There is no OpenTelemetry."""


class Tracing:
    """A site whose requests have spans. Within an `Observing` one, whose observer it is too."""

    __slots__ = ("_hub", "_site", "_tracer", "interface")

    def __init__(self, site: Site, hub: Hub) -> None:
        if not AVAILABLE:
            raise TracingError("tracing needs OpenTelemetry: pip install 'nbio[opentelemetry]'")
        self._site = site
        self._hub = hub
        self._tracer = trace.get_tracer("nbio")
        self.interface = site.interface

    def begin(self, pool: BodyPool) -> None:
        self._site.begin(pool)

    def end(self) -> None:
        self._site.end()

    def exchange(
        self, wire: Wire, head: RequestHead, body: BodyReader | None, peer: Peer
    ) -> Exchange:
        """Make the exchange for a request, and begin its span."""
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
        parent = propagate.extract(carrier)
        span = self._tracer.start_span(
            head.method, parent, trace.SpanKind.SERVER, attributes(head, peer, carrier)
        )
        # What the request's task, and so its application, runs in is a copy of the hub's context,
        # taken after this; and each request sets it anew.
        self._hub.context.run(context.attach, trace.set_span_in_context(span, parent))
        if isinstance(wire, Observed) and wire.outcome is not None:
            wire.outcome.span = Span(span)
        return self._site.exchange(wire, head, body, peer)

    def over(self, outcome: Outcome) -> None:
        """End a request's span."""
        if outcome.span is not None:
            outcome.span.over(outcome)


class Span:
    """A request's span, to be ended."""

    __slots__ = ("_span",)

    def __init__(self, span: "trace.Span") -> None:
        self._span = span

    def over(self, outcome: Outcome) -> None:
        """Note what became of the request."""
        span = self._span
        if outcome.status:
            span.set_attribute("http.response.status_code", outcome.status)
        span.set_attribute("http.request.body.size", outcome.received)
        if outcome.status >= 500 or not outcome.complete:
            span.set_status(trace.Status(trace.StatusCode.ERROR))
            span.set_attribute("error.type", str(outcome.status) if outcome.complete else "cut off")
        span.end()


def attributes(head: RequestHead, peer: Peer, fields: dict[str, str]) -> dict[str, str | int]:
    """A request by OpenTelemetry's semantic conventions for HTTP servers."""
    found: dict[str, str | int] = {
        "http.request.method": head.method,
        "url.scheme": peer.scheme,
        "url.path": head.path.decode("latin-1"),
        "network.protocol.version": head.version,
    }
    if head.query:
        found["url.query"] = head.query.decode("latin-1")
    if peer.client is not None:
        found["client.address"] = peer.client[0]
    if "user-agent" in fields:
        found["user_agent.original"] = fields["user-agent"]
    if "host" in fields:
        found["server.address"] = fields["host"]
    return found
