"""Rules on a model whose scores are given: what may come, what weighs in, and always k."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recency.asking.asking import Asking
from recency.asking.selection import Selection
from recency.data.appearances import Appearances
from recency.data.catalogue import Catalogue
from recency.data.histories import Histories
from recency.data.vocab import Vocab
from recency.errors import ConfigError
from recency.ranking.topk import top_k

DAY = 86_400_000_000
AT = 1_767_225_600_000_000  # 2026-01-01T00:00Z
N = 12
IDS = [f"i{n}" for n in range(N)]


class GivenScores:
    """Answers every user with the same scores, from all items or from shortlists."""

    def __init__(self, scores: Any, n_learned: int, by_shortlist: bool) -> None:
        self.vocabs = SimpleNamespace(
            items=Vocab.from_ids(pl.Series(IDS)), users=Vocab.from_ids(pl.Series(["u", "v"]))
        )
        self.timelines = SimpleNamespace(newest=AT - 1)
        self.now, self.n_learned, self.by_shortlist = AT, n_learned, by_shortlist
        self.given = np.array(scores, np.float32)
        self.given[n_learned:] = -np.inf
        self.appearances = Appearances()
        self.appearances.add(np.repeat(np.arange(n_learned), 20), np.full(20 * n_learned, AT - DAY))

    def scores(self, users: Any, at: int, repeats: bool = True) -> tuple[Any, Any]:
        wide = np.full(len(self.vocabs.items), -np.inf, np.float32)
        wide[:N] = self.given
        return np.tile(wide, (len(users), 1)), np.zeros(len(users), bool)

    def shortlist(self, users: Any, at: int, m: int, allowed: Any = None, seen: Any = None):
        if not self.by_shortlist:
            return None
        scores, fallback = self.scores(users, at)
        if allowed is not None:
            scores[:, ~allowed] = -np.inf
        if seen is not None:
            scores[:, seen.items[:1]] = -np.inf
        return *top_k(scores, m), fallback

    def seen(self, users: Any, at: int) -> Histories:
        """Everybody has had the first item."""
        n = len(users)
        return Histories(np.arange(n + 1), np.zeros(n, np.int32), np.full(n, AT - 1))

    def vectors(self, items: Any) -> Any:
        angle = np.where(items < self.n_learned, items * 0.5, 0)
        found = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)
        found[items >= self.n_learned] = 0
        return found


class Shop(Asking):
    def __init__(self, live: GivenScores, catalogue: Catalogue | None) -> None:
        self._live, self.catalogue, self.model_version = live, catalogue, "given"

    @property
    def live(self) -> Any:
        return self._live

    def first(self, k: int = 10, user: str = "u", **rules: Any) -> list[Any]:
        return self.recommend([user], min(k, len(self.items)), **rules).items[0]


def shop(
    scores: Any = range(N, 0, -1),
    items: Sequence[Any] = (),
    n_learned: int = N,
    by_shortlist: bool = True,
) -> Shop:
    catalogue = Catalogue(pl.DataFrame(schema={"item_id": pl.String})).upsert(list(items))
    return Shop(GivenScores(scores, n_learned, by_shortlist), catalogue)


described = st.fixed_dictionaries(
    {
        "categories": st.lists(st.sampled_from("abc"), max_size=2),
        "price": st.sampled_from([None, 1.0, 5.0, 9.0]),
        "is_hidden": st.booleans(),
        "in_stock": st.booleans(),
        "domain": st.sampled_from([None, "d", "e"]),
        "expires_at": st.sampled_from([None, AT - 1, AT, AT + 1]),
    }
)
shops = st.lists(st.one_of(st.none(), described), min_size=N, max_size=N)
scores_ = st.lists(st.floats(-5, 5, width=32), min_size=N, max_size=N)
selections = st.fixed_dictionaries(
    {},
    optional={
        "repeats": st.booleans(),
        "candidates": st.lists(st.sampled_from(IDS), unique=True),
        "exclude": st.lists(st.sampled_from(IDS), max_size=4),
        "categories": st.just(["a"]),
        "exclude_categories": st.just(["b"]),
        "domain": st.just("d"),
        "price": st.sampled_from([(None, 5.0), (2.0, None), (1.0, 5.0)]),
        "out_of_stock": st.booleans(),
        "boost": st.dictionaries(st.sampled_from(["a", "i3", "item:i4"]), st.floats(0.1, 9)),
        "rotation": st.sampled_from([0.0, 0.5, 1.0]),
        "diversity": st.sampled_from([0.0, 0.4, 1.0]),
        "max_per_category": st.sampled_from([None, 1, 3]),
        "explore": st.sampled_from([0.0, 0.3, 1.0]),
    },
)


def may(item: str, row: dict[str, Any] | None, rules: dict[str, Any]) -> bool:
    """What the rules say of one item, in plain words."""
    row, own = row or {}, set((row or {}).get("categories", ()))
    low, high = rules.get("price", (None, None))
    price = row.get("price")
    return (
        not row.get("is_hidden")
        and (row.get("in_stock", True) or rules.get("out_of_stock", False))
        and (row.get("expires_at") is None or row["expires_at"] > AT)
        and (rules.get("repeats", True) or item != "i0")
        and item in rules.get("candidates", IDS)
        and item not in rules.get("exclude", ())
        and ("categories" not in rules or "a" in own)
        and ("exclude_categories" not in rules or "b" not in own)
        and ("domain" not in rules or row.get("domain") == "d")
        and ("price" not in rules or (price is not None and (low or 0) <= price <= (high or 99)))
    )


# Names that rules may speak of are known in every shop.
KNOWN = [{"item_id": "x", "categories": ["a", "b"], "domain": "d", "is_hidden": True}]


@settings(deadline=None)
@given(scores_, shops, selections, st.integers(1, N), st.integers(3, N), st.booleans())
def test_no_list_holds_what_is_refused_and_none_is_short(
    scores: list[float],
    rows: list[dict[str, Any] | None],
    rules: dict[str, Any],
    k: int,
    n_learned: int,
    by_shortlist: bool,
) -> None:
    items = [{"item_id": one, **row} for one, row in zip(IDS, rows, strict=True) if row]
    model = shop(scores, [*items, *KNOWN], n_learned, by_shortlist)
    there = {one for n, one in enumerate(IDS) if n < n_learned or rows[n]}
    for user in ("u", "v", "u"):  # again after something was shown
        found = model.first(k, user, at=AT, **rules)
        assert len(set(found)) == len(found)
        allowed = {one for one, row in zip(IDS, rows, strict=True) if may(one, row, rules)}
        assert set(found) <= allowed
        if (most := rules.get("max_per_category")) is None:
            assert len(found) >= min(k, len(allowed & there))
            continue
        own = {
            one: set(row["categories"]) if row else set()
            for one, row in zip(IDS, rows, strict=True)
        }
        counts = {name: sum(name in own[one] for one in found) for name in "abc"}
        assert max(counts.values()) <= most
        if len(found) < k:  # then nothing more would fit
            assert all(
                any(counts[name] == most for name in own[one])
                for one in allowed & there - set(found)
            )


@settings(deadline=None)
@given(scores_, shops, selections, st.integers(1, N), st.integers(3, N))
def test_shortlists_and_all_scores_give_the_same(
    scores: list[float],
    rows: list[dict[str, Any] | None],
    rules: dict[str, Any],
    k: int,
    n_learned: int,
) -> None:
    rows = [row if n < n_learned else None for n, row in enumerate(rows)]  # no newcomers
    items = [{"item_id": one, **row} for one, row in zip(IDS, rows, strict=True) if row]
    one, other = (
        shop(scores, [*items, *KNOWN], n_learned, by_shortlist) for by_shortlist in (True, False)
    )
    assert one.first(k, at=AT, **rules) == other.first(k, at=AT, **rules)


@given(scores_, st.floats(0.1, 10), st.floats(1, 10), st.sampled_from(["i5", "item:i5", "a"]))
def test_a_larger_boost_never_ranks_an_item_lower(
    scores: list[float], by: float, more: float, name: str
) -> None:
    model = shop(scores, [{"item_id": "i5", "categories": ["a"]}])
    before = model.first(N, boost={name: by}).index("i5")
    assert model.first(N, boost={name: by * more}).index("i5") <= before
    rest = [one for one in model.first(N) if one != "i5"]
    assert [one for one in model.first(N, boost={name: by * more}) if one != "i5"] == rest


def test_boosts_multiply_and_names_leave_no_doubt() -> None:
    items = [{"item_id": "i1", "categories": ["a", "i2"]}, {"item_id": "i2"}]
    model = shop(np.zeros(N), items)
    found = model.recommend(["u"], 3, boost={"a": 2, "category:i2": 3, "item:i2": 5})
    assert found.items[0][:2] == ["i1", "i2"]
    assert np.exp(found.scores[0]) == pytest.approx([6, 5, 1])
    assert model.first(2, boost={"i2": 5})[0] == "i1"  # the category, as there is one
    with pytest.raises(ConfigError) as told:
        model.first(boost={"ab": 2, "item:i99": 2, "category:i1": 2})
    said = str(told.value)
    assert "boost of 'ab': neither a category nor an item is called so; did you mean 'a'?" in said
    assert "boost of 'item:i99': no item is called so." in said
    assert "boost of 'category:i1': no category is called so" in said


def test_a_popular_list_is_boosted_by_the_same_factor() -> None:
    model = shop(np.log2([8, 5, *[1] * (N - 2)]))
    model.live.scores = lambda users, at, repeats: (model.live.given[None].copy(), np.ones(1, bool))
    model.live.by_shortlist = False
    assert model.first(2, boost={"i1": 1.5})[0] == "i0"
    assert model.first(2, boost={"i1": 1.7})[0] == "i1"  # 5 * 1.7 > 8 > 5 * 1.5


def test_no_diversity_is_the_plain_order_and_more_of_it_differs() -> None:
    model = shop([5.0, 4.9, 4.8, *np.linspace(1, 0.5, N - 3)])
    assert model.first(5, diversity=0.0) == model.first(5)
    assert model.first(5, diversity=1e-9) == model.first(5)
    assert model.first(3, diversity=0.9) != model.first(3)
    assert model.first(3, diversity=0.9)[0] == "i0"


def test_what_was_shown_steps_back_and_comes_forward_again() -> None:
    model = shop(np.log([4, 3, 2, *[1] * (N - 3)]))
    rules: dict[str, Any] = {"rotation": 0.9, "rotation_time": "1h"}
    assert model.first(1, at=AT, **rules) == ["i0"]
    assert model.first(1, at=AT, **rules) == ["i0"]  # the same question, the same answer
    assert model.first(1, at=AT + 1_000_000, **rules) == ["i1"]
    assert model.first(1, "v", at=AT + 1_000_000, **rules) == ["i0"]  # another user
    assert model.first(1, at=AT + 2_000_000, rotation=0.0) == ["i0"]
    assert model.first(1, at=AT + DAY, **rules) == ["i0"]
    assert model.first(N, at=AT + DAY + 1, rotation=1.0)[-1] == "i0"  # last, and not lost


def test_what_counts_as_shown() -> None:
    model = shop(np.log([4, 3, 2, *[1] * (N - 3)]))
    model.first(1, at=AT, rotation=1.0, counts_as_shown=False)
    assert model.first(1, at=AT + 1, rotation=1.0, counts_as_shown=False) == ["i0"]
    model.note_shown("u", ["i0", "i1"], AT)
    assert model.first(1, at=AT + 1, rotation=1.0, counts_as_shown=False) == ["i2"]
    model.rules.shown.forget("u")
    assert model.first(1, at=AT + 1, rotation=1.0) == ["i0"]


def test_a_share_of_the_places_is_explored_and_repeats() -> None:
    model = shop(n_learned=6)
    fresh = set(IDS[6:])
    lists = {tuple(model.first(10, explore=0.5, at=AT + n)) for n in range(20)}
    assert len(lists) > 5
    for one in lists:
        assert len(set(one) & fresh) == 5 and [item in fresh for item in one].index(True) == 1
        assert [item for item in one if item not in fresh] == IDS[:5]
    assert model.first(10, explore=0.5, at=AT) == model.first(10, explore=0.5, at=AT)
    found = model.recommend(["u"], 10, explore=0.5, at=AT)
    assert np.isfinite(found.scores[0]).all()
    assert set(model.first(6, explore=1.0)) == fresh
    assert model.first(10, explore=1.0, candidates=IDS[:3]) == IDS[:3]  # nothing to explore there


def test_old_items_are_not_explored() -> None:
    day = {n: AT - n * DAY for n in (1, 40)}
    items = [
        {"item_id": "i6", "available_from": day[40]},
        {"item_id": "i7", "available_from": day[1]},
    ]
    model = shop(items=items, n_learned=6)
    seen = {one for n in range(40) for one in model.first(4, explore=0.5, at=AT + n)} - set(IDS[:6])
    assert seen == set(IDS[7:])
    seen = {
        one for n in range(40) for one in model.first(4, explore=0.5, at=AT + n, explore_age="90d")
    }
    assert "i6" in seen


def test_a_newcomer_scores_as_its_category() -> None:
    chances = [8, 1, 3, 2]
    items = [
        {"item_id": "i0", "categories": ["a"]},
        {"item_id": "i1", "categories": ["a"]},
        {"item_id": "i2", "categories": ["b"]},
        {"item_id": "i3", "categories": []},
    ]
    model = shop(np.log(chances + [1] * (N - 4)), items, n_learned=4, by_shortlist=False)
    model.describe(
        [
            {"item_id": "a-new", "categories": ["a"]},
            {"item_id": "ab-new", "categories": ["a", "b"]},
            {"item_id": "other", "categories": ["nobody's"]},
            {"item_id": "bare"},
        ]
    )
    found = model.recommend(["u"], 9)
    scores = dict(zip(found.items[0], np.exp(found.scores[0]), strict=True))
    assert scores.pop("a-new") == pytest.approx(4.5)
    assert scores.pop("ab-new") == pytest.approx((4.5 + 3) / 2)
    assert scores.pop("other") == scores.pop("bare") == pytest.approx(14 / 4)
    assert scores == pytest.approx({"i0": 8, "i1": 1, "i2": 3, "i3": 2})  # nobody described i4 …
    model.live.by_shortlist = True  # a shortlist of everything tells the same
    short = model.recommend(["u"], 9)
    assert short.items == found.items and short.scores[0] == pytest.approx(found.scores[0])


def test_learned_without_an_event_is_not_learned() -> None:
    items = [{"item_id": "i0", "categories": ["a"]}, {"item_id": "i3", "categories": ["a"]}]
    for by_shortlist in (True, False):
        model = shop(np.log([8, 4, 2, 1, *[1e-3] * (N - 4)]), items, by_shortlist=by_shortlist)
        assert model.first(4) == ["i0", "i1", "i2", "i3"]
        # Weights were made for i3, but nobody has ever taken it: it scores as its category's i0 …
        model.live.appearances = Appearances()
        seen = np.array([n for n in range(N) if n != 3])
        model.live.appearances.add(seen, np.full(N - 1, AT - DAY))
        assert model.first(4) == ["i0", "i3", "i1", "i2"]  # … and itself: (8 + 1) / 2
        model.live.appearances.add(np.array([3]), np.array([AT]))
        assert model.first(4) == ["i0", "i1", "i2", "i3"]


def test_a_newcomer_obeys_rules_and_can_be_taken_back() -> None:
    model = shop(n_learned=4)
    assert "new" not in model.first(N)
    model.describe([{"item_id": "new", "categories": ["a"], "price": 3}])
    assert "new" in model.first(N) and "new" in model.first(N, categories="a")
    assert "new" not in model.first(N, exclude=["new"])
    assert "new" not in model.first(N, price=(4, None))
    model.describe([{"item_id": "new", "price": 5}], merge=True)
    assert model.first(N, price=(4, None)) == ["new"] and model.first(N, categories="a") == ["new"]
    model.remove_items(["new"])
    assert "new" not in model.first(N) and model.n_events_of("new") == 0
    assert model.n_events_of("i0") == 20


def test_rules_without_a_catalogue() -> None:
    model = Shop(GivenScores(range(N, 0, -1), N, True), None)
    assert model.first(3, boost={"i2": 1e9}, diversity=0.1, explore=0.1)[0] == "i2"
    with pytest.raises(ConfigError, match="price were asked for, but the model has no catalogue"):
        model.first(price=(1, 2))
    with pytest.raises(ConfigError, match="max_per_category was asked for, but the model has no"):
        model.first(max_per_category=1)
    model.describe([{"item_id": "i0", "is_hidden": True}])
    assert model.first(2) == ["i1", "i2"]


def test_all_faults_of_a_selection_are_told() -> None:
    with pytest.raises(ConfigError) as told:
        Selection(
            rotation=2,
            diversity=-0.1,
            explore=True,
            max_per_category=0,
            price=(5, 1),
            boost={"a": 0},
        )
    for part in (
        "6 faults",
        "rotation=2: expected a number from 0 to 1",
        "diversity=-0.1",
        "explore=True",
        "max_per_category=0: expected a whole number of at least 1",
        "price=(5, 1): the least is more than the most",
        "boost of 'a': expected a factor above 0, found 0.0; exclude and exclude_categories",
    ):
        assert part in str(told.value)
    with pytest.raises(ConfigError, match="rotation_time=0.0: expected more than 0 seconds"):
        Selection(rotation_time=0)
    with pytest.raises(ConfigError, match=r"price=\(1,\): expected \(least, most\)"):
        Selection(price=(1,))  # type: ignore[arg-type]


def test_a_selection_is_a_key() -> None:
    one = Selection(
        boost={"a": 2}, candidates=["i1"], domain="d", price=(1, None), rotation_time="1h"
    )
    assert hash(one) == hash(Selection(**one.keywords())) and Selection(**one.keywords()) == one
    assert one.keywords().keys() == {"boost", "candidates", "domain", "price", "rotation_time"}
    assert Selection().keywords() == {}
