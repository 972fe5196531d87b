"""Files in, the log out: imports as jobs, the export, and what is refused of both."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recency.errors import DataError
from recency.loading import load
from recency.serving.engine import Engine
from recency.serving.intake.event_checks import EVENT_FIELDS
from recency.serving.intake.jobs import Jobs
from recency.serving.intake.tables import BadRow, read_parts
from recency.serving.limits import Limits
from recency.serving.log.event_store import EventStore
from recency.serving.refusals import OverloadedError
from recency.serving.snapshots.backup import read_backup

NDJSON = {"content-type": "application/x-ndjson"}
CSV = {"content-type": "text/csv"}
PARQUET = {"content-type": "application/vnd.apache.parquet"}
ROWS: list[dict[str, Any]] = [
    {"user_id": "u1", "item_id": "i1", "timestamp": "2026-02-09T10:00:00Z", "event_type": "view"},
    {"user_id": "u2", "item_id": "i2", "timestamp": "2026-02-09T11:00:00Z", "value": 2.5},
]


def problem(answer: Any, status: int, code: str) -> str:
    """Check that an answer is a problem of this kind, and give its text."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    return str(body["detail"])


def ended(client: Any, answer: Any) -> dict[str, Any]:
    """Wait for the job that an answer names."""
    assert answer.status_code == 202, answer.text
    for _ in range(500):
        job: dict[str, Any] = client.get(f"/v1/jobs/{answer.json()['job_id']}").json()
        if job["ended"] is not None:
            return job
        time.sleep(0.01)
    raise AssertionError(job)


def packed(kind: str, tmp_path: Path) -> tuple[bytes, dict[str, str]]:
    if kind == "jsonl":
        return "\n".join(map(json.dumps, ROWS)).encode(), NDJSON
    frame = pl.DataFrame(ROWS)
    if kind == "csv":
        return frame.write_csv().encode(), CSV
    times = frame["timestamp"].str.to_datetime("%+", time_unit="us", time_zone="UTC")
    frame.with_columns(times).write_parquet(tmp_path / "rows.parquet")
    return (tmp_path / "rows.parquet").read_bytes(), PARQUET


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_file_of_events_is_kept_once(client, engine, tmp_path, kind):
    content, headers = packed(kind, tmp_path)
    job = ended(client, client.post("/v1/import", content=content, headers=headers))
    assert (job["state"], job["error"], job["kind"]) == ("done", None, "import")
    counts = {"rows": 2, "accepted": 2, "duplicate": 0, "rejected": 0}
    assert job["facts"] == {**counts, "errors": [], "last_seq": 2}
    kept = [event for _, event in engine.store.read()]
    assert [(one.user_id, one.item_id) for one in kept] == [("u1", "i1"), ("u2", "i2")]
    assert (kept[0].event_type, kept[1].value) == ("view", 2.5)
    assert kept[1].time - kept[0].time == 3_600_000_000
    job = ended(client, client.post("/v1/import", content=content, headers=headers))
    assert job["facts"]["duplicate"] == 2 and engine.last_seq == 2
    assert not list((engine.store.path.parent / "uploads").iterdir())  # nothing is left behind


def test_rows_are_judged_one_by_one_and_only_looked_at_where_asked(client, engine):
    lines = (
        b'{"user_id":"u1","item_id":"i1"}\n{"user_id":"u1"}\n{\n{"userId":"u1","item_id":"i2"}\n'
    )
    path = "/v1/import?validate_only=true"
    job = ended(client, client.post(path, content=lines, headers=NDJSON))
    assert (job["facts"]["accepted"], job["facts"]["rejected"], engine.last_seq) == (2, 2, 0)
    assert job["facts"]["errors"] == [
        {"row": 2, "error": "item_id is missing."},
        {"row": 3, "error": "line 3 is not JSON: Input data was truncated."},
    ]
    job = ended(client, client.post("/v1/import", content=lines, headers=NDJSON))
    assert (job["facts"]["accepted"], engine.last_seq) == (2, 2)


