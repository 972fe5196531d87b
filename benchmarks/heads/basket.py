"""Baskets: what does a customer's next order hold?

Asked about is each later order of a customer who had ordered before, at its instant, of all items
that anybody had ordered by then; whatever is strictly earlier is known to all who answer. Settings
of the baselines are chosen on the newest tenth of what lies before the cut.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import recency as rc
from benchmarks.heads.exams import Exam, Settings, learn
from benchmarks.heads.judging import mean_gain
from benchmarks.record import Row
from recency.evaluation.baskets import basket_metrics, list_metrics
from recency.live.baskets import baskets
from recency.nn.basket_head import BasketHead
from recency.nn.heads import head_named
from recency.units import SECOND

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Told = Iterable[Floats]  # chances of all items, basket by basket

PROTOCOL = "next basket · time · split at the 0.9 quantile of time of the orders · each later order of a customer who had ordered before; all items ordered by then"  # noqa: E501
K = 10
DAY = 86_400
HALF_LIVES = (30 * DAY, 90 * DAY, 360 * DAY)
FEW = 500  # orders that settings are chosen on
DRAWN = (0.5, 2.0, 8.0)  # baskets of everybody that one's own are drawn in by
GAIN = f"ndcg@{K}_gain_over_best_baseline"
SHOWN = ("recall@10", "precision@10", "f1@10", "ndcg@10", "log_loss", "log_loss_of_baskets", "ece")


@dataclass(frozen=True)
class Orders:
    """Hold lines of orders in the order of time, an item once in each.

    Attributes:
        users, items, times: [n] rows, and seconds since 1970.
        user_ids, item_ids: Of the rows.
    """

    users: Ints
    items: Ints
    times: Ints
    user_ids: list[Any]
    item_ids: list[Any]

    @classmethod
    def of(cls, log: rc.Log) -> "Orders":
        """Take the lines of a log."""
        frame = log.events.unique(["user_id", "item_id", "timestamp"], maintain_order=True)
        users, items = frame["user_id"], frame["item_id"]
        return cls(
            users.rank("dense").to_numpy().astype(np.int64) - 1,
            items.rank("dense").to_numpy().astype(np.int64) - 1,
            frame["timestamp"].to_physical().to_numpy() // SECOND,
            users.unique().sort().to_list(),
            items.unique().sort().to_list(),
        )


@dataclass(frozen=True)
class Asked:
    """Hold n orders asked about, by time: rows of users, instants in seconds, and items held."""

    users: Ints
    at: Ints
    held: npt.NDArray[np.bool_]

    def few(self, most: int) -> "Asked":
        """Keep at most so many, evenly over time."""
        kept = np.linspace(0, len(self.at) - 1, min(most, len(self.at))).astype(np.int64)
        return Asked(self.users[kept], self.at[kept], self.held[kept])


def questions(orders: Orders, since: int, until: int) -> Asked:
    """List the orders of a span whose customers had ordered before."""
    found = np.unique(np.stack((orders.times, orders.users)), axis=1)
    first = np.full(len(orders.user_ids), np.iinfo(np.int64).max)
    np.minimum.at(first, orders.users, orders.times)
    at, users = found[:, (found[0] >= since) & (found[0] < until) & (found[0] > first[found[1]])]
    held = np.zeros((len(at), len(orders.item_ids)), bool)
    keys = orders.times * len(orders.user_ids) + orders.users
    place = {key: n for n, key in enumerate((at * len(orders.user_ids) + users).tolist())}
    for key, item in zip(keys.tolist(), orders.items.tolist(), strict=True):
        if key in place:
            held[place[key], item] = True
    return Asked(users, at, held)


def popular(orders: Orders, asked: Asked, half_life: float) -> Iterator[Floats]:
    """Foretell each item by the share of all orders that held it, old ones less."""
    counts, n_orders, done, now = np.zeros(len(orders.item_ids)), 0.0, 0, int(orders.times[0])
    for at in asked.at.tolist():
        stop = int(np.searchsorted(orders.times, at))
        fade = 2.0 ** (-(at - now) / half_life)
        counts, n_orders, now = counts * fade, n_orders * fade, at
        part = slice(done, stop)
        weights = 2.0 ** (-(at - orders.times[part]) / half_life)
        counts = counts + np.bincount(orders.items[part], weights, len(counts))
        pairs = orders.times[part] * len(orders.user_ids) + orders.users[part]
        n_orders += float(weights[np.unique(pairs, return_index=True)[1]].sum())
        done = stop
        yield (counts / max(n_orders, 1.0)).clip(0, 1).astype(np.float32)


def personal(orders: Orders, asked: Asked, half_life: float, drawn: float) -> Iterator[Floats]:
    """Foretell by the share of one's own orders, old ones less, drawn in by everybody's."""
    order = np.lexsort((orders.times, orders.users))
    ends = np.searchsorted(orders.users[order], np.arange(len(orders.user_ids) + 1))
    everybody = popular(orders, asked, HALF_LIVES[0])
    for user, at, known in zip(asked.users.tolist(), asked.at.tolist(), everybody, strict=True):
        mine = order[ends[user] : ends[user + 1]]
        mine = mine[orders.times[mine] < at]
        weights = 2.0 ** (-(at - orders.times[mine]) / half_life)
        n = weights[np.unique(orders.times[mine], return_index=True)[1]].sum()
        own = np.bincount(orders.items[mine], weights, len(known))
        yield ((own + drawn * known) / (n + drawn)).astype(np.float32)


def by_list(
    model: rc.SequenceRecommender, orders: Orders, asked: Asked, test: rc.Log
) -> Iterator[Floats]:
    """Foretell by the model's list of next items: P = 1 - (1 - share of the item) ^ (own size).

    The model observes the test as it goes: what experts remember of the past is dear to count anew.
    """
    order = np.lexsort((orders.times, orders.users))
    ends = np.searchsorted(orders.users[order], np.arange(len(orders.user_ids) + 1))
    done = test.start
    for user, at in zip(asked.users.tolist(), (asked.at * SECOND).tolist(), strict=True):
        if len(events := test.between(done, at)):
            model.observe(events)
        done = max(done, at)
        mine = orders.times[order[ends[user] : ends[user + 1]]]
        mine = mine[mine * SECOND < at]
        row = model.users.rows([orders.user_ids[user]])
        scores = model.live.scores(row, at)[0][0].astype(np.float64)
        shares = np.exp(scores - scores.max())
        told = 1 - (1 - shares / shares.sum()) ** (len(mine) / len(np.unique(mine)))
        columns = model.items.rows(orders.item_ids)
        yield np.where(columns < 0, 0.0, told[columns]).astype(np.float32)
    model.observe(test.since(done))


def by_head(model: rc.SequenceRecommender, orders: Orders, asked: Asked) -> Iterator[Floats]:
    """Foretell by the head."""
    head = head_named(model.live.model, "basket")
    assert isinstance(head, BasketHead)
    users = model.users.rows(orders.user_ids)[asked.users]
    columns = model.items.rows(orders.item_ids)
    for one in baskets(model.live, head, users, asked.at * SECOND):
        yield np.where(columns < 0, 0.0, one.chances[columns].clip(min=0)).astype(np.float32)


def rows(exam: Exam, settings: Settings, seeds: Sequence[int]) -> list[Row]:
    """Foretell all orders of the test by everything, and measure it."""
    assert exam.lines is not None
    cut = exam.cut * SECOND
    train, test = exam.lines.split_at(cut)
    orders = Orders.of(exam.lines)
    asked = questions(orders, exam.cut, int(orders.times[-1]) + 1)
    table = {}
    for name, told in baselines(orders, exam.cut).items():
        table[name] = judged(orders, asked, told(asked))
    found = [exam.row(PROTOCOL, name, None, one[0]) for name, one in table.items()]
    best = max((one[1] for one in table.values()), key=lambda each: float(each.mean()))
    for seed in seeds:
        lined = Exam(exam.data, train, test, exam.events, exam.cut)
        fitted = learn(lined, [BasketHead(**settings["head"])], settings, seed)
        own = {
            f"{settings['encoder']['name']}, next items": by_list(
                fitted.model, orders, asked, test
            ),
            f"{settings['encoder']['name']}, basket head": by_head(fitted.model, orders, asked),
        }
        about = {"train_seconds": fitted.seconds}
        for name, chances in own.items():
            metrics, of_orders = judged(orders, asked, chances)
            gain = mean_gain(1 - of_orders, 1 - best, asked.users, GAIN)
            found.append(exam.row(PROTOCOL, name, seed, metrics | gain, about))
    return [one | {"n_targets": len(asked.at)} for one in found]


def baselines(orders: Orders, cut: int) -> dict[str, Callable[[Asked], Told]]:
    """Choose the settings of the baselines on the newest tenth before the cut."""
    since = int(np.quantile(orders.times[orders.times < cut], 0.9))
    older = questions(orders, since, cut).few(FEW)
    half_life = max(
        HALF_LIVES,
        key=lambda one: float(ndcg(orders, older, popular(orders, older, one)).mean()),
    )
    own = max(
        itertools.product(HALF_LIVES, DRAWN),
        key=lambda one: float(ndcg(orders, older, personal(orders, older, *one)).mean()),
    )
    return {
        "popularity of orders": lambda asked: popular(orders, asked, half_life),
        "personal top": lambda asked: personal(orders, asked, *own),
    }


def judged(orders: Orders, asked: Asked, told: Told) -> tuple[dict[str, float], Doubles]:
    """Measure what is told; give the metrics, and NDCG basket by basket."""
    chances = _among_known(orders, asked, told)
    metrics = basket_metrics(chances, asked.held, K)
    lists = list_metrics(chances, asked.held, K)
    return {name: metrics[name] for name in SHOWN}, np.nan_to_num(lists[f"ndcg@{K}"])


def ndcg(orders: Orders, asked: Asked, told: Told) -> Doubles:
    """Measure NDCG basket by basket."""
    lists = list_metrics(_among_known(orders, asked, told), asked.held, K)
    return np.nan_to_num(lists[f"ndcg@{K}"])


def _among_known(orders: Orders, asked: Asked, told: Told) -> Floats:
    """Leave out the items that nobody had ordered yet."""
    first = np.full(len(orders.item_ids), np.iinfo(np.int64).max)
    np.minimum.at(first, orders.items, orders.times)
    chances = np.stack(list(told))
    chances[first[None] >= asked.at[:, None]] = np.nan
    return chances
