"""Reading: the files that commands are given, as flags and ``run.toml`` say.

What was guessed is told on stderr.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from recency.cli import output
from recency.cli.run_config import DataSection, RunConfig
from recency.cli.run_flags import columns_of
from recency.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

    from recency.data.catalogue import Catalogue
    from recency.data.log import Log
    from recency.data.prepared import Prepared
    from recency.units import Instant


def log_by_flags(
    file: str,
    user: str | None,
    item: str | None,
    time: str | None,
    unit: str | None,
    time_zone: str,
    time_format: str | None,
    names: str | None,
    drop_bad: bool,
) -> "Log":
    """Read an event file where no ``run.toml`` is at hand."""
    from recency.data.reading import read_log

    return read_log(
        output.source(file),
        columns=columns_of(user, item, time),
        unit=unit,
        time_zone=time_zone,
        time_format=time_format,
        names=[name.strip() for name in names.split(",")] if names is not None else None,
        on_bad="drop" if drop_bad else "raise",
        report=output.tell_reading,
    )


def events(file: str, settings: RunConfig) -> "Log":
    """Read an event file as ``[data]`` says."""
    from recency.data.reading import read_log

    data = settings.data
    return read_log(
        output.source(file),
        columns=data.columns,
        unit=data.unit,
        time_zone=data.time_zone,
        on_bad=data.on_bad,
        context=data.context,
        report=output.tell_reading,
    )


def training_log(file: str, settings: RunConfig) -> "Log":
    """Read the events that a run learns from: those before the end that ``[split]`` names."""
    log = events(file, settings)
    if settings.split.until is None:
        return log
    cut = instant(log, settings.split.until, settings.data.time_zone)
    return log if cut == log.end else log.split_at(cut)[0]  # a run folder may name the very end


def log_to_learn(file: str, settings: RunConfig) -> "Log | Prepared":
    """Open a prepared folder, or read the events that a run learns from."""
    from recency.data.prepared import is_prepared, read_prepared

    if not is_prepared(file):
        return training_log(file, settings)
    if settings.data != DataSection() or settings.split.until is not None:
        raise ConfigError(
            f"{file} is a prepared folder: columns, units and the end of what is learned were "
            f"settled by recency prepare; give its flags there and leave --until and [data] out."
        )
    return read_prepared(file)


def instant(log: "Log", at: str | float, time_zone: str = "UTC") -> int:
    """Turn ``2026-03-01`` or a share such as ``0.9`` into an instant."""
    from recency.units import parse_instant

    try:
        share = float(at)
    except ValueError:
        return parse_instant(str(at), time_zone)
    return log.quantile(share)


def asked_at(at: str | None) -> "Instant | None":
    """Give the instant that a question names; the clock is read for ``now``."""
    return datetime.now(UTC) if at == "now" else at


def items_of(file: str | None) -> "Catalogue | None":
    """Read an item file, if one is named."""
    from recency.data.reading import read_items

    return None if file is None else read_items(file, report=output.tell_reading)


def people_of(file: str | None, settings: RunConfig) -> "pl.DataFrame | None":
    """Read the profiles of users, if a file is named.

    Raises:
        ConfigError: ``run.toml`` does not say what is made of them.
    """
    from recency.data.reading import read_users

    if file is None:
        return None
    if settings.profiles is None:
        raise ConfigError("--users: say what is made of profiles in run.toml: [profiles].")
    return read_users(output.source(file), report=output.tell_reading)
