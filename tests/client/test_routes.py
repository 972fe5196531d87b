"""All routes of a real server through both clients: none is without a method."""

import asyncio
import inspect
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

import recency as rc
from benchmarks.serving.server import Server
from recency.client import InvalidRequestError, NotAllowedError, ServiceError
from recency.client.admin import Admin, AsyncAdmin
from recency.errors import ConfigError
from recency.serving.http.documentation import ROUTES

# Routes that say again what another one says, which the client uses.
TWICE = {
    ("GET", "/v1/users/{user_id}/recommendations"),  # POST /v1/recommendations takes all of it
    ("POST", "/v1/items"),  # PUT does the same
    ("PUT", "/v1/items/{item_id}"),
}
AT = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        (f"u{user}", f"i{(user * 3 + visit * n) % 7}", start + timedelta(hours=7 * visit + user))
        for user in range(12)
        for visit in range(6)
        for n in (1, 2)
    ]
    log = rc.read_log(pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row"))
    training = rc.TrainConfig(epochs=1, heads="apart", device="cpu")
    heads = [rc.BasketHead(), rc.TimeHead(parts=2)]
    folder = tmp_path_factory.mktemp("client") / "shop"
    rc.SequenceRecommender(rc.GRU(dim=8), training=training, heads=heads).fit(log).save(folder)
    return folder


@pytest.fixture(scope="module")
def server(shop: Path) -> Iterator[Server]:
    started = Server(shop)
    yield started
    started.kill()


@pytest.fixture
def client(server: Server) -> Iterator[rc.Client]:
    with rc.Client(server.address) as one:
        yield one


def everything(client: Any, version: str, file: Path) -> list[Any]:
    """Call every method once; what is refused is a call too."""
    admin, job = client.admin, "none"
    return [
        lambda: client.event(user_id="u1", item_id="i1"),
        lambda: client.recommend("u1"),
        lambda: client.recommend_visit([{"item_id": "i1"}], repeats=False),
        lambda: client.next("none"),
        lambda: client.trending(2),
        lambda: client.latest(2),
        lambda: client.foretell("basket", ["u1"]),
        lambda: client.similar("i1"),
        lambda: client.search("boat"),
        lambda: client.put_items([{"item_id": "kite"}]),
        lambda: client.patch_item("kite", price=1.0),
        lambda: client.item("kite"),
        lambda: client.items(2),
        lambda: client.delete_item("kite"),
        lambda: client.user("u1"),
        lambda: client.describe_user("u1", country="at"),
        lambda: client.users(2),
        lambda: client.export_user("u1"),
        lambda: client.merge_users("a9", "u1"),
        lambda: client.erase_user("gone"),
        lambda: client.models(),
        lambda: client.promote(version),
        lambda: client.rollback(),
        lambda: client.status(),
        lambda: client.ready(),
        lambda: admin.publish("none"),
        lambda: admin.challenge("none", 0.1),
        lambda: admin.import_file(file, validate_only=True),
        lambda: admin.backup(),
        lambda: admin.jobs(3),
        lambda: admin.job(job),
        lambda: admin.export(limit=3),
        lambda: admin.health(),
        lambda: admin.metrics(),
    ]


def asked_for(requests: list[httpx.Request]) -> set[tuple[str, str]]:
    """Name the documented routes that requests went to."""
    found = set()
    for request in requests:
        for route in ROUTES:
            form = re.sub(r"\{\w+\}", "[^/]+", route.path)
            fixed = "{" not in route.path
            if request.method == route.method and re.fullmatch(form, request.url.path):
                found.add((route.method, route.path))
                if fixed:
                    break
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "events.csv"
    path.write_text("user_id,item_id,timestamp\nu1,i1,2026-02-03T09:00Z\nu2,,2026-02-03T09:00Z\n")
    return path


def test_every_route_has_a_method(server, client, file):
    seen: list[httpx.Request] = []
    hooks = {"request": [seen.append]}
    (version,) = [one.model_version for one in client.models() if one.active]
    with httpx.Client(base_url=server.address, event_hooks=hooks, timeout=30) as http:
        for call in everything(rc.Client(server.address, http=http), version, file):
            try:
                call()
            except ServiceError as error:
                assert error.code != "no-such-route", error
    assert {(one.method, one.path) for one in ROUTES} - asked_for(seen) == TWICE


def test_every_route_has_a_method_that_is_awaited(server, client, file):
    seen: list[httpx.Request] = []

    async def note(request: httpx.Request) -> None:
        seen.append(request)

    async def use() -> None:
        (version,) = [one.model_version for one in client.models() if one.active]
        hooks = {"request": [note]}
        async with httpx.AsyncClient(
            base_url=server.address, event_hooks=hooks, timeout=30
        ) as http:
            for call in everything(rc.AsyncClient(server.address, http=http), version, file):
                try:
                    await call()
                except ServiceError as error:
                    assert error.code != "no-such-route", error

    asyncio.run(use())
    assert {(one.method, one.path) for one in ROUTES} - asked_for(seen) == TWICE


@pytest.mark.parametrize(("plain", "awaited"), [(rc.Client, rc.AsyncClient), (Admin, AsyncAdmin)])
def test_both_clients_have_the_same_methods(plain, awaited):
    def methods(one: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(part).parameters)
            for name, part in vars(one).items()
            if inspect.isfunction(part) and not name.startswith("_")
        }

    assert methods(plain) == methods(awaited)


