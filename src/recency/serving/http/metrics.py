"""Metrics: what the service counts, for Prometheus.

Requests of every status are timed, because errors that are fast or slow matter too. What the engine
knows anyway (sizes, places in the log) is read when somebody asks, not when it changes.
"""

import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recency.serving.engine import Engine
from recency.serving.events import Outcome
from recency.serving.groups import Group

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


class Metrics:
    """Hold the counters of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Histogram(
            "recency_request_seconds",
            "Time to answer a request",
            ("method", "route", "code"),
            registry=self.registry,
            buckets=_SECONDS,
        )
        self.events = Counter(
            "recency_events", "Events by what became of them", ("result",), registry=self.registry
        )
        self.commits = Histogram(
            "recency_commit_seconds",
            "Time to make a group of events durable",
            registry=self.registry,
            buckets=_SECONDS,
        )
        self.applied = Histogram(
            "recency_apply_seconds",
            "Time to show a committed group of events to the model",
            registry=self.registry,
            buckets=_SECONDS,
        )
        self.visible = Histogram(
            "recency_event_visible_seconds",
            "Time from the arrival of events to their acknowledgement: the next answer sees them",
            registry=self.registry,
            buckets=_SECONDS,
        )

    def watch(self, group: Group, seconds: float) -> None:
        """Count a group of events that was committed and applied."""
        self.commits.observe(group.seconds)
        self.applied.observe(seconds)

    def count(self, outcomes: Iterable[Outcome], seconds: float) -> dict[str, int]:
        """Count outcomes, and give how many of each there are."""
        counts = {"accepted": 0, "duplicate": 0, "rejected": 0}
        for outcome in outcomes:
            counts[outcome.status] += 1
        for status, n in counts.items():
            if n:
                self.events.labels(status).inc(n)
        self.visible.observe(seconds)
        return counts

    def follow(self, engine: Engine) -> None:
        """Report the state of an engine too."""
        self.registry.register(_EngineState(engine))

    def text(self) -> bytes:
        """Write everything in the text format of Prometheus."""
        return generate_latest(self.registry)


class _EngineState(Collector):
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterable[Metric]:
        engine = self._engine
        gauges = {
            "recency_log_seq": ("Newest entry of the event log", engine.last_seq),
            "recency_applied_seq": ("Newest entry that the model has seen", engine.as_of.seq),
            "recency_events_underway": ("Events not yet acknowledged", engine.n_underway),
            "recency_questions_waiting": ("Questions that wait", engine.n_waiting),
            "recency_users": ("Users known", engine.n_users),
            "recency_items": ("Items known", engine.n_items),
            "recency_ready": ("1 while events can be taken", int(engine.fault is None)),
            "recency_events_refused": (
                "Events kept that the model would not take",
                engine.follower.n_refused,
            ),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(name, text, value)
        info = GaugeMetricFamily("recency_model_info", "The model in use", labels=["version"])
        info.add_metric([engine.model_version], 1)
        yield info


class Timed:
    """Time every request, as ASGI middleware."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            # The route's pattern, not the path: ids would make one time series each.
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.requests.labels(method, route, str(status)).observe(
                time.perf_counter() - started
            )
