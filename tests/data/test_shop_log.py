"""The log that benchmarks of growth read: as large as asked, repeatable, in order, drifting."""

import polars as pl

from benchmarks.speed.shop_log import Size, write_shop_log


def made(path, **settings) -> pl.DataFrame:
    write_shop_log(path, Size(20_000, 1_000, 500), **settings)
    return pl.read_parquet(path)


def test_it_is_as_large_as_asked_and_in_order(tmp_path):
    frame = made(tmp_path / "a.parquet", text=True)
    assert frame.height == 20_000 and frame["user_id"].n_unique() == 1_000
    assert frame["item_id"].n_unique() <= 500 and frame["item_id"].str.starts_with("i").all()
    assert frame["timestamp"].is_sorted()
    assert frame["timestamp"].dt.year().unique().to_list() == [2025]


def test_it_follows_from_the_seed(tmp_path):
    one, same = made(tmp_path / "a.parquet", seed=1), made(tmp_path / "b.parquet", seed=1)
    assert one.equals(same) and not one.equals(made(tmp_path / "c.parquet", seed=2))


def test_popularity_drifts_and_gaps_are_long_and_short(tmp_path):
    frame = made(tmp_path / "a.parquet")

    def popular(part: pl.DataFrame) -> set[int]:
        return set(part["item_id"].value_counts(sort=True)["item_id"].head(10).to_list())

    assert len(popular(frame.head(4_000)) & popular(frame.tail(4_000))) <= 2
    gap = pl.col("timestamp").diff().over("user_id").dt.total_seconds()
    short, long = frame.select(gap.quantile(0.3).alias("short"), gap.quantile(0.95)).row(0)
    assert 0 < short < 300 and long > 86_400
