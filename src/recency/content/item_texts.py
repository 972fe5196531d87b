"""Item texts: one text an item, from its title, its words and its labels.

What comes from a shop's database is cleaned, not refused: control characters and broken ones go,
white space is folded, and what is far too long is cut. How much of that happened is told in one
warning, so that a column of the wrong kind does not pass silently.
"""

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from recency.data.catalogue import Catalogue
from recency.data.vocab import Id
from recency.errors import ConfigError, DataWarning

LONGEST = 10_000  # characters of a text; encoders read a few hundred words
TEMPLATE = ("title", "text", "categories", "tags")
_UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffd]")
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class ItemTexts:
    """Hold one text an item.

    Attributes:
        ids: Of the items.
        texts: As many; ``""`` where nothing is said of an item.
    """

    ids: list[Id]
    texts: list[str]

    def __len__(self) -> int:
        return len(self.ids)


def item_texts(catalogue: Catalogue, columns: Sequence[str] = TEMPLATE) -> ItemTexts:
    """Join what a catalogue says of each item into one text.

    Columns follow each other, each ended by a full stop; lists are joined by commas and named:
    ``"Blue tent. Sleeps two. Categories: camping, summer."``

    Args:
        catalogue: Items and their attributes.
        columns: Which to join, in this order; those the catalogue lacks are left out.

    Raises:
        ConfigError: the catalogue has none of the columns.
    """
    frame = catalogue.frame
    there = [name for name in columns if name in frame.columns]
    if not there:
        raise ConfigError(
            f"expected one of the columns {', '.join(columns)} in the catalogue, found "
            f"{', '.join(frame.columns)}; name those that hold words with columns=."
        )
    rows = frame.select(there).iter_rows(named=True)
    texts = cleaned(_joined(row, there) for row in rows)
    return ItemTexts(frame["item_id"].to_list(), texts)


def cleaned(texts: Iterable[str | None]) -> list[str]:
    """Fold white space, take out what cannot be read, cut what is too long.

    Warns, once, of how many texts were cut or held characters that cannot be read.
    """
    found, n_unreadable, n_cut = [], 0, 0
    for text in texts:
        clean, lost, is_cut = _cleaned(text or "")
        n_unreadable, n_cut = n_unreadable + lost, n_cut + is_cut
        found.append(clean)
    for count, fault in (
        (n_unreadable, "held characters that cannot be read, which were taken out"),
        (n_cut, f"were longer than {LONGEST:,} characters and were cut"),
    ):
        if count:
            warnings.warn(f"{count:,} of {len(found):,} texts {fault}.", DataWarning, stacklevel=2)
    return found


def readable(text: str) -> str:
    """Clean one text as `cleaned` does, without a warning: whoever searches sees what is found."""
    return _cleaned(text)[0]


def _cleaned(text: str) -> tuple[str, bool, bool]:
    """Give a text cleaned, and whether it held what cannot be read, and whether it was cut."""
    left = _UNREADABLE.sub("", text)
    folded = _SPACE.sub(" ", left[: 2 * LONGEST]).strip()
    is_cut = len(folded) > LONGEST or len(left) > 2 * LONGEST
    return folded[:LONGEST], len(left) < len(text), is_cut


def _joined(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    parts = []
    for name in columns:
        value = row[name]
        if isinstance(value, (list, pl.Series)):
            words = ", ".join(str(one) for one in value if one)
            parts += [f"{name.capitalize()}: {words}"] if words else []
        elif value is not None and str(value).strip():
            parts.append(str(value).strip())
    return " ".join(part if part.endswith((".", "!", "?")) else f"{part}." for part in parts)
