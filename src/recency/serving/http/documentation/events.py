"""Events: how something that happened is sent."""

from recency.serving.http import schema
from recency.serving.http.documentation.route import BODY_PROBLEMS, STANDING, Documented
from recency.serving.http.event_routes import post_events
from recency.serving.http.parameters import UNIT

_EVENT = {
    "user_id": "u1",
    "item_id": "tent",
    "timestamp": "2026-02-01T09:00:00Z",
    "event_type": "click",
    "event_id": "5d1c",
}
_REJECTED = "user_id is missing. value must be a finite number, found true."

EVENTS = (
    Documented(
        "POST",
        "/v1/events",
        post_events,
        "events",
        schema.EventsAnswer,
        {
            "accepted": 1,
            "duplicate": 0,
            "rejected": 1,
            "results": [
                {"event_id": "5d1c", "status": "accepted", "seq": 17},
                {"event_id": None, "status": "rejected", "error": _REJECTED},
            ],
        }
        | STANDING,
        query=(UNIT,),
        body=schema.EventIn,
        bodies={
            "one": _EVENT,
            "now": {"user_id": "u1", "item_id": "tent"},
        },
        rows=True,
        problems=(*BODY_PROBLEMS, 507),
    ),
)
