"""Transfers: how files of events and items come in, and how the log is taken out."""

from recency.serving.http import schema
from recency.serving.http.documentation.route import BODY_PROBLEMS, Documented
from recency.serving.http.parameters import UNIT, query
from recency.serving.http.transfer_routes import (
    get_export,
    get_job,
    get_jobs,
    post_backup,
    post_import,
)
from recency.serving.http.uploads import UPLOADED

_JOB = {
    "job_id": "019b2c1e-7a40-7c3e-9f10-5b6f0c1d2e3a",
    "kind": "import",
    "state": "done",
    "begun": "2026-02-01T09:00:00Z",
    "ended": "2026-02-01T09:00:01Z",
    "facts": {
        "rows": 2,
        "accepted": 1,
        "duplicate": 0,
        "rejected": 1,
        "errors": [{"row": 2, "error": "item_id is missing."}],
        "last_seq": 17,
    },
    "error": None,
}
_LINE = (
    '{"seq":17,"event_id":"5d1c","user_id":"u1","item_id":"tent","event_type":"click",'
    '"timestamp":"2026-02-01T09:00:00Z"}'
)

TRANSFERS = (
    Documented(
        "POST",
        "/v1/import",
        post_import,
        "transfers",
        schema.JobAnswer,
        _JOB | {"state": "waiting", "begun": None, "ended": None, "facts": {}},
        query=(
            query(
                "kind",
                "What the rows are",
                {"type": "string", "enum": ["events", "items"], "default": "events"},
            ),
            query(
                "validate_only",
                "Check the rows, and keep nothing",
                {"type": "boolean", "default": False},
            ),
            UNIT,
        ),
        body=schema.FileIn,
        status=202,
        uploads=tuple(UPLOADED),
        problems=(*BODY_PROBLEMS, 400, 403, 404),
    ),
    Documented(
        "POST",
        "/v1/backup",
        post_backup,
        "transfers",
        schema.JobAnswer,
        _JOB | {"kind": "backup", "state": "waiting", "begun": None, "ended": None, "facts": {}},
        status=202,
        problems=(401, 409, 422, 503),
    ),
    Documented(
        "GET",
        "/v1/jobs",
        get_jobs,
        "transfers",
        schema.JobsAnswer,
        {"jobs": [_JOB]},
        query=(query("limit", "Most jobs", {"type": "integer", "maximum": 200, "default": 50}),),
        problems=(401, 422),
    ),
    Documented(
        "GET",
        "/v1/jobs/{job_id}",
        get_job,
        "transfers",
        schema.JobAnswer,
        _JOB,
        problems=(401, 404, 422),
    ),
    Documented(
        "GET",
        "/v1/export",
        get_export,
        "transfers",
        None,
        _LINE,
        query=(
            query(
                "after",
                "seq of the last event that is not wanted",
                {"type": "integer", "default": 0, "minimum": 0},
            ),
            query("limit", "Most events; left out: all", {"type": "integer", "minimum": 1}),
        ),
        text="application/x-ndjson",
        problems=(401, 422, 503),
    ),
)
