"""Status: what those who watch the server ask for."""

from recency.serving.http import schema
from recency.serving.http.documentation.route import STANDING, Documented
from recency.serving.http.status_routes import get_health, get_metrics, get_ready, get_status

STATUS = (
    Documented(
        "GET",
        "/health",
        get_health,
        "state",
        schema.StateAnswer,
        {"status": "ok", "version": "0.1.0"},
        problems=(),
    ),
    Documented(
        "GET",
        "/ready",
        get_ready,
        "state",
        schema.StateAnswer,
        {"status": "ready", "version": "0.1.0"},
        problems=(503, 507),
    ),
    Documented(
        "GET",
        "/v1/status",
        get_status,
        "state",
        schema.StatusAnswer,
        {
            "status": "ready",
            "durability": {"mode": "sync", "loss_window_seconds": 0.0},
            "last_seq": 17,
            "snapshot": {"seq": 12, "age_seconds": 41.5},
            "erase_pending": 0,
            "apply_lag_events": 0,
            "events_underway": 0,
            "questions_waiting": 0,
            "n_users": 900,
            "n_items": 120,
            "state_users": 410,
            "state_bytes": 104_960,
            "memory_bytes": 412_000_000,
            "uptime_seconds": 3600.0,
            "models": [
                {
                    "model_version": "3f2a9c01",
                    "role": "champion",
                    "share": 1.0,
                    "ndcg@10": 0.21,
                    "n_judged": 1000,
                }
            ],
            "versions": {"recency": "0.1.0"},
        }
        | STANDING,
        problems=(401, 403),
    ),
    Documented(
        "GET",
        "/metrics",
        get_metrics,
        "state",
        None,
        'recency_events_total{result="accepted"} 17.0',
        problems=(401,),
    ),
)
