"""The client and a real server: what every method sends is what the service takes."""

import asyncio
from datetime import UTC, datetime

import pytest

import recency as rc
from benchmarks.serving.server import Server
from benchmarks.serving.shop import untrained_shop
from recency.client import (
    InvalidRequestError,
    NotFoundError,
    RejectedError,
    Retries,
    UnavailableError,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    shop = untrained_shop(tmp_path_factory.mktemp("client") / "shop", 20, 10, 200, dim=8)
    started = Server(shop)
    yield started
    started.kill()


@pytest.fixture
def client(server):
    with rc.Client(server.address) as one:
        yield one


def test_an_event_is_in_the_next_answer(client):
    seq = client.event(user_id="u1", item_id="i3", timestamp=datetime(2026, 2, 1, tzinfo=UTC))
    found = client.recommend("u1", k=3, consistent=True)
    assert found.as_of.seq >= seq == client.last_seq
    assert len(found.items) == len(found.item_ids) == 3 and not found.fallback
    assert found.items[0].score >= found.items[1].score
    assert client.user("u1").events[-1].item_id == "i3"


def test_any_number_of_events(client):
    rows = ({"user_id": f"u{n % 5}", "item_id": f"i{n % 20}"} for n in range(2500))
    sent = client.events(rows)
    assert (sent.accepted, sent.rejected, sent.duplicate) == (2500, 0, 0)
    again = [{"user_id": "u1", "item_id": "i1", "event_id": "same"}] * 2
    assert client.events(again).duplicate == 1


def test_every_kind_of_question(client):
    after = client.recommend_after([{"item_id": "i1", "timestamp": "2026-02-01"}], k=4)
    assert after.user_id is None and len(after.items) == 4
    liked = client.recommend_liked(["i1", "i2"], k=4, repeats=False)
    assert len(liked.items) == 4 and not {"i1", "i2"} & set(liked.item_ids)
    following = client.next(after, k=2)
    assert len(following.items) == 2 and not set(following.item_ids) & set(after.item_ids)
    among = client.recommend("u1", candidates=["i1", "i2"], at=datetime(2026, 3, 1, tzinfo=UTC))
    assert set(among.item_ids) <= {"i1", "i2"} and among.at == "2026-03-01T00:00:00Z"
    assert len(client.similar("i1", k=2).items) == 2


def test_items_come_change_hide_and_go(client):
    client.put_item("boat", title="A boat", categories={"water"}, price=9.5)
    client.patch_item("boat", price=8.0)
    boat = client.item("boat")
    assert (boat.title, boat.price, boat.categories) == ("A boat", 8.0, ["water"])
    client.event(user_id="u1", item_id="boat")
    assert "boat" in client.recommend("u1", k=21, consistent=True).item_ids
    client.hide_item("boat")
    assert "boat" not in client.recommend("u1", k=21, consistent=True).item_ids
    client.delete_item("boat")
    with pytest.raises(RejectedError, match="price"):
        client.put_item("boat", price="much")


def test_users_are_exported_merged_and_erased(client):
    client.event(user_id="a/b 7", item_id="i1", event_id="one")
    described = client.describe_user("a/b 7", country="at", age=31)
    assert (described.user_id, described.read) == ("a/b 7", [])  # this shop's model reads none
    assert client.user("a/b 7").profile == {"country": "at", "age": 31}
    exported = client.export_user("a/b 7")
    assert any(line.get("event_id") == "one" for line in exported)
    assert client.merge_users("a/b 7", "known").user_id == "known"
    assert client.user("known").n_events == 1
    erased = client.erase_user("known")
    assert erased.n_events == 1
    assert client.erase_user("known").already
    with pytest.raises(NotFoundError):
        client.user("known")


def test_how_the_service_stands(client):
    (model,) = [one for one in client.models() if one.active]
    assert client.ready() and client.status()["model_version"] == model.model_version
    with pytest.raises(InvalidRequestError) as caught:
        client.recommend("u1", k=0, colour="red")
    assert {one.field for one in caught.value.faults} == {"k", "colour"}
    assert caught.value.request_id


def test_the_same_in_coroutines(server):
    async def use() -> None:
        async with rc.AsyncClient(server.address) as client:
            seqs = await asyncio.gather(
                *(client.event(user_id="u2", item_id=f"i{n}") for n in range(8))
            )
            assert len(set(seqs)) == 8 and client.last_seq == max(seqs)
            found = await client.recommend("u2", k=2, consistent=True)
            assert found.as_of.seq >= max(seqs)
            assert len((await client.next(found)).items) == 2
            assert await client.ready()

    asyncio.run(use())


def test_a_service_that_is_gone(tmp_path):
    shop = untrained_shop(tmp_path / "shop", 5, 3, 20, dim=8)
    server = Server(shop)
    quick = Retries(attempts=2, first_seconds=0.01)
    with rc.Client(server.address, retries=quick) as client:
        assert client.ready()
        server.kill()
        assert not client.ready()
        with pytest.raises(UnavailableError) as caught:
            client.event(user_id="u1", item_id="i1")
        assert caught.value.code == "unreachable"
