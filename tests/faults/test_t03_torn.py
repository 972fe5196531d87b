"""T3: the end of the log is torn, or a byte of it is wrong: a whole prefix opens, and says so."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from recency.errors import FormatError
from recency.serving.log.event_store import EventStore
from recency.serving.log.events import Event
from recency.serving.log.torn_tail import torn_bytes

NOW = 1_767_225_600_000_000
HEADER, FRAME = 32, 24 + 4096


@dataclass
class Log:
    """A log of twenty commits as a crash leaves it, and where its last transaction begins."""

    database: bytes
    wal: bytes
    start: int

    def lay(self, folder: Path, wal: bytes) -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        path = folder / "events.sqlite"
        path.write_bytes(self.database)
        path.with_name("events.sqlite-wal").write_bytes(wal)
        return path


def event(n: int) -> Event:
    return Event(f"e{n}", f"u{n}", f"i{n}", NOW + n)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    path = tmp_path_factory.mktemp("log") / "events.sqlite"
    wal = path.with_name("events.sqlite-wal")
    with EventStore(path) as store:
        store.append([event(n) for n in range(-40, 0)]).result(timeout=30)
        store.fold()  # so that frames of an earlier round lie behind the newest
        for n in range(19):
            store.append([event(n)]).result(timeout=30)
        start = wal.stat().st_size
        store.append([event(19)]).result(timeout=30)
        return Log(path.read_bytes(), wal.read_bytes(), start)


def places(log: Log, soak: bool) -> Iterator[int]:
    """Every byte of the last transaction; by default each of its headers, and some of its pages."""
    for place in range(log.start, len(log.wal)):
        in_frame = (place - HEADER) % FRAME
        if soak or in_frame < 24 or in_frame % 257 == 0 or place == len(log.wal) - 1:
            yield place


def opened(path: Path) -> tuple[list[str], int]:
    """Open a log, check that it works on, and give its events and what was left out."""
    with EventStore(path) as store:
        rows = store.read(limit=10**6)
        for seq, one in rows:
            n = int(one.event_id[1:])
            assert one == event(n) and seq == n + 41  # nothing is read as an event that is none
        assert store.append([event(99)]).result(timeout=30)[0].seq == len(rows) + 1
        return [one.event_id for _, one in rows], store.torn_bytes


def test_t03_a_log_that_is_cut_at_any_byte_opens_to_a_whole_prefix(
    log: Log, tmp_path: Path, soak: bool, fault_row: Callable[..., None]
) -> None:
    whole = [f"e{n}" for n in range(-40, 20)]
    assert opened(log.lay(tmp_path / "whole", log.wal)) == (whole, 0)
    runs = 0
    for place in places(log, soak):
        kept, torn = opened(log.lay(tmp_path / "cut", log.wal[:place]))
        assert kept == whole[:-1]
        assert torn == place - log.start  # all of it, to the byte
        runs += 1
    fault_row(test="T3 cut", runs=runs, lost=0, doubled=0)


def test_t03_a_wrong_byte_anywhere_in_the_last_write_takes_that_write_only(
    log: Log, tmp_path: Path, soak: bool, fault_row: Callable[..., None]
) -> None:
    whole = [f"e{n}" for n in range(-40, 20)]
    runs = 0
    for place in places(log, soak):
        wal = bytearray(log.wal)
        wal[place] ^= 0x10
        kept, torn = opened(log.lay(tmp_path / "flip", bytes(wal)))
        assert kept == whole[:-1], place
        assert torn == len(log.wal) - log.start
        runs += 1
    fault_row(test="T3 flip", runs=runs, lost=0, doubled=0)


def test_t03_a_damaged_header_is_told_with_all_that_it_takes(log: Log, tmp_path: Path) -> None:
    for place in range(HEADER):
        wal = bytearray(log.wal)
        wal[place] ^= 0x01
        kept, torn = opened(log.lay(tmp_path / "header", bytes(wal)))
        assert kept == [f"e{n}" for n in range(-40, 0)] and torn == len(log.wal)


def test_t03_what_was_left_out_is_logged(log: Log, tmp_path: Path, caplog) -> None:
    path = log.lay(tmp_path / "torn", log.wal[:-1])
    opened(path)
    n = len(log.wal) - 1 - log.start
    assert (
        f"the end of {path}-wal was incomplete: {n} bytes were left out, which is what a crash "
        f"leaves of a write that was not acknowledged"
    ) in caplog.text


def test_t03_frames_of_an_earlier_round_are_no_torn_ones(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    with EventStore(path) as store:
        for n in range(10):
            store.append([event(n)]).result(timeout=30)
        store._reader.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        store.append([event(10)]).result(timeout=30)  # overwrites the first frames only
        wal = path.with_name("events.sqlite-wal").read_bytes()
        n_frames = store._reader.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
    assert HEADER + n_frames * FRAME < len(wal)
    assert torn_bytes(wal, n_frames) == 0
    assert torn_bytes(b"", 0) == 0


def test_t03_a_model_folder_cut_at_any_byte_is_refused(tmp_path: Path, soak: bool) -> None:
    """Model folders and snapshots alike: their files carry checksums."""
    from recency.storage import read_manifest, written_folder

    folder = tmp_path / "model"
    with written_folder(folder, {"model_version": "a"}) as draft:
        (draft / "histories.safetensors").write_bytes(bytes(range(200)))
    (part,) = folder.glob("histories-*")
    content = part.read_bytes()
    for place in range(0, len(content), 1 if soak else 17):
        part.write_bytes(content[:place])
        with pytest.raises(FormatError, match="was changed or cut short"):
            read_manifest(folder)
        part.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(FormatError, match="was changed or cut short"):
            read_manifest(folder)
    part.write_bytes(content)
    assert json.loads((folder / "manifest.json").read_text())["content"] == {"model_version": "a"}
    read_manifest(folder)
