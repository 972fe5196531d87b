"""Users: how histories are read."""

from recency.serving.http import schema
from recency.serving.http.documentation.route import AS_OF, BODY_PROBLEMS, STANDING, Documented
from recency.serving.http.parameters import AT, CURSOR, UNIT, query
from recency.serving.http.user_routes import (
    delete_user,
    get_user,
    get_user_export,
    get_users,
    post_user_merge,
    put_user,
)

USERS = (
    Documented(
        "GET",
        "/v1/users",
        get_users,
        "users",
        schema.UsersAnswer,
        {
            "users": [{"user_id": "u1", "n_events": 12, "newest": "2026-02-01T09:00:00Z"}],
            "n_users": 1,
            "next_cursor": None,
            "next_after": None,
        }
        | STANDING,
        query=(
            query("limit", "Most users", {"type": "integer", "maximum": 200, "default": 50}),
            CURSOR,
            query(
                "after",
                "Users to leave out, where no cursor is given",
                {"type": "integer", "default": 0},
            ),
        ),
        problems=(401, 422, 503),
    ),
    Documented(
        "GET",
        "/v1/users/{user_id}",
        get_user,
        "users",
        schema.UserAnswer,
        {
            "user_id": "u1",
            "n_events": 12,
            "events": [{"item_id": "tent", "timestamp": "2026-02-01T09:00:00Z"}],
            "at": "2026-02-01T09:05:00Z",
            "idle_seconds": 300.0,
            "profile": {"country": "AT", "age": 31},
            "as_of": AS_OF,
            "model_version": "3f2a9c01",
        },
        query=(
            query("limit", "Newest events given", {"type": "integer", "default": 100}),
            AT,
            UNIT,
        ),
        problems=(401, 404, 422, 503),
    ),
    Documented(
        "PUT",
        "/v1/users/{user_id}",
        put_user,
        "users",
        schema.DescribeAnswer,
        {"user_id": "u1", "seq": 18, "read": ["country", "age"], "left": []} | STANDING,
        body=schema.ProfileIn,
        bodies={"one": {"country": "AT", "age": 31}},
        problems=(*BODY_PROBLEMS, 507),
    ),
    Documented(
        "POST",
        "/v1/users/{user_id}/merge",
        post_user_merge,
        "users",
        schema.MergeAnswer,
        {"user_id": "u1", "anonymous_id": "a9", "seq": 18, "n_events": 4, "already": False}
        | STANDING,
        body=schema.MergeIn,
        bodies={"one": {"anonymous_id": "a9"}},
        problems=(*BODY_PROBLEMS, 507),
    ),
    Documented(
        "GET",
        "/v1/users/{user_id}/export",
        get_user_export,
        "users",
        None,
        '{"kind":"event","seq":17,"item_id":"tent","timestamp":"2026-02-01T09:00:00Z"}',
        text="application/x-ndjson",
        problems=(401, 422, 503),
    ),
    Documented(
        "DELETE",
        "/v1/users/{user_id}",
        delete_user,
        "users",
        schema.EraseAnswer,
        {"user_id": "u1", "seq": 19, "n_events": 12, "already": False, "pending": False} | STANDING,
        problems=(401, 422, 503, 507),
    ),
)
