"""Models: how versions are shown, published, promoted and taken back."""

from recency.serving.http import schema
from recency.serving.http.documentation.route import (
    AS_OF,
    BODY_PROBLEMS,
    STANDING,
    Documented,
)
from recency.serving.http.model_routes import (
    get_models,
    post_challenge,
    post_models,
    post_promote,
    post_rollback,
)
from recency.serving.http.parameters import Json, query

_CHANGED: Json = {"version": "3f2a9c01"} | STANDING
_REASON = query("reason", "Kept in the history of versions", {"type": "string"})

MODELS = (
    Documented(
        "GET",
        "/v1/models",
        get_models,
        "models",
        schema.ModelsAnswer,
        {
            "models": [
                {
                    "model_version": "3f2a9c01",
                    "active": True,
                    "role": "champion",
                    "share": 1.0,
                    "published": "2026-02-01T00:10:00Z",
                    "candidate": False,
                    "refused": None,
                    "facts": {},
                    "cut": "2026-02-01T00:00:00Z",
                    "n_users": 900,
                    "n_items": 120,
                    "as_of": AS_OF,
                    "score": {"n": 300, "ndcg": 0.21, "hit_rate": 0.34},
                    "comparison": None,
                }
            ]
        },
    ),
    Documented(
        "POST",
        "/v1/models",
        post_models,
        "models",
        schema.ModelChanged,
        _CHANGED,
        body=schema.FolderIn,
        problems=BODY_PROBLEMS,
    ),
    Documented(
        "POST",
        "/v1/models/{version}/promote",
        post_promote,
        "models",
        schema.ModelChanged,
        _CHANGED,
        query=(
            _REASON,
            query(
                "force",
                "Let it pass with a worse score; what cannot serve is refused still",
                {"type": "boolean", "default": False},
            ),
        ),
        problems=(401, 404, 409, 422, 503),
    ),
    Documented(
        "POST",
        "/v1/models/rollback",
        post_rollback,
        "models",
        schema.ModelChanged,
        _CHANGED,
        query=(_REASON,),
        problems=(401, 409, 422, 503),
    ),
    Documented(
        "POST",
        "/v1/models/{version}/challenge",
        post_challenge,
        "models",
        schema.ModelChanged,
        _CHANGED,
        body=schema.ShareIn,
        problems=(*BODY_PROBLEMS, 404, 409),
    ),
)
