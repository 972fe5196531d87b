"""Logs whose items have words, cut by time, with what was said of items before the cut."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

import recency as rc
from benchmarks.accuracy.splits import SOURCES, split_of

TAGS = 8  # the commonest of an item


@dataclass(frozen=True)
class Described:
    """Hold a log, cut at its 0.9 quantile of time, and what is known of its items.

    Attributes:
        data: Name.
        train: What comes before the cut.
        test: What is asked about.
        items: Titles and categories; tags that were given before the cut.
        column: What tells kinds of items apart for popularity by category.
    """

    data: str
    train: rc.Log
    test: rc.Log
    items: rc.Catalogue
    column: str


def described(folder: Path) -> Described:
    """Read a log and its items; purchases only where a shop has returns, as `accuracy` does."""
    split = split_of(folder, "time")
    assert folder.name in SOURCES or (folder / "items.parquet").exists()
    items = pl.read_parquet(folder / "items.parquet")
    if items["item_id"].dtype.is_integer():
        items = items.with_columns(pl.col("item_id").cast(pl.Int64))
    if (folder / "tags.parquet").exists():
        items = items.join(_tags(folder, split.test.start), on="item_id", how="left")
    if "categories" in items.columns:  # of films: the year stands behind the title
        year = pl.col("title").str.extract(r"\((\d{4})\)\s*$").cast(pl.Float64)
        items = items.with_columns(release_year=year)
    column = "categories" if "categories" in items.columns else "title"
    return Described(split.data, split.train, split.test, rc.Catalogue.from_frame(items), column)


def _tags(folder: Path, cut: int) -> pl.DataFrame:
    """Give each item's commonest tags of those given before the cut."""
    tags = pl.read_parquet(folder / "tags.parquet").filter(pl.col("timestamp") * 1_000_000 < cut)
    counts = tags.group_by(pl.col("item_id").cast(pl.Int64), "tag").len()
    ordered = counts.sort(["item_id", "len", "tag"], descending=[False, True, False])
    return ordered.group_by("item_id", maintain_order=True).agg(tags=pl.col("tag").head(TAGS))
