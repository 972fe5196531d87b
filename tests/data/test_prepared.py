"""Prepared logs: the arrays of an in-memory log, from disk; and what is said when they are not."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import recency as rc
from recency.data import preparation
from recency.data.batches import TrainingWindows
from recency.data.histories import Histories
from recency.data.preparation import prepare
from recency.data.prepared import MANIFEST, Prepared, is_prepared, read_prepared, rows_of
from recency.data.reading import read_log
from recency.data.reading.blocks import Reading
from recency.data.scratch import is_mapped
from recency.errors import ConfigError, DataError, FormatError

QUIET: Any = {"report": lambda _: None}


def events(
    seed: int = 0, n: int = 400, *, in_order: bool = True, text: bool = True
) -> pl.DataFrame:
    """Make events with ties, event types and values, some of them missing."""
    rng = np.random.default_rng(seed)
    seconds = rng.integers(0, 300, n) + 1_767_225_600
    users, items = rng.integers(0, 30, n), rng.integers(0, 50, n)
    frame = pl.DataFrame(
        {
            "user_id": [f"u{one}" for one in users] if text else users,
            "item_id": [f"i{one}" for one in items] if text else items,
            "timestamp": np.sort(seconds) if in_order else seconds,
            "event_type": [("view", "buy", None)[kind] for kind in rng.integers(0, 3, n)],
            "value": [None if one < 0.2 else float(one) for one in rng.random(n)],
            "session_id": [str(one) for one in users],
        }
    )
    return frame.with_columns(pl.from_epoch("timestamp").dt.replace_time_zone("UTC"))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make blocks and buckets small, so that a small log has many."""
    monkeypatch.setattr("recency.data.preparation.BUCKET", 90)
    monkeypatch.setattr("recency.data.histories.BLOCK", 64)
    monkeypatch.setattr("recency.data.reading.blocks.ROWS", 70)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    events().write_parquet(tmp_path / "events.parquet")
    return tmp_path / "events.parquet"


def same(found: Prepared, file: Path, until: str | None = None) -> None:
    """Compare a prepared log with the same file read into memory, bit by bit."""
    log = read_log(file, **QUIET)
    vocabs, histories = rows_of(log if until is None else log.before(until))
    for name in ("users", "items", "types"):
        assert getattr(found.vocabs(), name).ids.equals(getattr(vocabs, name).ids)
    for name in ("offsets", "items", "times", "types", "values"):
        ours, theirs = getattr(found.histories, name), getattr(histories, name)
        assert (ours is None) == (theirs is None)
        if theirs is not None:
            assert ours.dtype == theirs.dtype and ours.tobytes() == theirs.tobytes()


# --- the same log --------------------------------------------------------------------------------


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("ending", ["parquet", "arrow", "csv", "folder"])
def test_a_prepared_log_is_the_log(tmp_path, in_order, text, ending):
    frame, path = events(3, in_order=in_order, text=text), tmp_path / f"e.{ending}"
    if ending == "folder":
        path.mkdir()
        for n in range(3):
            frame.slice(150 * n, 150).write_parquet(path / f"part-{n}.parquet")
    elif ending == "csv":
        frame.write_csv(path)
    else:
        frame.write_parquet(path) if ending == "parquet" else frame.write_ipc(path)
    found = prepare(path, tmp_path / "prepared", **QUIET)
    same(found, path)
    log = read_log(path, **QUIET)
    assert (len(found), found.n_users, found.n_items) == (len(log), log.n_users, log.n_items)
    assert (found.start, found.end) == (log.start, log.end)
    assert all(is_mapped(cells) for cells in (found.histories.items, found.histories.times))
    assert not (tmp_path / "prepared" / ".draft").exists()


@pytest.mark.usefixtures("small")
def test_columns_that_the_log_lacks_are_left_out(tmp_path):
    path = tmp_path / "e.parquet"
    events().drop("event_type", "value").write_parquet(path)
    found = prepare(path, tmp_path / "prepared", **QUIET)
    same(found, path)
    assert found.histories.types is None and found.histories.values is None


@pytest.mark.usefixtures("small")
def test_the_end_can_be_cut_off(file, tmp_path):
    until = "2026-01-01T00:03:00Z"
    found = prepare(file, tmp_path / "prepared", Reading(until=until), **QUIET)
    assert 0 < len(found) < 400
    same(found, file, until)


@pytest.mark.usefixtures("small")
def test_batches_are_the_same_bit_by_bit(file, tmp_path):
    found = prepare(file, tmp_path / "prepared", **QUIET).histories
    _, histories = rows_of(read_log(file, **QUIET))
    ours, theirs = (
        list(TrainingWindows(one, max_len=8).epoch(64, np.random.default_rng(1)))
        for one in (found, histories)
    )
    assert len(ours) == len(theirs) > 3
    for one, other in zip(ours, theirs, strict=True):
        for name in ("rows", "sources", "targets", "at", "positions"):
            assert np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("items", "times", "gaps", "types", "values", "lengths"):
            assert getattr(one.batch, name).tobytes() == getattr(other.batch, name).tobytes()


