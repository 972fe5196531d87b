"""Reading what a run learns from: the end is an instant of the file's own zone."""

from pathlib import Path

import polars as pl

from recency.cli.reading import training_log
from recency.cli.run_config import DataSection, RunConfig, SplitSection


def test_the_end_of_training_lies_in_the_zone_of_the_file(tmp_path: Path) -> None:
    times = ["2026-01-01 23:30", "2026-01-02 00:30", "2026-01-02 06:00"]  # as Tokyo's clocks say
    frame = pl.DataFrame({"user_id": ["a"] * 3, "item_id": ["x", "y", "z"], "timestamp": times})
    file = tmp_path / "events.csv"
    frame.write_csv(file)
    settings = RunConfig(
        data=DataSection(time_zone="Asia/Tokyo"), split=SplitSection(until="2026-01-02")
    )
    assert training_log(str(file), settings).events["item_id"].to_list() == ["x"]
