"""Columns: which column of a table is the user, the item, the time.

Decisions: what the caller names wins; then the exact name (``user_id``), then the same name in
another spelling (``UserID``), then a table of usual names. Two candidates of the same strength for
a required column are an error that lists both: a wrong guess costs more than a second call.
For an optional column they are a note, and neither is read.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recency.errors import DataError, raise_all

# Usual names, in lower case and without punctuation.
USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "user_id": (
        *("user", "uid", "users", "username", "visitor", "visitorid", "customer", "customerid"),
        *("client", "clientid", "member", "memberid", "account", "accountid", "person", "personid"),
        *("reviewerid", "profileid", "userpseudoid", "buyerid", "playerid", "readerid"),
    ),
    "item_id": (
        *("item", "iid", "items", "sku", "product", "productid", "movie", "movieid", "article"),
        *(
            "articleid",
            "content",
            "contentid",
            "asin",
            "isbn",
            "news",
            "newsid",
            "track",
            "trackid",
        ),
        *("song", "songid", "video", "videoid", "book", "bookid", "post", "postid", "document"),
        *("documentid", "listing", "listingid", "offer", "offerid", "stockcode", "clickarticleid"),
        *("game", "gameid", "course", "courseid", "recipe", "recipeid", "venue", "venueid"),
    ),
    "timestamp": (
        *("ts", "time", "date", "datetime", "unixtime", "unixreviewtime", "reviewtime", "when"),
        *("eventtime", "eventtimestamp", "eventdate", "createdat", "created", "occurredat"),
        *("clicktimestamp", "clicktime", "interactiontime", "invoicedate", "orderdate", "tdat"),
    ),
    "event_type": (
        *("event", "eventname", "type", "action", "actiontype", "behavior", "behaviour"),
        *("behaviortype", "behaviourtype", "interactiontype", "feedbacktype"),
    ),
    "value": ("rating", "overall", "stars"),
    "session_id": ("session", "sid"),
    "domain": (),
    "event_id": ("eventuuid",),
    # of item tables
    "title": ("name", "itemname", "producttitle", "productname", "movietitle", "headline"),
    "text": ("description", "abstract", "body", "summary"),
    "categories": ("category", "genres", "genre", "class", "tags", "section", "department"),
    "price": ("unitprice", "cost"),
    "available_from": ("publishedat", "publishedtime", "releasedate", "launchdate", "createdatts"),
    "expires_at": ("expiresat", "expires", "expiry", "availableuntil", "validuntil"),
    "is_hidden": ("hidden",),
    "in_stock": ("instock", "stock"),
}


@dataclass(frozen=True)
class ColumnMap:
    """Say which column is read as what.

    Attributes:
        theirs: Recency's name to the table's name.
        guessed: Recency's names whose column was guessed, not named by the caller.
        notes: What the caller should know, such as an optional column left out.
    """

    theirs: dict[str, str]
    guessed: tuple[str, ...]
    notes: tuple[str, ...]


def map_columns(
    found: Sequence[str],
    asked: Mapping[str, str | None] | None,
    *,
    required: Sequence[str],
    optional: Sequence[str],
    context: Sequence[str] = (),
    where: str = "the table",
) -> ColumnMap:
    """Find the column of each of Recency's names.

    Args:
        found: The table's column names.
        asked: Recency's name to the table's, as the caller knows them; None as a value leaves an
            optional column out.
        required: Recency's names without which the table is of no use.
        optional: Recency's names that may be missing.
        context: The table's columns that are to be kept under their own names.
        where: What messages call the table.

    Raises:
        DataError: a name is unknown, a column is missing, or a guess has two candidates; all
            faults together.
    """
    asked = dict(asked or {})
    known = (*required, *optional)
    faults = _asked_faults(asked, found, known, required, where)
    faults += _context_faults(context, found, known, where)
    theirs = {ours: name for ours, name in asked.items() if name is not None and ours in known}
    faults += _twice(theirs)
    guessed, notes = [], []
    for ours in known:
        if ours in asked:
            continue
        free = [name for name in found if name not in (*theirs.values(), *context)]
        candidates = _candidates(ours, free)
        if len(candidates) == 1:
            theirs[ours] = candidates[0]
            guessed.append(ours)
        elif ours in required:
            faults.append(_undecided(ours, candidates, found, where))
        elif candidates:
            listed = ", ".join(candidates)
            notes.append(
                f"{ours} was not read: it could be any of {listed}; "
                f"name one with columns={{'{ours}': '{candidates[0]}'}}"
            )
    raise_all(faults, DataError)
    ordered = {ours: theirs[ours] for ours in known if ours in theirs}
    return ColumnMap(ordered, tuple(guessed), tuple(notes))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _candidates(ours: str, free: Sequence[str]) -> list[str]:
    """List the columns that could be meant, of the strongest kind of match only."""
    if ours in free:
        return [ours]
    same = [name for name in free if _plain(name) == _plain(ours)]
    usual = [name for name in free if _plain(name) in USUAL_NAMES[ours]]
    return same or usual


def _undecided(ours: str, candidates: Sequence[str], found: Sequence[str], where: str) -> str:
    if candidates:
        return (
            f"{ours} could be any of {', '.join(candidates)} in {where}; "
            f"say which: columns={{'{ours}': '{candidates[0]}'}}."
        )
    usual = ", ".join(USUAL_NAMES[ours][:4])
    hint = ""
    if ours == "user_id":
        sessions = _candidates("session_id", found)
        if len(sessions) == 1:
            hint = f" If a session is your user: columns={{'user_id': '{sessions[0]}'}}."
    if found and all(_looks_like_data(name) for name in found):
        hint = " The first line looks like data; pass names= with one name for each column."
    return (
        f"no column of {where} looks like {ours} (such as {usual}); "
        f"found: {', '.join(found) or 'no column'}. Name it: columns={{'{ours}': '...'}}.{hint}"
    )


def _looks_like_data(name: str) -> bool:
    return re.sub(r"_duplicated_\d+$", "", name)[:1].isdigit() or name.startswith("_duplicated")


def _asked_faults(
    asked: Mapping[str, str | None],
    found: Sequence[str],
    known: Sequence[str],
    required: Sequence[str],
    where: str,
) -> list[str]:
    faults = []
    for ours, name in asked.items():
        if ours not in known:
            faults.append(
                f"columns= maps Recency's names to yours; {ours!r} is none of Recency's"
                f"{_meant(ours, known)}. Known: {', '.join(known)}."
            )
        elif name is None and ours in required:
            faults.append(f"{ours} is required and cannot be left out.")
        elif name is not None and name not in found:
            faults.append(_missing(f"{ours} was said to be", name, found, where))
    return faults


def _context_faults(
    context: Sequence[str], found: Sequence[str], known: Sequence[str], where: str
) -> list[str]:
    faults = [
        _missing("context names", name, found, where) for name in context if name not in found
    ]
    return faults + [
        f"context names {name!r}, which is Recency's own name for something else; "
        f"rename the column, or map it with columns=."
        for name in context
        if name in known
    ]


def _missing(what: str, name: str, found: Sequence[str], where: str) -> str:
    return (
        f"{what} {name!r}, but {where} has no such column{_meant(name, found)}. "
        f"Found: {', '.join(found) or 'no column'}."
    )


def _meant(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _twice(theirs: Mapping[str, str]) -> list[str]:
    by_name: dict[str, list[str]] = {}
    for ours, name in theirs.items():
        by_name.setdefault(name, []).append(ours)
    return [
        f"column {name!r} was named for {' and '.join(ours)}; each needs a column of its own."
        for name, ours in by_name.items()
        if len(ours) > 1
    ]