def test_a_model_learns_the_same_from_both(file, tmp_path):
    found = prepare(file, tmp_path / "prepared", **QUIET)

    def fitted(log: rc.Log | Prepared) -> rc.SequenceRecommender:
        training = rc.TrainConfig(epochs=2, max_len=16, tokens=256)
        return rc.SequenceRecommender(rc.GRU(dim=8), training=training, seed=1).fit(log)

    ours, theirs = fitted(found), fitted(read_log(file, **QUIET))
    assert ours.model_version == theirs.model_version
    assert ours.cut == theirs.cut
    assert ours.recommend(["u1"], k=3).to_frame().equals(theirs.recommend(["u1"], k=3).to_frame())
    ours.observe([{"user_id": "new", "item_id": "new", "timestamp": "2026-02-01"}])
    assert len(found.vocabs().users) == found.n_users  # the folder's own stay as they are


# --- once, and again -----------------------------------------------------------------------------


def test_what_is_done_is_not_done_again(file, tmp_path, monkeypatch):
    folder = tmp_path / "prepared"
    prepare(file, folder, **QUIET)
    before = (folder / MANIFEST).stat().st_mtime_ns
    prepare(file, folder, **QUIET)
    assert (folder / MANIFEST).stat().st_mtime_ns == before
    prepare(file, folder, Reading(until="2026-01-01T00:03:00Z"), **QUIET)
    assert len(read_prepared(folder)) < 400
    assert len(list(folder.glob("times-*.npy"))) == 1  # the older arrays are gone


def test_a_damaged_folder_is_prepared_anew(file, tmp_path):
    folder = tmp_path / "prepared"
    prepare(file, folder, **QUIET)
    next(folder.glob("items-*.npy")).unlink()
    same(prepare(file, folder, **QUIET), file)


@pytest.mark.usefixtures("small")
def test_a_stopped_preparation_is_not_read_and_starts_again(file, tmp_path, monkeypatch):
    folder = tmp_path / "prepared"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(preparation, "_gather", stop)
        patched.setattr("shutil.rmtree", lambda *_, **__: None)  # as after kill -9
        with pytest.raises(KeyboardInterrupt):
            prepare(file, folder, **QUIET)
    assert is_prepared(folder) and any((folder / ".draft").iterdir())
    with pytest.raises(FormatError, match="found one whose preparation was stopped before its end"):
        read_prepared(folder)
    same(prepare(file, folder, **QUIET), file)
    assert not list(folder.glob(".draft*"))


def test_a_full_disk_leaves_what_was_there(file, tmp_path, monkeypatch):
    folder = tmp_path / "prepared"
    prepare(file, folder, **QUIET)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(preparation, "_scatter", full)
    with pytest.raises(OSError, match="No space left on device"):
        prepare(file, folder, Reading(until="2026-01-01T00:03:00Z"), **QUIET)
    same(read_prepared(folder), file)
    assert not list(folder.glob(".draft*"))


# --- what is refused -----------------------------------------------------------------------------


def test_a_corrupt_folder_is_refused_with_all_its_faults(file, tmp_path):
    folder = tmp_path / "prepared"
    prepare(file, folder, **QUIET)
    times, items = next(folder.glob("times-*.npy")), next(folder.glob("items-*.npy"))
    cells = bytearray(times.read_bytes())
    cells[-3] ^= 1
    times.write_bytes(cells)
    items.write_bytes(items.read_bytes()[:-4])
    with pytest.raises(FormatError) as caught:
        read_prepared(folder)
    said = str(caught.value)
    assert f"{times.name} was changed" in said and "Prepare it again" in said
    assert f"{items.name} has 1,724 bytes instead of 1,728" in said
    with pytest.raises(FormatError, match="instead of") as caught:
        read_prepared(folder, verify=False)
    assert "was changed" not in str(caught.value)  # sizes only
    times.unlink()
    with pytest.raises(FormatError, match=f"{times.name} is missing"):
        read_prepared(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: events(1, 500).write_parquet(path), r"had [\d,]+ bytes and has [\d,]+"),
        (lambda path: path.write_bytes(path.read_bytes()[::-1]), "has other contents"),
    ],
)
def test_a_changed_log_is_noticed(file, tmp_path, change, said):
    folder = tmp_path / "prepared"
    prepare(file, folder, **QUIET)
    change(file)
    with pytest.raises(DataError, match=f"was changed after it was prepared in .*{said}"):
        read_prepared(folder)


