"""What is sent again, how often and when: a service that fails in every way, played by a mock."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

import recency as rc
from recency.client import (
    InvalidRequestError,
    NotAllowedError,
    NotFoundError,
    RejectedError,
    Retries,
    ServiceError,
    UnavailableError,
)
from recency.errors import ConfigError, DataError, RecencyError, UnknownIdError

FAST = Retries(first_seconds=0.001, longest_seconds=0.002)
Script = Iterator[httpx.Response | Exception]


class Service:
    """Answer as a script says, and remember what came."""

    def __init__(self, *script: httpx.Response | Exception) -> None:
        self._script: Script = iter(script)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = next(self._script)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)

    def bodies(self) -> list[Any]:
        """Decode what was sent."""
        return [json.loads(one.content) for one in self.requests]


def good(n: int = 1, first: int = 1) -> httpx.Response:
    results = [{"event_id": "x", "status": "accepted", "seq": first + i} for i in range(n)]
    counts = {"accepted": n, "duplicate": 0, "rejected": 0}
    as_of = {"seq": first + n - 1, "time": None}
    return httpx.Response(
        200, json={**counts, "results": results, "as_of": as_of, "model_version": "m"}
    )


def problem(status: int, code: str, headers: dict[str, str] | None = None) -> httpx.Response:
    body = {"status": status, "code": code, "detail": f"expected better, found {code}."}
    return httpx.Response(status, json=body, headers=headers)


def client_of(service: Service, retries: Retries = FAST) -> rc.Client:
    http = httpx.Client(transport=httpx.MockTransport(service), base_url="http://shop")
    return rc.Client("http://shop", retries=retries, http=http)


def in_both(service: Callable[[], Service], use: Callable[[Any], Any]) -> list[tuple[Any, Service]]:
    """Do the same with both clients; give what each brought back, and what its service saw."""
    one, other = service(), service()
    found: list[tuple[Any, Service]] = [(use(client_of(one)), one)]

    async def awaited() -> Any:
        http = httpx.AsyncClient(transport=httpx.MockTransport(other), base_url="http://shop")
        async with rc.AsyncClient("http://shop", retries=FAST, http=http) as client:
            return await use(client)

    return [*found, (asyncio.run(awaited()), other)]


EVENT = {"user_id": "u1", "item_id": "i1"}


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ReadError("cut off"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("gone"),
        problem(503, "overloaded"),
        problem(429, "rate-limited"),
        httpx.Response(502, text="a proxy's page"),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Exception) else str(one.status_code),
)
def test_an_event_is_sent_again_under_the_same_id(failure):
    for seq, service in in_both(lambda: Service(failure, failure, good(first=7)),
                                lambda client: client.event(EVENT)):  # fmt: skip
        assert seq == 7
        sent = service.bodies()
        assert len(sent) == 3 and sent[0] == sent[1] == sent[2]
        assert len(sent[0][0]["event_id"]) == 32


def test_every_event_has_an_id_of_its_own_and_keeps_the_one_it_has():
    service = Service(good(3))
    client_of(service).events([EVENT, EVENT, EVENT | {"event_id": "mine"}])
    ids = [one["event_id"] for one in service.bodies()[0]]
    assert len(set(ids)) == 3 and ids[2] == "mine"
    assert ids[0][:8] == ids[1][:8]  # they begin with the time
    assert "event_id" not in EVENT


def test_what_could_do_a_thing_twice_is_sent_once():
    for use in (lambda client: client.rollback(), lambda client: client.promote("v1")):
        for failure in (httpx.ReadError("cut off"), problem(503, "stopped")):
            service = Service(failure)
            with pytest.raises(UnavailableError):
                use(client_of(service))
            assert len(service.requests) == 1


def test_attempts_and_time_are_bounded():
    service = Service(*[problem(503, "overloaded")] * 10)
    with pytest.raises(UnavailableError) as caught:
        client_of(service).recommend("u1")
    assert len(service.requests) == 6
    assert (caught.value.status, caught.value.code) == (503, "overloaded")
    assert str(caught.value) == "expected better, found overloaded. (503 overloaded)"
    assert caught.value.__notes__[0].startswith("Sent 6 times in ")
    # Who is asked to come later than is waited for gives up at once.
    service = Service(problem(429, "rate-limited", {"Retry-After": "3600"}))
    with pytest.raises(UnavailableError):
        client_of(service).recommend("u1")
    assert len(service.requests) == 1


def test_waits_grow_are_spread_and_respect_the_service():
    retries = Retries(attempts=8, first_seconds=1.0, longest_seconds=8.0, total_seconds=1000.0)
    for attempt, whole in enumerate([1, 2, 4, 8, 8, 8, 8], start=1):
        waits = [retries.wait(attempt, 0.0) or 0.0 for _ in range(200)]
        assert whole / 2 <= min(waits) < max(waits) <= whole
        assert max(waits) - min(waits) > whole / 8
    assert retries.wait(8, 0.0) is None
    assert retries.wait(1, 999.9) is None
    assert retries.wait(1, 0.0, "30") == 30.0
    late = retries.wait(1, 0.0, "Wed, 21 Oct 2026 07:28:00 GMT")
    assert late is not None and late <= 1.0


def test_no_connection_names_the_call_and_the_reason():
    service = Service(*[httpx.ConnectError("Connection refused")] * 6)
    with pytest.raises(UnavailableError) as caught:
        client_of(service).user("u/1")
    assert str(caught.value) == (
        "expected an answer to GET /v1/users/u%2F1, found ConnectError: Connection refused. "
        "(unreachable)"
    )
    assert caught.value.status == 0 and isinstance(caught.value, RecencyError)


@pytest.mark.parametrize(
    ("status", "code", "kind", "also"),
    [
        (401, "no-valid-key", NotAllowedError, ServiceError),
        (403, "wrong-scope", NotAllowedError, ServiceError),
        (404, "unknown-id", NotFoundError, UnknownIdError),
        (413, "too-large", InvalidRequestError, DataError),
        (422, "invalid-request", InvalidRequestError, DataError),
        (500, "internal", UnavailableError, RecencyError),
        (507, "disk-full", UnavailableError, RecencyError),
    ],
)
def test_an_error_is_of_its_kind_and_not_sent_again(status, code, kind, also):
    service = Service(problem(status, code, {"x-request-id": "r-1"}))
    with pytest.raises(kind) as caught:
        client_of(service).similar("i1")
    assert isinstance(caught.value, also) and len(service.requests) == 1
    assert (caught.value.status, caught.value.code) == (status, code)
    assert caught.value.request_id == "r-1"


def test_an_error_names_every_fault():
    faults = [{"field": "k", "detail": "too small."}, {"field": "at", "detail": "no instant."}]
    body = {"code": "invalid-request", "detail": "k: too small. at: no instant.", "errors": faults}
    with pytest.raises(InvalidRequestError) as caught:
        client_of(Service(httpx.Response(422, json=body))).recommend("u1", k=0)
    assert [(one.field, one.detail) for one in caught.value.faults] == [
        ("k", "too small."),
        ("at", "no instant."),
    ]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"\xff", b'{"code": 3}', b"null"])
def test_an_error_that_is_no_problem_is_one_all_the_same(body):
    with pytest.raises(ServiceError) as caught:
        client_of(Service(httpx.Response(404, content=body))).models()
    assert caught.value.code == "no-problem" and caught.value.status == 404


def test_an_answer_of_something_else_is_told():
    with pytest.raises(
        ServiceError, match=r"expected the answer of GET /v1/models, found '<html>'"
    ):
        client_of(Service(httpx.Response(200, text="<html>"))).models()


def test_a_rejected_event_raises_and_rejected_ones_among_many_are_listed():
    outcomes = [
        {"event_id": "a", "status": "accepted", "seq": 4},
        {"event_id": None, "status": "rejected", "error": "item_id is missing."},
    ]
    answer = {"accepted": 1, "duplicate": 0, "rejected": 1, "results": outcomes,
              "as_of": {"seq": 4, "time": None}, "model_version": "m"}  # fmt: skip
    for sent, _ in in_both(
        lambda: Service(httpx.Response(200, json=answer)),
        lambda client: client.events([EVENT, {"user_id": "u1"}]),
    ):
        assert (sent.accepted, sent.rejected, sent.last_seq) == (1, 1, 4)
        assert [(one.index, one.error) for one in sent.rejections] == [(1, "item_id is missing.")]
    alone = answer | {"accepted": 0, "results": outcomes[1:]}
    with pytest.raises(RejectedError, match="item_id is missing"):
        client_of(Service(httpx.Response(200, json=alone))).event(user_id="u1")


def test_many_events_go_in_parts_and_a_failure_says_how_far_it_came():
    events = ({"user_id": "u1", "item_id": n} for n in range(25))
    service = Service(good(10), good(10, 11), problem(507, "disk-full"))
    with pytest.raises(UnavailableError) as caught:
        client_of(service).events(events, batch=10)
    assert [len(one) for one in service.bodies()] == [10, 10, 5]
    assert caught.value.__notes__ == [
        "20 events before were answered: 20 accepted, 0 duplicate, 0 rejected."
    ]


def test_an_async_client_takes_events_as_they_come():
    async def source():
        for n in range(5):
            yield {"user_id": "u1", "item_id": n}

    service = Service(good(2), good(2, 3), good(1, 5))

    async def send() -> Any:
        http = httpx.AsyncClient(transport=httpx.MockTransport(service), base_url="http://shop")
        async with rc.AsyncClient("http://shop", http=http) as client:
            return await client.events(source(), batch=2)

    assert asyncio.run(send()).last_seq == 5
    assert [len(one) for one in service.bodies()] == [2, 2, 1]


def test_consistent_asks_for_what_was_written():
    ranked = {"items": [], "as_of": {"seq": 9}, "model_version": "m"}
    service = Service(good(first=9), httpx.Response(200, json=ranked),
                      httpx.Response(200, json=ranked))  # fmt: skip
    client = client_of(service)
    client.event(EVENT)
    client.recommend("u1", consistent=True)
    client.recommend("u1")
    assert client.last_seq == 9
    assert service.bodies()[1]["min_seq"] == 9 and "min_seq" not in service.bodies()[2]


def test_calls_at_fault_are_told_before_anything_is_sent():
    with pytest.raises(ConfigError, match="expected the address of a service"):
        rc.Client("localhost:8080")
    with pytest.raises(DataError, match="soon"):
        client_of(Service()).recommend("u1", at="soon")


def test_without_httpx_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "httpx", None)
    with pytest.raises(ConfigError, match=r"pip install 'recency\[client\]'"):
        rc.Client("http://shop")
