"""The file ``run.toml``, written: sections of keys, with the names that Python has.

Python reads TOML and cannot write it; what a run needs is small: tables of booleans, numbers,
texts, lists, and tables within a line. TOML has no word for None: such a key is left out, which is
right where None is what a missing key means.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def run_toml(sections: Mapping[str, Mapping[str, Any]], heading: str = "") -> str:
    """Write sections as TOML.

    Args:
        sections: Name to keys to values; one without keys is left out.
        heading: Lines that stand above as comments.
    """
    parts = [[f"# {line}".rstrip() for line in heading.splitlines()]] if heading else []
    for name, values in sections.items():
        rows = [
            f"{_key(key)} = {_value(value)}" for key, value in values.items() if value is not None
        ]
        if rows:
            parts.append([f"[{_key(name)}]", *rows])
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        inside = [f"{_key(key)} = {_value(one)}" for key, one in value.items() if one is not None]
        return "{ " + ", ".join(inside) + " }" if inside else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    return _text(str(value))


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda one: f"\\u{ord(one[0]):04x}", escaped) + '"'
