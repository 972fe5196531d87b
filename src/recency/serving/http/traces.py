"""Traces: spans of requests and of groups of events, for OpenTelemetry.

A request has one span, within the caller's where ``traceparent`` names one, and a part ``parse``
for the arrival of its body. Many requests share one commit, one application and one look at the
model, so these have spans of their own: ``group`` of events with ``commit`` and ``apply``, and
``answer`` of the questions that waited, which scores and ranks. Only OpenTelemetry's API is called
while the service runs; its SDK sends what is gathered, in a thread of its own.
"""

import time
from typing import TYPE_CHECKING, Any

from starlette.types import Message, Receive, Scope

from recency import __version__
from recency.errors import ConfigError
from recency.serving.log.groups import Group

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

_FLUSH_SECONDS = 2


class Traces:
    """Open and close spans.

    Args:
        provider: Of OpenTelemetry; whoever made it ends it.
    """

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._trace = trace
        self._tracer = provider.get_tracer("recency", __version__)
        self._outer = TraceContextTextMapPropagator()
        self._provider: Any = provider

    @classmethod
    def to(cls, address: str) -> "Traces":
        """Send spans to a collector.

        Args:
            address: Of its OTLP over HTTP, such as ``http://127.0.0.1:4318/v1/traces``.

        Raises:
            ConfigError: it is no such address, or OpenTelemetry is not installed.
        """
        if not address.startswith(("http://", "https://")):
            raise ConfigError(
                f"expected an address such as http://127.0.0.1:4318/v1/traces for traces, found "
                f"{address!r}."
            )
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise ConfigError(
                f"traces need OpenTelemetry ({error}): pip install 'recency[otel]'."
            ) from error
        provider = TracerProvider(resource=Resource.create({"service.name": "recency"}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(address, timeout=2)))
        return cls(provider)

    def begin(self, scope: Scope, receive: Receive) -> tuple[Any, Receive]:
        """Open the span of a request, and give what notices when its body has arrived."""
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in _outer(scope)}
        span = self._tracer.start_span(
            f"{scope['method']}", self._outer.extract(carrier), self._trace.SpanKind.SERVER
        )
        started = time.time_ns()

        async def noticing() -> Message:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body"):
                self._part("parse", started, time.time_ns(), span)
            return message

        return span, noticing

    def end(self, span: Any, route: str, status: int) -> None:
        """Close the span of a request."""
        span.set_attributes({"http.route": route, "http.response.status_code": status})
        if status >= 500:
            span.set_status(self._trace.StatusCode.ERROR)
        span.end()

    def group(self, group: Group, seconds: float) -> None:
        """Leave the spans of a group of events, right after it was applied."""
        now = time.time_ns()
        between = now - int(seconds * 1e9)
        started = between - int(group.seconds * 1e9)
        span = self._tracer.start_span("group", start_time=started)
        span.set_attribute("recency.events", len(group.events))
        self._part("commit", started, between, span)
        self._part("apply", between, now, span)
        span.end(now)

    def answered(self, n_questions: int, seconds: float) -> None:
        """Leave the span of questions answered together, right after they were."""
        now = time.time_ns()
        span = self._tracer.start_span("answer", start_time=now - int(seconds * 1e9))
        span.set_attribute("recency.questions", n_questions)
        span.end(now)

    def close(self) -> None:
        """Send what is left."""
        self._provider.force_flush(_FLUSH_SECONDS * 1000)
        self._provider.shutdown()

    def _part(self, name: str, started: int, ended: int, whole: Any) -> None:
        part = self._tracer.start_span(
            name, self._trace.set_span_in_context(whole), start_time=started
        )
        part.end(ended)


def _outer(scope: Scope) -> list[tuple[bytes, bytes]]:
    return [pair for pair in scope["headers"] if pair[0] in (b"traceparent", b"tracestate")]
