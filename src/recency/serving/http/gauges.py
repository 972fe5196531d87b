"""Gauges: how the engine stands, read when Prometheus asks."""

import time
from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from recency.serving.engine import Engine
from recency.serving.measures import lag, memory_bytes, n_states
from recency.serving.users.erasure import n_pending


class Gauges(Collector):
    """Read the state of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterable[Metric]:
        """Give each gauge with its value."""
        engine = self._engine
        users, size = n_states(engine.champion.recommender)
        gauges: dict[str, tuple[str, float]] = {
            "log_seq": ("Newest entry of the event log", engine.last_seq),
            "applied_seq": ("Newest entry that the model has seen", engine.as_of.seq),
            "apply_lag_events": ("Entries of the log that the model has not seen", lag(engine)),
            "users": ("Users known", engine.n_users),
            "items": ("Items known", engine.n_items),
            "state_users": ("Users whose state is in memory", users),
            "state_bytes": ("Bytes of all users' states", size),
            "memory_bytes": ("Memory that the process holds", memory_bytes()),
            "erase_pending": (
                "Erased ids that files may hold until the next start",
                n_pending(engine.store),
            ),
            "ready": ("1 while events can be taken", int(engine.fault is None)),
            "events_refused": (
                "Events kept that the model would not take",
                engine.follower.n_refused,
            ),
        }
        if engine.cut is not None:
            age = (engine.now() - engine.cut) / 1e6
            gauges["model_age_seconds"] = ("Since the newest event that weights learned", age)
        if engine.snapshots is not None and engine.snapshots.taken is not None:
            age = time.monotonic() - engine.snapshots.taken
            gauges["snapshot_age_seconds"] = ("Since the newest snapshot was taken", age)
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(f"recency_{name}", text, value)
        queues = GaugeMetricFamily("recency_queue_depth", "What waits", labels=["queue"])
        queues.add_metric(["events"], engine.n_underway)
        queues.add_metric(["questions"], engine.n_waiting)
        yield queues
        yield from _of_swaps(engine)
        yield from _of_models(engine)


def _of_swaps(engine: Engine) -> Iterable[Metric]:
    """Count changes of the champion by how they went."""
    swaps = CounterMetricFamily("recency_swap", "Changes of the champion", labels=["result"])
    swaps.add_metric(["done"], engine.n_swaps)
    if engine.registry is not None:
        swaps.add_metric(["refused"], engine.registry.n_refused)
    yield swaps


def _of_models(engine: Engine) -> Iterable[Metric]:
    """Tell of the models that are in step with the log: who they are and how they do."""
    info = _by("model_info", "Models by what they do", "version", "role")
    share = _by("model_share", "Share of the users that a model answers", "version")
    ndcg = _by("prequential_ndcg", "NDCG on the newest events, each judged first", "version", "k")
    hits = _by("prequential_hr", "Hit rate on the same events", "version", "k")
    for one in engine.models():
        if one.role is None:
            continue
        info.add_metric([one.version, one.role], 1)
        share.add_metric([one.version], one.share)
        if one.score is not None and one.score.ndcg is not None and one.score.hit_rate is not None:
            ndcg.add_metric([one.version, "10"], one.score.ndcg)
            hits.add_metric([one.version, "10"], one.score.hit_rate)
    yield from (info, share, ndcg, hits)


def _by(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"recency_{name}", text, labels=labels)
