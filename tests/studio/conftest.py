"""A small shop behind a real server on a free port, with the studio's page."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
import uvicorn

from recency.data import synthetic
from recency.data.catalogue import Catalogue
from recency.evaluation.evaluate import evaluate
from recency.nn.recurrent import GRU
from recency.recommender import SequenceRecommender
from recency.serving.app import create_app
from recency.serving.engine import Engine
from recency.serving.log.event_store import EventStore
from recency.serving.server import address_of, bind
from recency.studio import mount
from recency.studio.report import page_report
from recency.training.config import TrainConfig

HOSTILE = '<img src=x onerror="document.title=1">'


@dataclass(frozen=True)
class Service:
    """What is running: where, and whom to ask for."""

    address: str
    user: str  # with a history of some length
    folder: Path

    def get(self, path: str) -> Any:
        """Ask the service directly."""
        return httpx.get(f"{self.address}{path}").raise_for_status().json()


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Run an app in a thread; give its address."""
    with closing(bind("127.0.0.1", 0)) as taken:
        config = uvicorn.Config(app, log_level="error", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield address_of(taken)
        finally:
            server.should_exit = True
            thread.join(10)


@pytest.fixture(scope="module")
def fitted() -> tuple[SequenceRecommender, dict[str, Any]]:
    """A model of a small shop in which some titles are hostile, and its table of results."""
    shop = synthetic.shop(n_users=80, n_items=60, days=40, end=time.time_ns() // 1_000)
    common = shop.log.events["item_id"].value_counts(sort=True)["item_id"].head(8)
    first = pl.col("item_id").is_in(common.to_list())  # strangers see one, whatever the hour
    items = shop.items.with_columns(
        title=pl.when(first).then(pl.lit(HOSTILE)).otherwise(pl.col("title"))
    )
    train, test = shop.log.split_at(shop.log.quantile(0.9))
    settings = TrainConfig(epochs=2, tokens=512, valid_share=0.0, refit=False)
    model = SequenceRecommender(GRU(dim=16), training=settings)
    model.fit(train, Catalogue.from_frame(items))
    table = page_report(evaluate(model, test, resamples=50), {"gru": "Ours"})
    model.observe(test)
    return model, table


@pytest.fixture(scope="module")
def service(
    fitted: tuple[SequenceRecommender, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The shop behind HTTP."""
    folder = tmp_path_factory.mktemp("studio")
    model, table = fitted
    counts = model.live.timelines.histories().lengths
    user = str(model.users.id_of(int(counts.argsort()[len(counts) * 3 // 4])))
    with closing(Engine(model, EventStore(folder / "events.sqlite"))) as engine:
        app = create_app(engine)
        mount(app, table)
        with serving(app) as address:
            yield Service(address, user, folder)
