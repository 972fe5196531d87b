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
BY = query(
    "by",
    "What is compared: what people did with items, what they are, or both",
    {"type": "string", "enum": ["behaviour", "content", "both"], "default": "behaviour"},
)
WORDS = query("q", "Words to search for", {"type": "string", "maxLength": 1000}) | {
    "required": True
}
CURSOR = query("cursor", "next_cursor of the page before", {"type": "string"})
TERMS = (
    query(
        "min_seq",
        "Wait until this entry of the event log is in effect",
        {"type": "integer", "default": 0, "minimum": 0},
    ),
    query(
        "timeout_ms",
        "Milliseconds that the answer may take; 503 when it takes longer",
        {"type": "integer", "minimum": 1, "maximum": 60_000},
    ),
)
EXPLAIN = query("explain", "Say what the list rests on", {"type": "boolean", "default": False})
_NAMES = {"type": "array", "items": {"type": "string"}}
_SHARE = {"type": "number", "default": 0, "minimum": 0, "maximum": 1}
_FORM = {"style": "form", "explode": False}
RULES = (
    query("candidates", "Only these items, parted by commas", _NAMES) | _FORM,
    query("exclude", "Never these items, parted by commas", _NAMES) | _FORM,
    query("exclude_categories", "No item of any of these, parted by commas", _NAMES) | _FORM,
    query("domain", "Only items of one of these domains, parted by commas", _NAMES) | _FORM,
    query("price", "Least and most", {"type": "string", "examples": ["5..20", "5..", "..20"]}),
    query("out_of_stock", "Give what is out of stock too", {"type": "boolean", "default": False}),
    query(
        "boost",
        "Factors on the chance of items or categories, parted by commas",
        {"type": "string", "examples": ["camping:2,item:tent:0.5"]},
    ),
    query("rotation", "How far what the user was shown steps back", _SHARE),
    query("rotation_time", "Half-life of being shown", {"type": "string", "default": "2h"}),
    query(
        "counts_as_shown",
        "Whether an answer with rotation counts as shown",
        {"type": "boolean", "default": True},
    ),
    query("diversity", "How much the list avoids items alike", _SHARE),
    query("max_per_category", "Most items of one category", {"type": "integer", "minimum": 1}),
    query("explore", "Share of the places for new or little seen items", _SHARE),
    query("explore_age", "Age from which items are not explored", {"type": "string"}),
    query("objective", "purchase, or click:0.7,purchase:0.3", {"type": "string"}),
)
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
    *RULES,
    DETAILS,
    UNIT,
    *TERMS,
    EXPLAIN,
)
FOR_ALL = tuple(one for one in FOR_USER if one["name"] not in ("repeats", "explain"))