def test_items_are_imported_too(client):
    table = b"item_id,title,price,categories,is_hidden,available_from\n"
    rows = b"i1,Tent,3.5,a|b,false,2026-01-05\ni2,,x,,,\ni3,Lamp,2,,true,\n"
    job = ended(client, client.post("/v1/import?kind=items", content=table + rows, headers=CSV))
    assert (job["facts"]["accepted"], job["facts"]["rejected"]) == (2, 1)
    assert job["facts"]["errors"] == [
        {"row": 2, "error": "price must be a finite number, found 'x'."}
    ]
    item = client.get("/v1/items/i1").json()
    assert (item["price"], item["categories"], item["is_hidden"]) == (3.5, ["a", "b"], False)
    assert client.get("/v1/items/i3").json()["is_hidden"]


@pytest.mark.parametrize(
    ("content", "headers", "said"),
    [
        (b"what", PARQUET, "expected a Parquet file, found something else"),
        (b"PAR1" + b"\0" * 200 + b"PAR1", PARQUET, "expected a Parquet file"),
        (b"user_id\n\xff\n", CSV, "expected CSV as UTF-8, found something else"),
        (b'user_id\n"x', CSV, "expected CSV, found something else"),
        (b"x" * (2**20 + 2), NDJSON, "expected lines of at most 1,048,576 bytes, line 1."),
    ],
)
def test_damaged_files_fail_with_a_reason(client, content, headers, said):
    job = ended(client, client.post("/v1/import", content=content, headers=headers))
    assert job["state"] == "failed" and said in job["error"]
    assert "Traceback" not in job["error"]


def test_uploads_have_limits(shop, clock, make_client):
    engine = Engine.open(shop, clock=clock, limits=Limits(upload_bytes=100, body_seconds=0.05))
    client = make_client(engine)
    said = problem(client.post("/v1/import", content=b"x" * 101, headers=NDJSON), 413, "too-large")
    assert said.startswith("expected a file of at most 100 bytes, found more; send it in parts.")

    async def slow() -> Any:
        import asyncio

        yield b"{"
        await asyncio.sleep(5)

    said = problem(client.post("/v1/import", content=slow(), headers=NDJSON), 408, "too-slow")
    assert said == "nothing of the file came for 0.05 s; send it again."
    said = problem(client.post("/v1/import", content=b"x"), 415, "wrong-content-type")
    assert "application/vnd.apache.parquet" in said and "found ''" in said
    assert not list((engine.store.path.parent / "uploads").iterdir())
    engine.close()


