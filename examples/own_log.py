"""Read a log with column names and a time unit of its own, look at it, and split it by time.

python examples/own_log.py
"""

import tempfile
from pathlib import Path

import polars as pl

import recency as rc
from recency.data.synthetic import shop


def write_a_file(path: Path) -> None:
    """Write clicks as another system might: other names, times in milliseconds, tab-separated."""
    events = shop(n_users=200, n_items=60, days=60, seed=1).log.events
    events.select(
        visitor=pl.col("user_id"),
        sku=pl.col("item_id"),
        clicked=pl.col("timestamp").dt.epoch("ms"),
        action=pl.col("event_type"),
    ).write_csv(path, separator="\t")


def main() -> None:
    """Run the example."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clicks.tsv"
        write_a_file(path)
        names = {"user_id": "visitor", "item_id": "sku", "timestamp": "clicked"}
        # Guesses (here: event_type = action, unit ms) and notes come with the report.
        log = rc.read_log(path, columns=names, report=print)

    print(rc.inspect(log))
    for split in rc.rolling_splits(log, n=3, horizon="7d"):
        print(f"{len(split.train):,} events to learn from, {len(split.test):,} to be judged on")


if __name__ == "__main__":
    main()
