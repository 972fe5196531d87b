"""Run flags: which key of ``run.toml`` each flag of the command line goes over."""

from pathlib import Path
from typing import Any

from recency.cli.run_config import RunConfig, read_run_config

_SECTIONS = {
    "data": ("unit",),
    "split": ("until",),
    "model": ("encoder", "size", "dim", "layers", "experts", "seed"),
    "training": ("epochs", "device", "max_len", "precision"),
    "content": ("text", "vectors"),
    "evaluate": ("k", "history", "repeats", "reading", "ties", "targets", "max_targets"),
    "tune": ("trials", "minutes", "workers", "folds", "horizon"),
}
_SECTION_OF = {flag: section for section, flags in _SECTIONS.items() for flag in flags}
_COLUMNS = {"user": "user_id", "item": "item_id", "time": "timestamp"}


def run_of(config: Path | None, **flags: Any) -> RunConfig:
    """Read ``run.toml`` and lay flags over it.

    Args:
        config: None takes the defaults.
        **flags: As commands call them; None changes nothing.

    Raises:
        ConfigError: the file is no TOML, or a section, key or value is wrong; all together.
    """
    changes: dict[str, dict[str, Any]] = {}
    columns = columns_of(**{name: flags.pop(name, None) for name in _COLUMNS})
    if columns:
        changes["data"] = {"columns": columns}
    for flag, value in flags.items():
        changes.setdefault(_SECTION_OF[flag], {})[flag] = value
    return read_run_config(config, changes)


def columns_of(user: str | None, item: str | None, time: str | None) -> dict[str, str]:
    """Give the columns that flags name, under Recency's names."""
    asked = {"user": user, "item": item, "time": time}
    return {_COLUMNS[flag]: column for flag, column in asked.items() if column is not None}
