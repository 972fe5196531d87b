"""Explanation: why an item stands where it stands for a user at an instant, as facts to read.

All chances are the model's own, over all items it knows. A contribution is a difference of
logarithms, in nats: 0.69 says that without the event the chance would be half as large.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from recency.data.vocab import Id
from recency.units import format_instant

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Otherwise:
    """Tell what the answer would be if one thing were otherwise.

    Attributes:
        what: In words.
        chance: Of the item.
        rank: Of the item among all items known, 1 = best.
        items: The list, best first, before any rule or filter.
    """

    what: str
    chance: float
    rank: int
    items: list[Id]


@dataclass(frozen=True)
class Explanation:
    """Hold what a recommendation rests on.

    Attributes:
        user: Id; None for somebody without a name.
        item: Id.
        title: The catalogue's; None where it has none.
        at: Instant of the question, microseconds.
        model_version: Names the weights.
        score: As served.
        chance: That the model gives the item, among all it knows.
        rank: Among all items known, 1 = best, before any rule or filter.
        items: The list, best first, before any rule or filter.
        method: How contributions were found.
        events: One row an event that was looked at, newest first: ``ago`` (1 = newest),
            ``item_id``, ``title``, ``timestamp``, ``event_type`` where the log has types,
            ``contribution`` (nats; null where the item has no chance at all), ``turn`` (1 = counts
            most), ``rank_without`` (null where gradients told; in turn, without all that went
            before as well), and the shares of the item's chance that the event brings through the
            experts ``own`` and ``pair``, exactly (null without experts).
        older: Contribution of all events before those, together; None where there are none.
        voices: Share of the item's chance that each voice brings, exactly; None without experts.
        time: What the answer would be at other times.
        without: What it would be without the events named; None where none was.
        content: What each feature of the item adds to the encoder's score of it, in nats, exactly;
            ``id`` is what was learned from its events. None for a model without content.
        uses_instant: Whether the model lets scores depend on the instant of the question.
    """

    user: Id | None
    item: Id
    title: str | None
    at: int
    model_version: str
    score: float
    chance: float
    rank: int
    items: list[Id]
    method: str
    events: pl.DataFrame
    older: float | None
    voices: dict[str, float] | None
    time: list[Otherwise]
    without: Otherwise | None
    content: dict[str, float] | None
    uses_instant: bool

    def to_frame(self) -> pl.DataFrame:
        """List the events, what counts most first; see ``events``."""
        return self.events.sort("turn")

    def to_dict(self) -> dict[str, Any]:
        """Give everything as JSON knows it; instants are ISO 8601, what is not finite is null."""
        facts = {name: value for name, value in vars(self).items() if name != "events"}
        facts["at"] = format_instant(self.at)
        facts["time"] = [asdict(one) for one in self.time]
        facts["without"] = None if self.without is None else asdict(self.without)
        stamps = self.events["timestamp"].dt.timestamp("us").to_list()
        rows = self.events.to_dicts()
        for row, stamp in zip(rows, stamps, strict=True):
            row["timestamp"] = format_instant(stamp)
        found: dict[str, Any] = _finite(facts | {"events": rows, "sentences": self.sentences()})
        return found

    def to_json(self) -> str:
        """Write `to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    def sentences(self, most: int = 3) -> list[str]:
        """Say what was found in short sentences, each of facts that are in here.

        Args:
            most: Events named.
        """
        from recency.explaining.sentences import sentences

        return sentences(self, most)

    def plot(self, path: str | Path | None = None, most: int = 12) -> "Figure":
        """Draw what each event brings, what each voice brings, and what would be otherwise.

        Args:
            path: Saved there too, as its suffix says: ``.png``, ``.svg`` or ``.pdf``.
            most: Events drawn.
        """
        from recency.explaining.picture import draw

        return draw(self, None if path is None else Path(path), most)

    def __str__(self) -> str:
        return "\n".join(self.sentences())


def _finite(value: Any) -> Any:
    """Bring a value to what JSON knows."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
