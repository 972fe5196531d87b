"""T14, the API: whatever is sent is answered in the words of the API, and nothing grows.

Hostile ids (slashes, NUL, a megabyte of text, text from right to left, halves of characters),
numbers that are none, JSON as deep as a well, bodies that unpack to gigabytes, and requests that
schemathesis makes, right and wrong, from the documentation itself. Each answer is a problem or a
result: never a 5xx, never a stack trace.
"""

import asyncio
import gzip
import json
import logging
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from benchmarks.serving.shop import untrained_shop
from recency.serving.app import create_app
from recency.serving.engine import Engine
from recency.serving.http import terms
from recency.serving.http.documentation import ROUTES
from recency.serving.intake.jobs import Jobs

# A megabyte of text is a megabyte when Hypothesis writes it down.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")
LONGEST_PART = 7_000  # of an address with at most nine; httpx sends up to 65,536 characters
SMALL = 10  # examples of one test; a soak makes a hundred thousand of all together
ALLOWED = frozenset({200, 202, 400, 403, 404, 405, 406, 409, 410, 413, 415, 422})
# What an honest server may say to a question about an entry of the log that does not come.
MAY_WAIT = frozenset({"not-seen-yet", "timeout"})


class Caller:
    """Send requests to an app in this process, and hold every answer to the rules."""

    def __init__(self, app: Any) -> None:
        self.app, self.n = app, 0
        self._runner = asyncio.Runner()
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._http = httpx.AsyncClient(transport=transport, base_url="http://localhost")

    def send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Send a request."""
        answer = self._runner.run(self._http.request(method, path, **arguments))
        self.check(answer)
        return answer

    def check(self, answer: Any) -> None:
        """Refuse what no answer may be."""
        self.n += 1
        text = answer.text
        assert "Traceback" not in text and "site-packages" not in text, text
        if answer.status_code >= 400:
            kind = answer.headers["content-type"]  # schemathesis gives lists
            assert "application/problem+json" in (kind, *kind)
            problem = answer.json()
            assert problem["status"] == answer.status_code and problem["detail"]
            if problem["code"] in MAY_WAIT:
                return
        assert answer.status_code in ALLOWED, text

    def close(self) -> None:
        """End the event loop."""
        self._runner.run(self._http.aclose())
        self._runner.close()


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    folder = tmp_path_factory.mktemp("t14")
    shop = untrained_shop(folder / "shop", 20, 10, 200, dim=8)
    engine = Engine.open(Path(shutil.copytree(shop, folder / "fuzzed")))
    app = create_app(engine)
    app.state.jobs = Jobs(most_waiting=10**6)
    caller = Caller(app)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(terms, "_LONGEST", 0.001)
        yield caller
    assert engine.fault is None  # nothing that was sent has harmed the engine
    caller.close()
    engine.close()


@pytest.fixture(autouse=True)
def _nothing_unforeseen(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail where the log tells of an error that nobody foresaw."""
    caplog.set_level(logging.ERROR, logger="recency")
    yield
    assert not [one for one in caplog.records if one.exc_info]