def test_a_changed_folder_of_files_is_noticed(tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    events().write_parquet(logs / "a.parquet")
    prepare(logs, tmp_path / "prepared", **QUIET)
    events(1).write_parquet(logs / "b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet is new"):
        read_prepared(tmp_path / "prepared")


def test_a_log_that_was_touched_or_is_gone_is_no_other_log(file, tmp_path):
    folder = tmp_path / "prepared"
    prepare(file, folder, **QUIET)
    os.utime(file, (1, 1))
    assert len(read_prepared(folder)) == 400
    file.unlink()
    assert len(read_prepared(folder)) == 400


def test_a_newer_format_and_a_damaged_manifest_are_refused(file, tmp_path):
    folder = tmp_path / "prepared"
    prepare(file, folder, **QUIET)
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | {"format": 2}))
    with pytest.raises(FormatError, match="format 2 of prepared logs.*reads up to 1; upgrade"):
        read_prepared(folder)
    (folder / MANIFEST).write_text("{")
    with pytest.raises(FormatError, match="is damaged .*prepare the log again"):
        read_prepared(folder)


def test_other_folders_are_no_prepared_logs_and_are_not_written_into(file, tmp_path):
    with pytest.raises(FormatError, match="found none; make it with recency prepare FILE --out"):
        read_prepared(tmp_path)
    with pytest.raises(FormatError, match="is no prepared log; nothing was written"):
        prepare(file, tmp_path, **QUIET)
    assert [one.name for one in tmp_path.iterdir()] == ["events.parquet"]


def test_a_folder_inside_the_log_is_refused(tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    events().write_parquet(logs / "a.parquet")
    with pytest.raises(ConfigError, match="expected a folder outside the log's own"):
        prepare(logs, logs / "prepared", **QUIET)
    assert not (logs / "prepared").exists()


def test_a_log_that_changes_while_it_is_read_is_refused(file, tmp_path, monkeypatch):
    gather = preparation._gather

    def meanwhile(*arguments: object) -> None:
        gather(*arguments)  # type: ignore[arg-type]  # what it was called with
        events(2, 390).write_parquet(file)

    monkeypatch.setattr(preparation, "_gather", meanwhile)
    with pytest.raises(DataError, match="was changed while it was read"):
        prepare(file, tmp_path / "prepared", **QUIET)
    assert not (tmp_path / "prepared").exists()


def test_nothing_to_prepare_is_said(file, tmp_path):
    with pytest.raises(DataError, match="no event is left to prepare"):
        prepare(file, tmp_path / "prepared", Reading(until="2020-01-01"), **QUIET)
    events().head(0).write_parquet(file)
    with pytest.raises(DataError, match="has columns but no rows"):
        prepare(file, tmp_path / "prepared", **QUIET)


# --- how files are read --------------------------------------------------------------------------


def test_bad_rows_name_their_block_or_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("recency.data.reading.blocks.ROWS", 70)
    path = tmp_path / "e.parquet"
    frame = (
        events()
        .with_row_index()
        .with_columns(
            user_id=pl.when(pl.col("index") == 100).then(None).otherwise(pl.col("user_id"))
        )
    )
    frame.drop("index").write_parquet(path)
    with pytest.raises(DataError, match=r"rows 71 to 140 has rows .*\n?.*user_id is missing"):
        prepare(path, tmp_path / "prepared", **QUIET)
    told: list[str] = []
    reading = Reading(on_bad="drop")
    found = prepare(path, tmp_path / "prepared", reading, report=lambda one: told.append(str(one)))
    assert len(found) == 399
    assert "400 rows" in told[0] and "dropped: 1 rows, user_id is missing" in told[0]


def test_the_first_block_decides_the_unit(tmp_path, monkeypatch):
    monkeypatch.setattr("recency.data.reading.blocks.ROWS", 70)
    path = tmp_path / "e.parquet"
    frame = events().with_columns(pl.col("timestamp").dt.epoch("ms"))
    frame.write_parquet(path)
    same(prepare(path, tmp_path / "prepared", **QUIET), path)
    late = pl.when(pl.int_range(400) < 80).then(pl.col("timestamp"))
    frame.with_columns(late.otherwise(pl.col("timestamp") // 1_000)).write_parquet(path)
    with pytest.raises(DataError, match="looks like seconds"):
        prepare(path, tmp_path / "prepared", **QUIET)


# --- memory --------------------------------------------------------------------------------------


def test_bytes_of_an_event_are_as_the_guide_says(file, tmp_path):
    histories = prepare(file, tmp_path / "prepared", **QUIET).histories
    users = 8 * len(histories.offsets)
    assert histories.nbytes - users == (12 + 2 + 4) * histories.n_events
    plain = Histories(histories.offsets, histories.items, histories.times)
    assert plain.nbytes - users == 12 * histories.n_events
    windows = TrainingWindows(plain, max_len=8)
    assert windows.nbytes == 8 * windows.n_targets


@pytest.mark.usefixtures("small")
def test_windows_of_a_mapped_log_lie_on_disk(file, tmp_path):
    found = prepare(file, tmp_path / "prepared", **QUIET)
    _, histories = rows_of(read_log(file, **QUIET))
    assert is_mapped(TrainingWindows(found.histories, max_len=8)._targets)
    assert not is_mapped(TrainingWindows(histories, max_len=8)._targets)
