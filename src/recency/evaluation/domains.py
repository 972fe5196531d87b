"""Evaluation by domain: the domain of the target is given, and its items are the candidates.

Where a log holds several catalogues, a list is asked for within one of them. So each domain is an
evaluation of its own, over the same histories: events of all domains may be read. Slices tell the
directions apart (from the domain of the newest event to that of the target), and users by how many
events they had in the target's domain before: those with few are what a shared memory is for.
"""

from collections.abc import Sequence
from typing import Any

import polars as pl

from recency.data.catalogue import Catalogue
from recency.data.domains import item_domains
from recency.data.log import Log
from recency.errors import ConfigError
from recency.evaluation.evaluate import evaluate
from recency.evaluation.protocol import Recommender
from recency.evaluation.questions import past_of
from recency.evaluation.report import Report


def evaluate_domains(
    model: Recommender,
    test: Log,
    *,
    domains: Sequence[str] | None = None,
    catalogue: Catalogue | None = None,
    **settings: Any,
) -> dict[str, Report]:
    """Judge a model within each domain: targets and candidates are the domain's items.

    The slices of each report that matter here are ``domain``, ``direction`` and ``events in the
    domain``.

    Args:
        model: As `recency.evaluate` takes it; it may read events of all domains.
        test: With ``test.past``; it or ``catalogue`` names domains.
        domains: Which to judge; None takes all.
        catalogue: As of `recency.evaluate`; its domains count where the log has none.
        **settings: As `recency.evaluate` takes them, but for ``candidates``.

    Returns:
        A report by domain, in the order of names.

    Raises:
        ConfigError: nothing names domains, one of ``domains`` has no item, or a setting is
            impossible.
        DataError: no target is left in a domain.
    """
    if "candidates" in settings:
        raise ConfigError(
            "evaluate_domains(candidates=...): candidates are the items of each domain; use "
            "evaluate(candidates=...) for others."
        )
    test = with_domain_column(test, catalogue)
    listed = item_domains(Log.from_frame(pl.concat([past_of(test).events, test.events])))
    known = sorted(listed["domain"].unique().to_list())
    if unknown := [one for one in domains or () if one not in known]:
        raise ConfigError(
            f"no item has the domain {', '.join(map(repr, unknown))}. Known: {', '.join(known)}."
        )
    found = {}
    for domain in sorted(set(domains)) if domains is not None else known:
        ids = listed.filter(listed["domain"] == domain)["item_id"].to_list()
        found[domain] = evaluate(model, test, candidates=ids, catalogue=catalogue, **settings)
    return found


def with_domain_column(test: Log, catalogue: Catalogue | None) -> Log:
    """Give a test log and its past a column ``domain``: their own, or that of a catalogue.

    Raises:
        ConfigError: neither names domains.
    """
    past = past_of(test)
    if test.has("domain") and past.has("domain"):
        return test
    if catalogue is None or "domain" not in catalogue.frame.columns:
        raise ConfigError(
            "expected a column domain in the log or in catalogue=, found none; read_log and "
            "read_items take columns={'domain': ...}."
        )
    named = catalogue.frame.select("item_id", "domain")

    def joined(log: Log) -> pl.DataFrame:
        bare = log.events.drop("domain", strict=False)
        return bare.join(named, on="item_id", how="left", maintain_order="left")

    return Log(joined(test), Log(joined(past)))
