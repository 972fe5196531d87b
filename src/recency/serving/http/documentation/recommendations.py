"""Recommendations: how the service is asked for lists."""

from recency.serving.http import schema
from recency.serving.http.documentation.route import (
    BODY_PROBLEMS,
    RANKED,
    STANDING,
    TOLD,
    Documented,
)
from recency.serving.http.foretell_routes import post_foretell
from recency.serving.http.parameters import BY, DETAILS, FOR_ALL, FOR_USER, TERMS, WORDS, K
from recency.serving.http.question_routes import (
    get_items_by_words,
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
        "/v1/items/search",
        get_items_by_words,
        "recommendations",
        schema.SearchAnswer,
        {"q": "something to sleep in", "items": [{"item_id": "tent", "score": 0.62}]}
        | STANDING
        | TOLD,
        query=(WORDS, K, DETAILS, *TERMS),
        problems=(401, 422, 503),
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
        query=(K, BY, DETAILS, *TERMS),
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
        "POST",
        "/v1/foretell",
        post_foretell,
        "recommendations",
        schema.ForetellAnswer,
        {
            "what": "propensity",
            "rows": [{"user_id": "u1", "item_id": "tent", "probability": 0.12, "fallback": False}],
            "at": "2026-02-01T09:05:00Z",
        }
        | STANDING,
        body=schema.ForetellIn,
        bodies={
            "rating": {"what": "rating", "users": ["u1"], "items": ["tent"]},
            "propensity": {
                "what": "propensity",
                "users": ["u1"],
                "items": ["tent"],
                "event_type": "buy",
            },
            "next_time": {"what": "next_time", "users": ["u1"], "horizons": ["7d"]},
            "basket": {"what": "basket", "users": ["u1"], "k": 5},
        },
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
