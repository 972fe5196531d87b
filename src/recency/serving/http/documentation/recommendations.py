"""Recommendations: how the service is asked for lists."""

from recency.serving.http import schema
from recency.serving.http.documentation.route import (
    BODY_PROBLEMS,
    RANKED,
    STANDING,
    TOLD,
    Documented,
)
from recency.serving.http.parameters import DETAILS, FOR_ALL, FOR_USER, TERMS, K
from recency.serving.http.question_routes import (
    get_latest,
    get_recommendations,
    get_similar_items,
    get_trending,
    post_next_recommendations,
    post_recommendations,
    post_session_recommendations,
)

RECOMMENDATIONS = (
    Documented(
        "GET",
        "/v1/users/{user_id}/recommendations",
        get_recommendations,
        "recommendations",
        schema.RecommendationsAnswer,
        RANKED,
        query=FOR_USER,
        problems=(401, 422, 503),
    ),
    Documented(
        "POST",
        "/v1/recommendations",
        post_recommendations,
        "recommendations",
        schema.RecommendationsAnswer,
        RANKED | {"user_id": None},
        body=schema.QuestionIn,
        bodies={
            "visit": {
                "history": [{"item_id": "tent", "timestamp": "2026-02-01T09:00:00Z"}],
                "k": 5,
                "exclude": ["lamp"],
            },
            "user": {"user_id": "u1", "candidates": ["tent", "lamp"], "k": 2},
        },
        problems=BODY_PROBLEMS,
    ),
    Documented(
        "GET",
        "/v1/items/{item_id}/similar",
        get_similar_items,
        "recommendations",
        schema.SimilarAnswer,
        {
            "item_id": "tent",
            "items": [{"item_id": "lamp", "score": 0.62}],
        }
        | STANDING
        | TOLD,
        query=(K, DETAILS, *TERMS),
        problems=(401, 404, 422, 503),
    ),
    Documented(
        "POST",
        "/v1/recommendations/next",
        post_next_recommendations,
        "recommendations",
        schema.RecommendationsAnswer,
        RANKED,
        body=schema.NextIn,
        bodies={"page": {"recommendation_id": TOLD["recommendation_id"], "k": 5}},
        problems=(*BODY_PROBLEMS, 410),
    ),
    Documented(
        "POST",
        "/v1/recommendations/session",
        post_session_recommendations,
        "recommendations",
        schema.RecommendationsAnswer,
        RANKED | {"user_id": None},
        query=FOR_USER,
        body=schema.VisitIn,
        bodies={"one": {"item_id": "tent", "event_type": "click"}},
        rows=True,
        problems=BODY_PROBLEMS,
    ),
    Documented(
        "GET",
        "/v1/trending",
        get_trending,
        "recommendations",
        schema.RecommendationsAnswer,
        RANKED | {"user_id": None, "fallback": True},
        query=FOR_ALL,
        problems=(401, 422, 503),
    ),
    Documented(
        "GET",
        "/v1/latest",
        get_latest,
        "recommendations",
        schema.RecommendationsAnswer,
        RANKED | {"user_id": None},
        query=FOR_ALL,
        problems=(401, 422, 503),
    ),
)
