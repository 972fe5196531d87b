"""Spaces: which settings are tried, and between which values.

A setting is named as in ``run.toml``: its section, a dot, its key, such as ``training.lr``. A space
is plain data: names to ranges and choices. Each encoder has one with priors that hold on logs of
many sizes: learning rates around the default by a factor of about six, widths that a laptop trains
in minutes, no dials that mostly cost time. What a person says in ``[tune.space]`` goes over it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recency.errors import ConfigError, raise_all

Value = Any  # a setting as JSON can hold it


def _is_near_whole(value: float) -> bool:
    return abs(value - round(value)) < 1e-9


@dataclass(frozen=True)
class Range:
    """Span numbers from ``low`` to ``high``, both included.

    Attributes:
        low: Least value; whole numbers at both ends give whole numbers only.
        high: Largest value.
        log: Spread trials evenly over orders of magnitude; needs ``low`` above 0.
        step: Distance of the values tried; None takes any, or every whole number.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        """Refuse impossible ranges, all faults together."""
        faults = []
        if not self.low <= self.high:
            faults.append(f"low={self.low!r}, high={self.high!r}: expected low before high.")
        if self.log and not self.low > 0:
            faults.append(f"low={self.low!r}: expected more than 0 with log = true.")
        if self.log and self.step is not None:
            faults.append(f"step={self.step!r}: expected none with log = true.")
        if self.step is not None and not self.step > 0:
            faults.append(f"step={self.step!r}: expected more than 0.")
        elif self.step is not None and not _is_near_whole((self.high - self.low) / self.step):
            faults.append(f"step={self.step!r}: expected whole steps from low to high.")
        raise_all(faults, ConfigError)

    @property
    def whole(self) -> bool:
        """Tell whether only whole numbers are tried."""
        ends = (self.low, self.high, 1 if self.step is None else self.step)
        return all(isinstance(one, int) for one in ends)

    def ends(self) -> tuple[Value, ...]:
        """Give the outermost values."""
        return (self.low, self.high)

    def for_value(self, value: Value) -> "Range":
        """Give the range for a setting that has this value now: broken numbers stay broken."""
        if not isinstance(value, float):
            return self
        return Range(float(self.low), float(self.high), self.log, self.step)

    def nearest(self, value: Value) -> Value:
        """Give the value of the range that is nearest; ``low`` for what is no number."""
        if not _is_number(value):
            return self.low
        if self.step is not None:
            value = self.low + round((value - self.low) / self.step) * self.step
        value = min(max(value, self.low), self.high)
        return round(value) if self.whole else value

    def including(self, value: Value) -> "Range":
        """Stretch the range to a value, rather than start a study outside of it."""
        if not _is_number(value):
            return self
        low, high = min(self.low, value), max(self.high, value)
        fits = self.step is None or _is_near_whole((value - self.low) / self.step)
        return Range(low, high, self.log, self.step if fits else None)


@dataclass(frozen=True)
class Choice:
    """Choose among values, in no order.

    Attributes:
        values: Numbers, texts, true or false, or lists of them; each once.
    """

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        """Refuse a choice of nothing, and of one thing twice."""
        if not self.values:
            raise ConfigError("expected a choice of one value at least, found none.")
        labels = [json.dumps(value) for value in self.values]
        if len(set(labels)) < len(labels):
            raise ConfigError(f"{list(self.values)}: expected each value once.")

    def ends(self) -> tuple[Value, ...]:
        """Give all values."""
        return self.values

    def for_value(self, value: Value) -> "Choice":
        """Give the choice itself."""
        return self

    def nearest(self, value: Value) -> Value:
        """Give the value if it can be chosen, else the first one that can."""
        labels = [json.dumps(one) for one in self.values]
        label = json.dumps(value)
        return self.values[labels.index(label) if label in labels else 0]

    def including(self, value: Value) -> "Choice":
        """Add a value where it is missing."""
        known = json.dumps(self.nearest(value)) == json.dumps(value)
        return self if known else Choice((*self.values, value))


Space = dict[str, Range | Choice]