def test_files_of_the_server_are_read_from_one_folder_only(engine, make_client, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jsonl").write_text(json.dumps(ROWS[0]))
    (folder / "notes.txt").write_text("x")
    (tmp_path / "secret.jsonl").write_text("{}")
    (folder / "link.jsonl").symlink_to(tmp_path / "secret.jsonl")
    client = make_client(engine, imports=folder)
    job = ended(client, client.post("/v1/import", json={"file": "a.jsonl"}))
    assert job["facts"]["accepted"] == 1 and (folder / "a.jsonl").exists()
    outside = ["../secret.jsonl", str(tmp_path / "secret.jsonl"), "link.jsonl", "", 3, "a\0.jsonl"]
    for name in outside:
        answer = client.post("/v1/import", json={"file": name})
        said = problem(answer, 422, "invalid-request")
        assert said.startswith("file: expected the name of a file in the folder of imports, found")
    said = problem(client.post("/v1/import", json={"file": "b.jsonl"}), 404, "no-such-file")
    assert said == "there is no file 'b.jsonl' to import."
    said = problem(client.post("/v1/import", json={"file": "notes.txt"}), 422, "invalid-request")
    assert said == "file: expected a file ending in .jsonl, .ndjson, .csv, .parquet, found '.txt'."
    said = problem(client.post("/v1/import", json={"url": "http://x"}), 422, "invalid-request")
    assert said == "expected an object with 'file' alone, found an object."
    plain = make_client(engine)
    said = problem(plain.post("/v1/import", json={"file": "a.jsonl"}), 403, "no-import-folder")
    assert said.startswith("this server imports no files of its own; send the file as the body")


def test_the_log_comes_out_as_it_went_in(client, engine):
    sent = [
        {**row, "event_id": f"e{n}", "context": {"n": [n]}, "impression": ["i1"]}
        for n, row in enumerate(ROWS * 3)
    ]
    client.post("/v1/events", json=sent)
    answer = client.get("/v1/export")
    assert answer.headers["content-type"] == "application/x-ndjson"
    rows = [json.loads(line) for line in answer.text.splitlines()]
    assert [row.pop("seq") for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows == sent and set(rows[0]) <= set(EVENT_FIELDS)
    later = client.get("/v1/export?after=2&limit=3").text.splitlines()
    assert [json.loads(line)["seq"] for line in later] == [3, 4, 5]
    assert client.get("/v1/export?after=6").text == ""
    again = ended(client, client.post("/v1/import", content=answer.content, headers=NDJSON))
    assert again["facts"]["duplicate"] == 6
    said = problem(client.get("/v1/export?after=-1"), 422, "invalid-request")
    assert "after: expected a whole number from 0" in said


def test_an_export_is_read_page_by_page(client, engine, monkeypatch):
    monkeypatch.setattr("recency.serving.http.transfer_routes._READ_AT_ONCE", 2)
    client.post("/v1/events", json=ROWS * 4)
    assert len(client.get("/v1/export").text.splitlines()) == 8
    assert len(client.get("/v1/export?limit=3").text.splitlines()) == 3


def test_a_backup_is_taken_while_it_serves(client, engine):
    client.post("/v1/events", json=ROWS)
    job = ended(client, client.post("/v1/backup"))
    assert job["state"] == "done", job
    assert job["facts"]["seq"] == 2 and job["facts"]["model_version"] == engine.model_version
    folder = engine.store.path.parent / "backups" / job["facts"]["folder"]
    assert read_backup(folder).seq == 2
    assert str(folder) not in json.dumps(job)  # where the server keeps its files is its own affair
    assert problem(client.post("/v1/backup?to=/etc"), 422, "invalid-request").startswith("to:")


def test_without_a_folder_there_is_no_backup(shop, make_client):
    engine = Engine(load(shop), EventStore(shop / "events.sqlite"))
    said = problem(make_client(engine).post("/v1/backup"), 409, "no-folder")
    assert said.startswith("this server was not started from a folder")
    engine.close()


# --- jobs ----------------------------------------------------------------------------------------


def test_jobs_that_are_not_known_are_404(client):
    said = problem(client.get("/v1/jobs/a%2Fb"), 404, "no-such-job")
    assert said == "no job 'a/b' is known: the newest are kept, and none over a restart."


def test_jobs_are_listed_the_newest_first_and_queued_within_bounds(client):
    for _ in range(3):
        ended(client, client.post("/v1/import", content=b"{}", headers=NDJSON))
    listed = client.get("/v1/jobs?limit=2").json()["jobs"]
    assert len(listed) == 2 and listed[0]["job_id"] > listed[1]["job_id"]


def test_jobs_run_one_after_another_and_old_ones_are_forgotten():
    gate, jobs = threading.Event(), Jobs(most_waiting=2, most_kept=3)
    started = threading.Event()

    def wait(job: Any) -> None:
        started.set()
        gate.wait(20)

    first = jobs.begin("1", "test", wait)
    assert started.wait(20) and first.state == "running"
    jobs.begin("2", "test", lambda job: None)
    jobs.begin("3", "test", lambda job: (_ for _ in ()).throw(DataError("no good")))
    with pytest.raises(OverloadedError, match="expected at most 2 jobs that wait, found 2"):
        jobs.begin("4", "test", wait)
    gate.set()
    _until(lambda: jobs.newest(1)[0].ended is not None)
    assert [one.state for one in jobs.newest(5)] == ["failed", "done", "done"]
    assert jobs.newest(1)[0].error == "no good"
    jobs.begin("5", "test", lambda job: 1 / 0)  # type: ignore[arg-type]  # fails
    _until(lambda: jobs.newest(1)[0].ended is not None)
    assert jobs.newest(1)[0].error == (
        "an unforeseen error (ZeroDivisionError); the log says more."
    )
    assert jobs.get("1") is None and jobs.get("5") is not None


def _until(true: Any) -> None:
    for _ in range(1000):
        if true():
            return
        time.sleep(0.005)
    raise AssertionError("it did not happen")


def test_csv_cells_are_read_by_what_they_are(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("user_id,timestamp,value,note\n7,1770336000,-2,1\n8,2026-02-09,,x,more\n")
    ((first, second),) = read_parts(path, "csv")
    assert first == {"user_id": "7", "timestamp": 1_770_336_000, "value": -2, "note": "1"}
    assert isinstance(second, BadRow) and "more fields" in second.detail
