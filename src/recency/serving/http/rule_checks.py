"""Rule checks: turn the rules of a question into those of a selection, with every fault named.

In an address rules are text: lists are parted by commas, a price is ``5..20``, ``5..`` or ``..20``,
and a boost is ``camping:2``, where the factor stands behind the last colon.
"""

from collections.abc import Callable, Mapping
from typing import Any

from recency.asking.selection import Price, SelectionArgs
from recency.errors import RecencyError
from recency.serving.intake.values import number, shown
from recency.units import parse_duration

RULE_FIELDS = (
    "exclude_categories",
    "domain",
    "price",
    "out_of_stock",
    "boost",
    "rotation",
    "rotation_time",
    "counts_as_shown",
    "diversity",
    "max_per_category",
    "explore",
    "explore_age",
    "objective",
)
LISTS = ("categories", "exclude_categories", "domain", "candidates", "exclude")
FLAGS = ("out_of_stock", "counts_as_shown")
NUMBERS = ("rotation", "rotation_time", "diversity", "max_per_category", "explore", "explore_age")
_MOST = 1_000  # names, or boosts
Fault = Callable[[str, str], None]


def rules_of(raw: Mapping[str, Any], fault: Fault) -> SelectionArgs:
    """Read the rules of a question.

    Args:
        raw: Names and values, typed as in JSON.
        fault: Takes the name of a field, and what is wrong with it.
    """
    found: dict[str, Any] = {
        "exclude_categories": _texts("exclude_categories", raw, fault) or (),
        "domain": _texts("domain", raw, fault),
        "price": _price(raw.get("price"), fault),
        "boost": _boost("boost", raw.get("boost"), fault),
        "objective": _objective(raw.get("objective"), fault),
        "max_per_category": _most(raw.get("max_per_category"), fault),
    }
    for name in FLAGS:
        if isinstance(value := raw.get(name), bool):
            found[name] = value
        elif value is not None:
            fault(name, f"expected true or false, found {shown(value)}.")
    for name in ("rotation", "diversity", "explore"):
        found[name] = _share(name, raw.get(name), fault)
    for name in ("rotation_time", "explore_age"):
        if (seconds := _seconds(name, raw.get(name), fault)) is not None:
            found[name] = seconds
    rules: SelectionArgs = {}
    rules.update(found)  # type: ignore[typeddict-item]  # the names are those of FLAGS and others
    return rules


def boosts_in_text(text: str, fault: Fault) -> dict[str, object]:
    """Read ``camping:2,item:tent:0.5`` as it stands in an address."""
    return factors_in_text("boost", text, fault)


def factors_in_text(field: str, text: str, fault: Fault) -> dict[str, object]:
    """Read names and factors as they stand in an address."""
    found: dict[str, object] = {}
    for one in text.split(","):
        name, colon, by = one.rpartition(":")
        try:
            found[name] = float(by) if colon and name else None
        except ValueError:
            found[name] = None
        if found[name] is None:
            fault(field, f"expected name:factor such as camping:2, found {shown(one)}.")
            del found[name]
    return found


def _texts(name: str, raw: Mapping[str, Any], fault: Fault) -> tuple[str, ...] | None:
    value = raw.get(name)
    if value is None:
        return None
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(one, str) and one for one in values):
        fault(name, f"expected a list of texts, none of them empty, found {shown(value)}.")
        return None
    if len(values) > _MOST:
        fault(name, f"expected at most {_MOST:,}, found {len(values):,}.")
        return None
    return tuple(values)


def _price(value: object, fault: Fault) -> Price | None:
    """Read ``5..20``, ``[5, 20]`` or ``{"least": 5, "most": 20}``; either end may be left out."""
    if value is None:
        return None
    ends: list[object] = []
    if isinstance(value, str) and value.count("..") == 1:
        ends = [_as_number(one) for one in value.split("..")]
    elif isinstance(value, list) and len(value) == 2:
        ends = list(value)
    elif isinstance(value, Mapping) and set(value) <= {"least", "most"}:
        ends = [value.get("least"), value.get("most")]
    if not ends or ends == [None, None]:
        fault("price", f"expected least..most such as 5..20, 5.. or ..20, found {shown(value)}.")
        return None
    faults: list[str] = []
    least, most = number("the least", ends[0], faults), number("the most", ends[1], faults)
    if least is not None and most is not None and least > most:
        faults.append(f"the least is more than the most, found {least:g}..{most:g}.")
    if faults:
        fault("price", " ".join(faults))
        return None
    return least, most


def _as_number(text: str) -> object:
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        return text


def _objective(value: object, fault: Fault) -> tuple[tuple[str, float], ...]:
    """Read ``purchase``, ``click:0.7,purchase:0.3`` or ``{"click": 0.7, "purchase": 0.3}``."""
    if isinstance(value, str) and ":" not in value and "," not in value and value:
        return ((value, 1.0),)
    if isinstance(value, str):
        value = factors_in_text("objective", value, fault)
    return _boost("objective", value, fault)


def _boost(field: str, value: object, fault: Fault) -> tuple[tuple[str, float], ...]:
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        fault(field, f"expected an object of names and factors, found {shown(value)}.")
        return ()
    if len(value) > _MOST:
        fault(field, f"expected at most {_MOST:,}, found {len(value):,}.")
        return ()
    found = []
    for name, by in value.items():
        faults: list[str] = []
        factor = number("the factor", by, faults)
        if not faults and (factor is None or not factor > 0):
            faults.append(f"expected a factor above 0, found {shown(by)}.")
        if faults or factor is None:
            fault(f"{field}.{str(name)[:80]}", " ".join(faults))
        else:
            found.append((str(name), factor))
    return tuple(found)


def _most(value: object, fault: Fault) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        fault("max_per_category", f"expected a whole number of at least 1, found {shown(value)}.")
        return None
    return value


def _share(name: str, value: object, fault: Fault) -> float:
    if value is None:
        return 0.0
    faults: list[str] = []
    share = number(name, value, faults)
    if share is None or not 0 <= share <= 1:
        fault(name, f"expected a number from 0 to 1, found {shown(value)}.")
        return 0.0
    return share


def _seconds(name: str, value: object, fault: Fault) -> float | None:
    if value is None:
        return None
    detail = f"expected seconds above 0, or text such as 2h or 30d, found {shown(value)}."
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        seconds = parse_duration(value)
    except (RecencyError, ValueError, OverflowError):
        fault(name, detail)
        return None
    if not 0 < seconds < 1e11:
        fault(name, detail)
        return None
    return seconds
