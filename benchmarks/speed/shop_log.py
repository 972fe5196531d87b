"""Make the log of a shop of any size: what a benchmark of growth reads.

    python -m benchmarks.speed.shop_log DATA/shop.parquet --events 20_000_000

How many events a user has is lognormal. A user's events come in visits: pauses of seconds to
minutes inside a visit, of hours to months between visits, both lognormal. Items follow Zipf's law
over ranks, and the ranks drift: the item at a rank hands it on as days go by, so that what is
popular at the end was nearly unknown at the start. All of it follows from the seed.

Nothing is a Python object: 20 million events take about ten seconds and less than 1.5 GB.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

Ints = npt.NDArray[np.int64]

START = 1_735_689_600  # 2025-01-01 UTC, in seconds
DAYS = 365
DAY = 86_400
SPREAD = 1.0  # deviation of the logarithm of a user's number of events
VISIT = 0.75  # chance that an event is followed by one of the same visit
PAUSE, RETURN = (45.0, 1.2), (2.0 * DAY, 1.6)  # median seconds, deviation of the logarithm
ZIPF = 1.0
DRIFT = 0.5  # share of the catalogue that the head of the ranks passes in `DAYS`
ROWS = 1_000_000  # a row group of the file


@dataclass(frozen=True)
class Size:
    """Say how large a log is.

    Attributes:
        events: Events; a twentieth as many users and a hundredth as many items is the default.
        users: Users, each with one event at least.
        items: Items that may occur.
    """

    events: int
    users: int
    items: int

    @classmethod
    def of(cls, events: int) -> "Size":
        """Scale the shop of 20 million events, 1 million users and 200,000 items."""
        return cls(events, max(1, events // 20), max(1, events // 100))


def write_shop_log(path: Path, size: Size, *, seed: int = 0, text: bool = False) -> None:
    """Write a log, sorted by time, as Parquet.

    Args:
        path: The file.
        size: How large.
        seed: Repeats it.
        text: Write ids as text (``u0000042``) and not as integers.
    """
    rng = np.random.default_rng(seed)
    users, seconds = _visits(size, rng)
    order = np.argsort(seconds, kind="stable")
    users, seconds = users[order], seconds[order]
    del order
    items = _items(seconds, size, rng)
    frame = pl.DataFrame({"user_id": users, "item_id": items, "timestamp": seconds})
    lazy = frame.lazy().with_columns(
        pl.from_epoch("timestamp").dt.cast_time_unit("us").dt.replace_time_zone("UTC"),
        *((_text("user_id", "u"), _text("item_id", "i")) if text else ()),
    )
    lazy.sink_parquet(path, row_group_size=ROWS)


def _visits(size: Size, rng: np.random.Generator) -> tuple[npt.NDArray[np.int32], Ints]:
    """Draw who has an event, and when in seconds; a user's events follow each other."""
    shares = rng.lognormal(0.0, SPREAD, size.users)
    lengths = 1 + rng.multinomial(size.events - size.users, shares / shares.sum())
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    users = np.repeat(np.arange(size.users, dtype=np.int32), lengths)
    gaps = rng.standard_normal(size.events, dtype=np.float32)
    inside = rng.random(size.events, dtype=np.float32) < VISIT
    for chosen, (median, deviation) in ((inside, PAUSE), (~inside, RETURN)):
        gaps[chosen] = median * np.exp(deviation * gaps[chosen])
    gaps[starts] = 0.0
    when = np.cumsum(gaps, dtype=np.float64)
    spans = np.append(when[starts[1:]], when[-1]) - when[starts]
    # A history longer than the year is squeezed into it; a shorter one starts at random.
    spans = np.maximum(spans, 1.0)
    squeeze = np.minimum(1.0, 0.99 * DAYS * DAY / spans)
    begin = START + rng.random(size.users) * (DAYS * DAY - spans * squeeze)
    when -= np.repeat(when[starts], lengths)
    when *= np.repeat(squeeze, lengths)
    when += np.repeat(begin, lengths)
    return users, when.astype(np.int64)


def _items(seconds: Ints, size: Size, rng: np.random.Generator) -> npt.NDArray[np.int32]:
    """Draw items by Zipf's law over ranks that drift with time."""
    weights = np.arange(1, size.items + 1) ** -ZIPF
    edges = np.cumsum(weights / weights.sum())
    names = rng.permutation(size.items).astype(np.int32)
    items = np.empty(len(seconds), np.int32)
    for start in range(0, len(seconds), ROWS):
        part = slice(start, start + ROWS)
        ranks = np.searchsorted(edges, rng.random(len(seconds[part])))
        moved = (seconds[part] - START) * (DRIFT * size.items / (DAYS * DAY))
        # The top ranks change hands one place at a time, the others move with them.
        items[part] = names[(ranks + moved.astype(np.int64)) % size.items]
    return items


def _text(name: str, letter: str) -> pl.Expr:
    number = pl.col(name).cast(pl.String).str.zfill(7)
    return pl.concat_str(pl.lit(letter), number).alias(name)


def main() -> None:
    """Write the log that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("file", type=Path, help="the Parquet file to write")
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--users", type=int, help="default: a twentieth of the events")
    parser.add_argument("--items", type=int, help="default: a hundredth of the events")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--text", action="store_true", help="ids as text, not integers")
    arguments = parser.parse_args()
    size = Size.of(arguments.events)
    size = Size(size.events, arguments.users or size.users, arguments.items or size.items)
    write_shop_log(arguments.file, size, seed=arguments.seed, text=arguments.text)


if __name__ == "__main__":
    main()
