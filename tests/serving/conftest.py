"""What the tests of the service share: a small trained shop, a clock that stands still, servers."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest
from fastapi import FastAPI

from recency.data.catalogue import Catalogue
from recency.data.log import Log
from recency.nn.recurrent import GRU
from recency.recommender import SequenceRecommender
from recency.serving.app import create_app
from recency.serving.engine import Engine
from recency.training.config import TrainConfig

DAY = 86_400_000_000
START = 1_767_225_600_000_000  # 2026-01-01T00:00Z
NOW = START + 40 * DAY  # 2026-02-10T00:00Z, ten days after the last event of the log


def shop_log(n_events: int = 400) -> Log:
    """Twenty users u0..u19 and thirty items i0..i29 over thirty days."""
    random = np.random.default_rng(0)
    times = START + np.sort(random.integers(0, 30 * DAY, n_events))
    frame = pl.DataFrame(
        {
            "user_id": [f"u{n}" for n in random.integers(0, 20, n_events)],
            "item_id": [f"i{n}" for n in random.integers(0, 30, n_events)],
            "timestamp": pl.Series(times).cast(pl.Datetime("us", "UTC")),
            "event_type": random.choice(["view", "buy"], n_events),
        }
    )
    return Log.from_frame(frame)


def fitted(log: Log, catalogue: Catalogue | None = None) -> SequenceRecommender:
    """Learn for one epoch: enough for answers that differ between users."""
    settings = TrainConfig(epochs=1, device="cpu")
    return SequenceRecommender(GRU(dim=8), training=settings).fit(log, catalogue)


@pytest.fixture(scope="session")
def _shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    catalogue = Catalogue.from_frame(
        pl.DataFrame(
            {
                "item_id": [f"i{n}" for n in range(30)],
                "title": [f"Item {n}" for n in range(30)],
                "categories": [["even" if n % 2 == 0 else "odd"] for n in range(30)],
            }
        )
    )
    folder = tmp_path_factory.mktemp("model") / "shop"
    fitted(shop_log(), catalogue).save(folder)
    return folder


@pytest.fixture
def shop(_shop: Path, tmp_path: Path) -> Path:
    """A folder with a model, of the test's own."""
    return Path(shutil.copytree(_shop, tmp_path / "shop"))


@pytest.fixture
def clock() -> Callable[[], int]:
    """A clock that stands still at `NOW`."""
    return lambda: NOW


@pytest.fixture
def shop_log_frame() -> pl.DataFrame:
    """The events that the shop learned from."""
    return shop_log().events


@pytest.fixture
def fit() -> Callable[..., SequenceRecommender]:
    """Fits a model as the shop's was fitted."""
    return fitted


@pytest.fixture
def make_model() -> Callable[[list[dict[str, Any]]], SequenceRecommender]:
    """Fits a model on the shop's log and more events."""

    def make(rows: list[dict[str, Any]]) -> SequenceRecommender:
        known = shop_log().events
        more = pl.DataFrame(
            {
                "user_id": [row["user_id"] for row in rows],
                "item_id": [row["item_id"] for row in rows],
                "timestamp": pl.Series([row["timestamp"] for row in rows]).cast(
                    pl.Datetime("us", "UTC")
                ),
                "event_type": pl.Series([None] * len(rows), dtype=pl.String),
            }
        )
        return fitted(Log.from_frame(pl.concat([known, more])))

    return make


@pytest.fixture
def engine(shop: Path, clock: Callable[[], int]) -> Iterator[Engine]:
    engine = Engine.open(shop, clock=clock)
    yield engine
    engine.close()


class Client:
    """Call an app without a network, one request after another."""

    def __init__(self, app: FastAPI, host: str = "localhost") -> None:
        self.app = app
        self._runner = asyncio.Runner()
        # An unforeseen error gives its answer here, not its exception.
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._http = httpx.AsyncClient(transport=transport, base_url=f"http://{host}")

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Send a request."""
        return self._runner.run(self._http.request(method, path, **arguments))

    def get(self, path: str, **arguments: Any) -> httpx.Response:
        """Send a GET."""
        return self.request("GET", path, **arguments)

    def post(self, path: str, **arguments: Any) -> httpx.Response:
        """Send a POST."""
        return self.request("POST", path, **arguments)

    def put(self, path: str, **arguments: Any) -> httpx.Response:
        """Send a PUT."""
        return self.request("PUT", path, **arguments)

    def close(self) -> None:
        """End the event loop."""
        self._runner.run(self._http.aclose())
        self._runner.close()


@pytest.fixture
def make_client() -> Iterator[Callable[..., Client]]:
    """Makes clients of apps, with the settings of `create_app`."""
    clients: list[Client] = []

    def make(engine: Engine, host: str = "localhost", **settings: Any) -> Client:
        clients.append(Client(create_app(engine, **settings), host))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(engine: Engine, make_client: Callable[..., Client]) -> Client:
    """A client of the shop."""
    return make_client(engine)
