"""Items: how descriptions are sent and read."""

from recency.serving.http import schema
from recency.serving.http.documentation.route import BODY_PROBLEMS, STANDING, Documented
from recency.serving.http.item_routes import (
    delete_item,
    get_item,
    get_items,
    patch_item,
    post_items,
    put_item,
    put_items,
)
from recency.serving.http.parameters import CURSOR, UNIT, query

_DESCRIBED = {"title": "A tent for two", "categories": ["camping"]}
_TAKEN = {"item_id": "tent", "status": "accepted"}

ITEMS = (
    Documented(
        "PUT",
        "/v1/items",
        put_items,
        "items",
        schema.ItemsAnswer,
        {"accepted": 1, "rejected": 0, "results": [_TAKEN]} | STANDING,
        query=(UNIT,),
        body=schema.ItemIn,
        bodies={"one": {"item_id": "tent", **_DESCRIBED}},
        rows=True,
        problems=(*BODY_PROBLEMS, 507),
    ),
    Documented(
        "POST",
        "/v1/items",
        post_items,
        "items",
        schema.ItemsAnswer,
        {"accepted": 1, "rejected": 0, "results": [_TAKEN]} | STANDING,
        query=(UNIT,),
        body=schema.ItemIn,
        bodies={"one": {"item_id": "tent", **_DESCRIBED}},
        rows=True,
        problems=(*BODY_PROBLEMS, 507),
    ),
    Documented(
        "GET",
        "/v1/items",
        get_items,
        "items",
        schema.ItemListAnswer,
        {"items": [{"item_id": "tent", **_DESCRIBED}], "n_items": 1, "next_cursor": None}
        | STANDING,
        query=(
            query("limit", "Most items", {"type": "integer", "maximum": 1000, "default": 100}),
            CURSOR,
        ),
        problems=(401, 422, 503),
    ),
    Documented(
        "GET",
        "/v1/items/{item_id}",
        get_item,
        "items",
        schema.ItemAnswer,
        {"item_id": "tent", **_DESCRIBED, "seen": True} | STANDING,
        problems=(401, 404, 422, 503),
    ),
    Documented(
        "PUT",
        "/v1/items/{item_id}",
        put_item,
        "items",
        schema.ItemTaken,
        _TAKEN | STANDING,
        query=(UNIT,),
        body=schema.ItemPartIn,
        bodies={"one": _DESCRIBED},
        problems=(*BODY_PROBLEMS, 507),
    ),
    Documented(
        "PATCH",
        "/v1/items/{item_id}",
        patch_item,
        "items",
        schema.ItemTaken,
        _TAKEN | STANDING,
        query=(UNIT,),
        body=schema.ItemPartIn,
        bodies={"price": {"price": 80.0}, "no end": {"expires_at": None}},
        problems=(*BODY_PROBLEMS, 404, 507),
    ),
    Documented(
        "DELETE",
        "/v1/items/{item_id}",
        delete_item,
        "items",
        schema.ItemTaken,
        {"item_id": "tent", "status": "deleted"} | STANDING,
        query=(UNIT,),
        problems=(401, 404, 422, 503, 507),
    ),
)
