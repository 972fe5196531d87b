"""Parameters: what may stand behind the question mark of an address, for OpenAPI."""

from typing import Any

Json = dict[str, Any]


def query(name: str, text: str, schema: Json) -> Json:
    return {"name": name, "in": "query", "required": False, "description": text, "schema": schema}


K = query("k", "Most items", {"type": "integer", "default": 10, "minimum": 1, "maximum": 1000})
AT = query(
    "at",
    "Instant of the question; only earlier events count. Left out: now",
    {"type": "string", "examples": ["2026-02-01T09:05:00Z"]},
)
UNIT = query(
    "unit",
    "Unit of instants that are numbers",
    {"type": "string", "enum": ["s", "ms", "us"], "default": "us"},
)
DETAILS = query("details", "Describe each item", {"type": "boolean", "default": False})
FOR_USER = (
    K,
    AT,
    query(
        "repeats",
        "Whether items of the history may come again",
        {"type": "boolean", "default": True},
    ),
    query(
        "categories",
        "Only items of one of these, parted by commas; may be given several times",
        {"type": "array", "items": {"type": "string"}},
    )
    | {"style": "form", "explode": False},
    DETAILS,
    UNIT,
)