def tried(soak: bool, small: int = SMALL, large: int = 2_500) -> settings:
    return settings(
        max_examples=large if soak else small,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


# --- what is hostile -----------------------------------------------------------------------------

texts = st.text(max_size=30) | st.sampled_from(
    ["/", "a/b/../c", "..", ".", "\0", "a\0b", "%00", "%2F", "%", "\u202eabc", "שלום", "\ud800",
     "x" * 512, "x" * 513, "x" * 1_000_000, "' OR 1=1 --", "${jndi:x}", "\r\nX-Evil: 1", "null", "",
     "\0erased-1", "-9223372036854775808", "1e400", "\ufeff", " ", "a" + "\u0301" * 400]
)  # fmt: skip
numbers = (
    st.integers()
    | st.floats()
    | st.sampled_from([2**63, -(2**63) - 1, 10**400, 1e39, -1e308, float("nan"), float("inf")])
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    ["user_id", "anonymous_id", "item_id", "timestamp", "event_type", "eventType", "value", "unit",
     "session_id", "event_id", "context", "properties", "recommendation_id", "impression",
     "history", "k", "at", "repeats", "categories", "candidates", "exclude", "details", "min_seq",
     "timeout_ms", "explain", "price", "title", "text", "available_from", "expires_at",
     "is_hidden", "in_stock", "domain", "boost", "diversity", "explore", "rotation",
     "max_per_category", "file", "folder"]
)  # fmt: skip
bodies = st.dictionaries(names, values, max_size=7) | values
kinds = st.sampled_from(["application/json", "application/x-ndjson", "text/csv", "text/plain", ""])


def written(body: Any) -> bytes:
    """Write as JSON what JSON cannot say too: NaN, Infinity, half characters."""
    return json.dumps(body).encode("utf-8", "surrogatepass")


def in_path(one: str) -> str:
    """Write text as a part of an address, cut off where the client would not send it any more."""
    return quote(one.encode("utf-8", "surrogatepass"), safe="").replace(".", "%2E")[:LONGEST_PART]


TAKING = [
    (route.method, route.path)
    for route in ROUTES
    if route.method in ("POST", "PUT", "PATCH") and not route.path.startswith("/v1/models")
]
NAMED = [(route.method, route.path) for route in ROUTES if "{" in route.path]


# --- the tests -----------------------------------------------------------------------------------


@pytest.mark.parametrize("route", TAKING, ids=" ".join)
def test_t14_hostile_bodies(caller: Caller, soak: bool, route: tuple[str, str]) -> None:
    method, path = route

    @tried(soak)
    @given(body=st.binary(max_size=300) | bodies.map(written), kind=kinds, one=texts)
    def send(body: bytes, kind: str, one: str) -> None:
        parts = [in_path(one) if part.startswith("{") else part for part in path.split("/")]
        headers = {"content-type": kind} if kind else {}
        caller.send(method, "/".join(parts), content=body, headers=headers)

    send()


@pytest.mark.parametrize("route", NAMED, ids=" ".join)
def test_t14_hostile_ids_and_addresses(caller: Caller, soak: bool, route: tuple[str, str]) -> None:
    method, path = route

    @tried(soak)
    @given(one=texts, query=st.dictionaries(names, texts | numbers.map(str), max_size=4))
    def send(one: str, query: dict[str, str]) -> None:
        parts = [in_path(one) if part.startswith("{") else part for part in path.split("/")]
        asked = "&".join(f"{in_path(name)}={in_path(value)}" for name, value in query.items())
        caller.send(method, f"{'/'.join(parts)}?{asked}")

    send()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("route", "mode"),
    [
        pytest.param(route, mode, id=f"{mode.value} {route.method} {route.path}")
        for route in ROUTES
        for mode in GenerationMode
        if mode is GenerationMode.POSITIVE or route.query or route.body  # else all is right
    ],
)
def test_t14_requests_made_from_the_documentation_right_and_wrong(
    caller: Caller, soak: bool, route: Any, mode: GenerationMode
) -> None:
    api = _document(caller)

    @tried(soak, small=4, large=500)
    @given(case=api[route.path][route.method].as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        caller.check(case.call(app=caller.app))

    send()


@pytest.mark.parametrize("path", ["/v1/events", "/v1/items", "/v1/recommendations"])
def test_t14_a_well_of_brackets_and_bombs_of_zeros(caller: Caller, path: str) -> None:
    headers = {"content-type": "application/json"}
    for deep in (b"[" * 200_000, b'{"context":' * 50_000, b'{"a":[' * 900 + b"]}" * 900):
        assert caller.send("POST", path, content=deep, headers=headers).status_code == 422
    lists = b'{"user_id":"u","item_id":"i","context":' + b'{"a":' * 400 + b"1" + b"}" * 401
    assert caller.send("POST", path, content=lists, headers=headers).status_code in (200, 422)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bomb = gzip.compress(bytes(256 * 2**20))
    packed = headers | {"content-encoding": "gzip"}
    for _ in range(8):
        assert caller.send("POST", path, content=bomb, headers=packed).status_code == 413
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before  # kilobytes
    assert grown < 64 * 1024, "a packed body may cost no more than a plain one"


def test_t14_the_row(caller: Caller, fault_row: Callable[..., None]) -> None:
    """Stands last: counts what the tests above have sent."""
    fault_row(test="T14", runs=caller.n, lost=0, doubled=0)
    answer = caller.send("POST", "/v1/events", json={"user_id": "u1", "item_id": "i1"})
    assert answer.json()["accepted"] == 1  # and it serves on


_documents: dict[int, Any] = {}


def _document(caller: Caller) -> Any:
    if id(caller) not in _documents:
        whole = caller.send("GET", "/openapi.json").json()
        _documents[id(caller)] = schemathesis.openapi.from_dict(whole)
    return _documents[id(caller)]