_DIM = Range(32, 128, step=32)
_DROPOUT = Range(0.0, 0.5)
_DEPTH = Range(1, 3)
_EVERYWHERE: Space = {
    "training.lr": Range(5e-4, 2e-2, log=True),
    "training.weight_decay": Range(1e-3, 0.3, log=True),
    "inputs.dropout": Range(0.0, 0.6),
    "encoder.dim": _DIM,
    "model.experts": Choice((True, False)),
}
# The recurrent cells have no dropout of their own here: it is idle in a single layer.
_OWN: dict[str, Space] = {
    "rnn": {"encoder.layers": Range(1, 2)},
    "gru": {"encoder.layers": Range(1, 2)},
    "lstm": {"encoder.layers": Range(1, 2)},
    "timelstm": {"encoder.variant": Choice((1, 2, 3)), "encoder.dropout": _DROPOUT},
    "lstmattention": {"encoder.window": Choice((16, 32, 64)), "encoder.dropout": _DROPOUT},
    "memorynetwork": {"encoder.slots": Choice((8, 16, 32)), "encoder.dropout": _DROPOUT},
    "transformer": {
        "encoder.blocks": _DEPTH,
        "encoder.heads": Choice((1, 2, 4)),
        "encoder.window": Choice((50, 100, 200)),
        "encoder.dropout": _DROPOUT,
    },
    "tide": {
        "encoder.blocks": _DEPTH,
        "encoder.window": Choice((0, 16, 32)),
        "encoder.dropout": _DROPOUT,
    },
    "hybrid": {
        "encoder.memory": Choice(("tide", "lstm", "timelstm")),
        "encoder.blocks": Range(1, 2),
        "encoder.window": Choice((20, 50, 100)),
        "encoder.dropout": _DROPOUT,
    },
}


def space_for(encoder: str) -> Space:
    """Give the space of an encoder that Recency brings, by its name.

    Raises:
        ConfigError: there is no such encoder.
    """
    if encoder not in _OWN:
        raise ConfigError(
            f"expected an encoder of {', '.join(_OWN)}, found {encoder!r}: only settings of "
            f"encoders that Recency brings can be searched."
        )
    return {**_EVERYWHERE, **_OWN[encoder]}


def read_space(table: Mapping[str, Any]) -> Mapping[str, Range | Choice | Value]:
    """Read ``[tune.space]``: names to ranges, choices, and values that are fixed.

    Args:
        table: Names to a table with ``low`` and ``high`` (and ``log``, ``step``), a list to choose
            from, a fixed value, or a `Range` or `Choice`. A section may be a table of its own, as
            TOML reads ``training.lr``.

    Raises:
        ConfigError: a range or a choice is impossible; all faults together.
    """
    found: dict[str, Any] = {}
    faults = []
    for name, given in _flat(table).items():
        try:
            found[name] = _read(given)
        except ConfigError as fault:
            faults.append(f"tune.space {name}: {fault}")
    raise_all(faults, ConfigError)
    return found


def space_as_json(space: Space) -> dict[str, Any]:
    """Write a space as ``[tune.space]`` has it."""
    return {name: _plain(one) for name, one in sorted(space.items())}


def _flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """Join sections and keys by a dot."""
    flat: dict[str, Any] = {}
    for name, given in table.items():
        if isinstance(given, Mapping) and "." not in name:
            flat |= {f"{name}.{key}": value for key, value in given.items()}
        else:
            flat[name] = given
    return flat


def _read(given: Any) -> Any:
    if isinstance(given, list | tuple):
        return Choice(tuple(given))
    if not isinstance(given, Mapping):
        return given
    if unknown := sorted(set(given) - {"low", "high", "log", "step"}):
        raise ConfigError(f"unknown key {', '.join(unknown)}; known: low, high, log, step.")
    if missing := [end for end in ("low", "high") if end not in given]:
        raise ConfigError(f"expected low and high, found no {' and no '.join(missing)}.")
    numbers = {name: given[name] for name in ("low", "high", "step") if name in given}
    if wrong := [name for name, value in numbers.items() if not _is_number(value)]:
        raise ConfigError(f"expected numbers, found {', '.join(wrong)} = {given[wrong[0]]!r}.")
    return Range(log=bool(given.get("log", False)), **numbers)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(one: Range | Choice) -> Any:
    if isinstance(one, Choice):
        return list(one.values)
    plain: dict[str, Any] = {"low": one.low, "high": one.high}
    return plain | ({"log": True} if one.log else {}) | ({"step": one.step} if one.step else {})
