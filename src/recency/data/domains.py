"""Domains: which catalogue each item belongs to, as a log or a catalogue tells it.

A domain is a property of an item. A log names it event by event, so an item's domain is the one
that most of its events name; an item with several is told, since two things may share an id.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from recency.data.catalogue import Catalogue
from recency.data.histories import UNKNOWN, Ints
from recency.data.log import Log
from recency.data.prepared import Prepared
from recency.data.vocab import Vocab
from recency.errors import ConfigError, DataWarning


def item_domains(log: Log) -> pl.DataFrame:
    """List the items of a log with their domains.

    Warns of items whose events name several: each gets the one that most of them name, of equals
    the one that came first.

    Args:
        log: Events with a column ``domain``; those without one say nothing.

    Returns:
        ``item_id`` and ``domain``, one row for each item that has one, in the order of the log.
    """
    named = log.events.select("item_id", "domain").drop_nulls()
    counted = named.group_by("item_id", "domain", maintain_order=True).len()
    ordered = counted.sort("len", descending=True, maintain_order=True)
    found = ordered.unique("item_id", keep="first", maintain_order=True)
    if several := counted.height - found.height:
        example = ordered.filter(ordered["item_id"].is_duplicated())["item_id"][0]
        warnings.warn(
            f"items of several domains: {several:,} more pairs of item and domain than items, such "
            f"as item {example!r}; each item is put where most of its events are. If two items "
            f"share an id, make their ids differ.",
            DataWarning,
            stacklevel=3,
        )
    return found.select("item_id", "domain")


def with_domains(log: Log | Prepared, items: Catalogue | None) -> Catalogue | None:
    """Give a catalogue the domains that a log names, for items of which it names none itself.

    Args:
        log: Training events, with or without a column ``domain``.
        items: What is known so far; None where there is nothing.

    Returns:
        A catalogue; the one given where the log has nothing to add.
    """
    if isinstance(log, Prepared) or not log.has("domain"):
        return items
    found = item_domains(log)
    if not found.height:
        return items
    if items is None:
        return Catalogue.from_frame(found)
    if "domain" in items.frame.columns:
        known = items.frame.filter(pl.col("domain").is_not_null())["item_id"]
        found = found.filter(~pl.col("item_id").is_in(known.implode()))
    return items.merge(found) if found.height else items


def domains_named(
    events: Log | Sequence[Mapping[str, Any]], items: Catalogue
) -> list[dict[str, Any]]:
    """List the items that a catalogue puts in no domain, with the domain that new events name.

    Returns:
        Rows for `Catalogue.merge`.
    """
    if isinstance(events, Log):
        rows = item_domains(events).to_dicts() if events.has("domain") else []
    else:
        named = [one for one in events if one.get("domain") is not None]
        rows = [
            {"item_id": one, "domain": domain}
            for one, domain in {one["item_id"]: str(one["domain"]) for one in named}.items()
        ]
    return [row for row in rows if items.describe(row["item_id"]).get("domain") is None]


def domain_codes(items: Vocab, catalogue: Catalogue | None) -> tuple[Ints, tuple[str, ...]]:
    """Give the domain of each row of a vocabulary, as a place in a sorted list of names.

    Args:
        items: Rows.
        catalogue: Names the domains.

    Returns:
        [len(items)] places, `UNKNOWN` for items without a domain; and the names of those that have
        an item.

    Raises:
        ConfigError: no item has a domain.
    """
    cells = np.full(len(items), UNKNOWN)
    if catalogue is not None:
        cells = catalogue.shelf(items).cells["domain"].astype(np.int64)
    if not (cells >= 0).any():
        raise ConfigError(
            "expected items with a domain, found none: read a log with a column domain "
            "(read_log(columns={'domain': ...})), or pass fit(log, items=...) a catalogue with one."
        )
    assert catalogue is not None
    used = np.unique(cells[cells >= 0])
    first = {int(code): items.id_of(int(np.argmax(cells == code))) for code in used}
    named = {code: str(catalogue.describe(one)["domain"]) for code, one in first.items()}
    names = tuple(sorted(named.values()))
    place = {code: names.index(name) for code, name in named.items()}
    codes = np.array([place.get(int(one), UNKNOWN) for one in range(int(cells.max()) + 1)])
    return np.where(cells >= 0, codes[np.maximum(cells, 0)], UNKNOWN), names
