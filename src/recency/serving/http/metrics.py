"""Metrics: what the service counts, for Prometheus.

Requests of every status are timed, because errors that are fast or slow matter too. What the engine
knows anyway (sizes, places in the log) is read when somebody asks, not when it changes (`gauges`).
A label never holds what a client chose: each value of one is a time series for ever.
"""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from recency.serving.engine import Engine
from recency.serving.http.gauges import Gauges
from recency.serving.log.events import Outcome
from recency.serving.log.groups import Group
from recency.serving.measures import n_unlearned

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_LONG = (0.001, 0.01, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_MODELS_TIMED = 5  # the newest ones that answered; a learner may publish one a minute
_SHED = {"overloaded": "queue", "rate-limited": "rate", "connections": "connections"}


class Metrics:
    """Hold the counters of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._times(
            "request_seconds", "Time to answer a request", ("method", "route", "code")
        )
        self.recommends = self._times(
            "recommend_seconds", "Time to answer a question", ("route", "model", "code")
        )
        self.commits = self._times("event_commit_seconds", "Time to make a group of events durable")
        self.applied = self._times(
            "event_apply_seconds", "Time to show a committed group of events to the model"
        )
        self.visible = self._times(
            "event_visible_seconds",
            "Time from the arrival of events to their acknowledgement: the next answer sees them",
        )
        self.swaps = self._times(
            "swap_seconds", "Time for which others waited while the champion changed", buckets=_LONG
        )
        self.events = self._counter("events", "Events by what became of them", "result")
        self.degraded = self._counter("degraded", "Answers with less than was asked for", "reason")
        self.shed = self._counter("shed", "Requests sent away for lack of room", "reason")
        self.unseen = Gauge(
            "recency_unseen_item_rate",
            "Share of events on items that came after the weights were made",
            registry=self.registry,
        )
        self._unseen = 0.0
        self._engine: Engine | None = None
        self._series: dict[tuple[str, str, int], Histogram] = {}
        self._models: dict[str, dict[tuple[str, int], Histogram]] = {}
        self._outcomes: dict[str, Counter] = {}

    def watch(self, group: Group, seconds: float) -> None:
        """Count a group of events that was committed and applied."""
        self.commits.observe(group.seconds)
        self.applied.observe(seconds)
        if self._engine is not None and group.events:
            items = [event.item_id for _, event in group.events]
            n = n_unlearned(self._engine.champion.recommender, items)
            weight = 0.999 ** len(items)  # the newest thousand events or so
            self._unseen = self._unseen * weight + n / len(items) * (1 - weight)
            self.unseen.set(self._unseen)

    def count(self, outcomes: Iterable[Outcome], seconds: float) -> dict[str, int]:
        """Count outcomes, and give how many of each there are."""
        counts = {"accepted": 0, "duplicate": 0, "rejected": 0}
        for outcome in outcomes:
            counts[outcome.status] += 1
        for status, n in counts.items():
            if n:
                series = self._outcomes.get(status)
                if series is None:
                    series = self._outcomes[status] = self.events.labels(status)
                series.inc(n)
        self.visible.observe(seconds)
        return counts

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Time a request of some route."""
        known = (method, route, status)
        series = self._series.get(known)
        if series is None:
            series = self._series[known] = self.requests.labels(method, route, str(status))
        series.observe(seconds)

    def count_question(self, route: str, model: str, status: int, seconds: float) -> None:
        """Time a question that a model answered; the oldest models make room for new ones."""
        if model not in self._models:
            self._models[model] = {}
            while len(self._models) > _MODELS_TIMED:
                oldest = next(iter(self._models))
                for known_route, known_status in self._models.pop(oldest):
                    self.recommends.remove(known_route, oldest, str(known_status))
        known, asked = self._models[model], (route, status)
        series = known.get(asked)
        if series is None:
            series = known[asked] = self.recommends.labels(route, model, str(status))
        series.observe(seconds)

    def count_degraded(self, reasons: Iterable[str]) -> None:
        """Count an answer that something was amiss with, by the codes of what was."""
        for reason in reasons:
            self.degraded.labels(reason).inc()

    def count_swap(self, seconds: float) -> None:
        """Count a change of the champion."""
        self.swaps.observe(seconds)

    def count_refusal(self, code: str) -> None:
        """Count a request that was refused, where the reason is a lack of room."""
        if (reason := _SHED.get(code)) is not None:
            self.shed.labels(reason).inc()

    def follow(self, engine: Engine) -> None:
        """Report the state of an engine too."""
        self._engine = engine
        self.registry.register(Gauges(engine))

    def text(self) -> bytes:
        """Write everything in the text format of Prometheus."""
        return generate_latest(self.registry)

    def _times(
        self,
        name: str,
        text: str,
        labels: tuple[str, ...] = (),
        buckets: tuple[float, ...] = _SECONDS,
    ) -> Histogram:
        return Histogram(f"recency_{name}", text, labels, registry=self.registry, buckets=buckets)

    def _counter(self, name: str, text: str, label: str) -> Counter:
        return Counter(f"recency_{name}", text, (label,), registry=self.registry)
