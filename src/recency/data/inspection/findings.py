"""Findings: an inspection in words, for a terminal, and the warnings it gives rise to."""

from typing import TYPE_CHECKING

from recency.data.inspection.profile import UNITS
from recency.units import SECOND, format_duration, format_instant

if TYPE_CHECKING:
    from recency.data.inspection.facts import Inspection

_FEW_EVENTS = 1_000


def describe(facts: "Inspection") -> str:
    """Write the facts as an aligned table, then the warnings."""
    rows = [
        ("events", f"{facts.counts.events:,}"),
        ("users", f"{facts.counts.users:,}"),
        ("items", f"{facts.counts.items:,}"),
        *_time_rows(facts),
        *_history_rows(facts),
        *_item_rows(facts),
        *_count_rows(facts),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {text}" for name, text in rows]
    if facts.warnings:
        lines += ["", "What will mislead:"] + [f"  ! {one}" for one in facts.warnings]
    else:
        lines += ["", "Nothing in it looks misleading."]
    return "\n".join(lines)


def warn_of(facts: "Inspection") -> tuple[str, ...]:
    """List what will mislead somebody who trains or evaluates on the log."""
    return tuple(
        one
        for part in (_about_size, _about_time, _about_order, _about_newness, _about_rows)
        for one in part(facts)
    )


def percent(share: float) -> str:
    """Write a share with as many digits as matter: ``77 %``, ``3.1 %``, ``0.04 %``."""
    value = 100 * share
    if value == 0 or value >= 10:
        return f"{value:.0f} %" if value < 99.5 or share == 1 else f"{value:.1f} %"
    return f"{value:.1f} %" if value >= 1 else f"{value:.2g} %"


def _time_rows(facts: "Inspection") -> list[tuple[str, str]]:
    times = facts.times
    span = format_duration((times.end - times.start) / SECOND)
    return [
        ("time", f"{format_instant(times.start)} to {format_instant(times.end - 1)} ({span})"),
        ("resolution", times.resolution),
    ]


def _history_rows(facts: "Inspection") -> list[tuple[str, str]]:
    histories = facts.histories
    lengths, gaps = histories.lengths, histories.gaps
    rows = [
        (
            "events a user",
            f"median {lengths['0.5']:,.0f}, 90 % have up to {lengths['0.9']:,.0f}, "
            f"most {lengths['max']:,.0f}; {percent(histories.one_event_users)} have one",
        )
    ]
    if gaps:
        rows.append(
            (
                "gaps",
                f"median {format_duration(gaps['0.5'])}, middle half "
                f"{format_duration(gaps['0.25'])} to {format_duration(gaps['0.75'])}, "
                f"90 % up to {format_duration(gaps['0.9'])}",
            )
        )
    rows.append(
        (
            "same instant",
            f"{percent(histories.tied_events)} of the events share it with another of the user",
        )
    )
    rows.append(
        ("repeats", f"{percent(histories.repeats)} of the events are on an item had before")
    )
    return rows


def _item_rows(facts: "Inspection") -> list[tuple[str, str]]:
    items, after = facts.items, facts.after_cut
    months = list(items.new_per_month.values())
    later = sorted(months[1:])
    appear = f", {later[len(later) // 2]:,} new in the median month" if later else ""
    return [
        (
            "popularity",
            f"the top 1 % of items take {percent(items.top_share)} of the events; "
            f"{percent(items.one_event_items)} of items have one{appear}",
        ),
        (
            "last tenth",
            f"from {format_instant(after.cut)}: {percent(after.unseen_items)} of its events are on "
            f"items unseen before, {percent(after.unseen_users)} of its users are new",
        ),
    ]


def _count_rows(facts: "Inspection") -> list[tuple[str, str]]:
    counts, odd = facts.counts, facts.suspicions
    rows = []
    for name, commonest in (("event types", counts.event_types), ("domains", counts.domains)):
        if commonest:
            rows.append((name, ", ".join(f"{one} {n:,}" for one, n in commonest.items())))
    if counts.missing:
        rows.append(("missing", ", ".join(f"{one} {n:,}" for one, n in counts.missing.items())))
    if odd.n_duplicates or odd.n_repeated_event_ids:
        rows.append(
            ("duplicates", f"{odd.n_duplicates:,} rows, {odd.n_repeated_event_ids:,} event ids")
        )
    return rows


def _about_size(facts: "Inspection") -> list[str]:
    counts, found = facts.counts, []
    if counts.users == 1:
        found.append("There is one user: nothing can be learned from others.")
    if counts.items == 1:
        found.append("There is one item: every recommendation is that item.")
    if counts.events < _FEW_EVENTS:
        found.append(f"{counts.events:,} events are few: a metric on a tenth of them is noise.")
    if facts.histories.lengths["0.5"] <= 2 and counts.users > 1:
        found.append(
            f"Half of the users have at most {facts.histories.lengths['0.5']:.0f} events: there is "
            f"little sequence to read, and popularity will be hard to beat."
        )
    return found


def _about_time(facts: "Inspection") -> list[str]:
    times, found = facts.times, []
    if times.n_early:
        found.append(
            f"{times.n_early:,} events lie before 1990, the first at "
            f"{format_instant(times.start)}: a wrong unit, a zero for 'unknown', or relative times?"
        )
    if times.n_future:
        found.append(
            f"{times.n_future:,} events lie in the future, the last at "
            f"{format_instant(times.end - 1)}: a wrong zone or unit?"
        )
    if times.resolution == "day":
        found.append(
            "Times are whole days: the order within a day is unknown, and so are shorter gaps and "
            "the hour of the day. Experts should not look into it: "
            'ExpertConfig(resolution="1d").'
        )
    if times.resolution == "hour":
        found.append("Times are whole hours: order and gaps within an hour are unknown.")
    if times.resolution == "unknown" and facts.counts.events > 1:
        found.append("All events have the same time: nothing can be split by time.")
    span = (times.end - times.start) / SECOND
    if times.tail_seconds > 0.2 * span and facts.counts.events >= _FEW_EVENTS:
        found.append(
            f"The last 0.1 % of the events take {format_duration(times.tail_seconds)} of the "
            f"{format_duration(span)}: cut by quantile, not by date, or the test is nearly empty."
        )
    return found


def _about_order(facts: "Inspection") -> list[str]:
    histories, found = facts.histories, []
    unit = facts.times.resolution if facts.times.resolution != "unknown" else "instant"
    if histories.tied_events >= 0.05:
        found.append(
            f"{percent(histories.tied_events)} of the events share their {unit} with another of "
            f"the same user: their order is that of the rows. Score them from one state, the one "
            f"before that {unit}, as recency.evaluate does."
        )
    width = UNITS.get(facts.times.resolution, 1) / SECOND
    if histories.commonest_gap_share >= 0.1 and histories.commonest_gap >= 10 * width:
        found.append(
            f"{percent(histories.commonest_gap_share)} of the gaps between a user's events are "
            f"exactly {format_duration(histories.commonest_gap)}: these times were made by a "
            f"program, not by people."
        )
    if histories.repeats >= 0.3:
        found.append(
            f"{percent(histories.repeats)} of the events repeat an item of the same user: numbers "
            f"with repeats=True and repeats=False answer different questions; give both."
        )
    return found


def _about_newness(facts: "Inspection") -> list[str]:
    after, found = facts.after_cut, []
    if after.unseen_items >= 0.1:
        found.append(
            f"{percent(after.unseen_items)} of the events after the 0.9 quantile are on items "
            f"never seen before: a frozen catalogue is judged on the other "
            f"{percent(1 - after.unseen_items)}."
        )
    if after.unseen_users >= 0.5:
        found.append(
            f"{percent(after.unseen_users)} of the users after the 0.9 quantile have no earlier "
            f"event: with history='frozen' they all get the fallback."
        )
    if facts.items.top_share >= 0.5 and facts.counts.items >= 100:
        found.append(
            f"The top 1 % of the items take {percent(facts.items.top_share)} of the events: "
            f"a list of them looks good in every metric; look at coverage too."
        )
    return found


def _about_rows(facts: "Inspection") -> list[str]:
    odd, found = facts.suspicions, []
    if odd.n_duplicates:
        share = percent(odd.n_duplicates / facts.counts.events)
        found.append(
            f"{odd.n_duplicates:,} events ({share}) repeat user, item, time and type of an earlier "
            f"one; recency.clean drops them."
        )
    if odd.n_repeated_event_ids:
        found.append(
            f"{odd.n_repeated_event_ids:,} events have the event_id of an earlier one; "
            f"recency.clean drops them."
        )
    if odd.n_outliers:
        named = ", ".join(
            f"{one.user_id!r} ({one.events:,}, {one.busiest_day:,} on one day)"
            for one in odd.outliers[:3]
        )
        whose = "user has" if odd.n_outliers == 1 else "users have"
        found.append(
            f"{odd.n_outliers:,} {whose} far more events than the others, "
            f"{percent(odd.outlier_events)} of all: {named}. Bots, or shared accounts?"
        )
    for column, n in facts.counts.missing.items():
        if n >= 0.05 * facts.counts.events:
            share = percent(n / facts.counts.events)
            found.append(f"{column} is missing in {n:,} events ({share}).")
    return found