def test_what_heads_tell_comes_as_rows(client, shop):
    model = rc.SequenceRecommender.load(shop)
    told = client.foretell("basket", ["u1", "u2"], at=AT, k=3)
    frame = model.basket(["u1", "u2"], 3, at=AT)
    assert told.what == "basket" and told.at == "2026-02-01T00:00:00Z"
    assert [list(row) for row in told.rows] == [frame.columns] * 6
    assert [row["item_id"] for row in told.rows] == frame["item_id"].to_list()
    assert [row["probability"] for row in told.rows] == pytest.approx(
        frame["probability"].to_list(), rel=1e-4
    )
    waits = client.foretell("next_time", ["u1"], horizons=["1d"], consistent=True)
    assert 0 < waits.rows[0]["within_1d"] < 1
    with pytest.raises(InvalidRequestError, match="no head for 'rating', found basket, time"):
        client.foretell("rating", ["u1"], ["i1"])
    with pytest.raises(InvalidRequestError, match="k"):
        client.foretell("basket", ["u1"], k=0)


def test_heads_are_asked_in_coroutines(server):
    async def use() -> None:
        async with rc.AsyncClient(server.address) as shop:
            told = await shop.foretell("basket", ["u1"], at=AT, k=2)
            assert [row["rank"] for row in told.rows] == [1, 2]

    asyncio.run(use())


def test_lists_for_all_and_for_a_visit(client):
    visit = [{"item_id": "i1", "timestamp": "2026-02-01T00:00:00Z"}, {"item_id": "i2"}]
    among = client.recommend_visit(visit, k=3, candidates=["i3", "i4"])
    assert set(among.item_ids) <= {"i3", "i4"} and among.user_id is None
    assert len(client.trending(k=2).items) == 2
    assert "i1" not in client.latest(k=7, exclude=["i1"]).item_ids


def test_items_and_users_are_paged(client):
    client.put_items([{"item_id": f"n{n}"} for n in range(3)])
    first = client.items(limit=2)
    second = client.items(limit=2, cursor=first.next_cursor)
    named = [one["item_id"] for one in first.items + second.items]
    assert len(set(named)) == len(named) >= 3 and first.n_items >= 3
    page = client.users(limit=5)
    assert len(page.users) == 5 and page.users[0].n_events > 0 and page.next_cursor


def test_files_are_imported_as_jobs(client, file):
    job = client.admin.import_file(file)
    until = time.monotonic() + 20
    while job.state not in ("done", "failed") and time.monotonic() < until:
        time.sleep(0.05)
        job = client.admin.job(job.job_id)
    assert job.state == "done", job
    assert (job.facts["accepted"], job.facts["rejected"]) == (1, 1)
    assert job.job_id in [one.job_id for one in client.admin.jobs()]
    assert any(one["item_id"] == "i1" for one in client.admin.export())
    with pytest.raises(NotAllowedError, match="imports no files of its own"):
        client.admin.import_file("elsewhere.parquet")
    with pytest.raises(ConfigError, match=r"ends in \.csv, .*found .*moon\.txt"):
        client.admin.import_file(file.parent / "moon.txt")


def test_those_who_watch_are_told(client):
    assert client.admin.health().status == "ok"
    assert "recency_" in client.admin.metrics()
