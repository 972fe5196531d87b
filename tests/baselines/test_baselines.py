"""Baselines on logs whose answer is known, and what they refuse."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recency.baselines import (
    DecayedPopularity,
    ItemNeighbours,
    LivePopularity,
    Markov,
    MatrixFactorisation,
    Popularity,
    RecentItems,
    default_baselines,
)
from recency.baselines.oracle import Oracle
from recency.data.log import TIME, Log
from recency.data.synthetic import cycle, shop
from recency.errors import ConfigError, DataError, NotFittedError
from recency.evaluation.evaluate import evaluate
from recency.evaluation.protocol import Questions, Recommender
from recency.evaluation.questions import questions_of

START = 1_767_225_600_000_000  # 2026-01-01T00:00Z
HOUR = 3_600_000_000
NEVER = -1e29


def log_of(text: str, start: int = START, step: int = HOUR) -> Log:
    """Make a log of ``user item hour``, parted by commas."""
    rows = [line.split() for line in text.split(",")]
    times = [start + round(float(hour) * step) for _, _, hour in rows]
    return Log.from_frame(
        pl.DataFrame(
            {
                "user_id": [user for user, _, _ in rows],
                "item_id": [item for _, item, _ in rows],
                "timestamp": pl.Series(times).cast(TIME),
            }
        )
    )


def answers(model: Recommender, questions: Questions) -> np.ndarray:
    """Collect the blocks in the order of the questions."""
    scores = np.full((len(questions), len(questions.items)), np.nan, np.float32)
    for index, block in model.answer(questions):
        scores[index] = block
    return scores


def best(scores: np.ndarray, questions: Questions) -> list[str]:
    """Write each question's items, best first, as one word."""
    order = np.argsort(-scores, axis=1, kind="stable")
    return ["".join(map(str, questions.items.take(row))) for row in order]


def after(train: Log, text: str) -> Questions:
    """Ask about events that follow a log; hours count on from its start."""
    return questions_of(Log(log_of(text, train.start).events, past=train), "rolling")


MAKERS: dict[str, Callable[[], Recommender]] = {
    "popularity": Popularity,
    "decayed-popularity": DecayedPopularity,
    "live-popularity": LivePopularity,
    "recent-items": RecentItems,
    "markov": Markov,
    "item-neighbours": ItemNeighbours,
    "matrix-factorisation": MatrixFactorisation,
}


@pytest.mark.parametrize("name", MAKERS)
def test_nothing_answers_before_fit(name: str) -> None:
    model = MAKERS[name]()
    asked = after(log_of("u a 0, u b 1"), "u a 2")
    assert model.name == name and isinstance(model, Recommender)
    with pytest.raises(NotFittedError, match=rf"{name} has .*; call fit\(log\) first\."):
        next(model.answer(asked))


def test_the_usual_baselines_know_whether_repeats_count() -> None:
    names = [one.name for one in default_baselines()]
    assert names == list(MAKERS)[:-1]
    tuned = [one for one in default_baselines(repeats=False) if hasattr(one, "repeats")]
    assert len(tuned) == 3 and not any(one.repeats for one in tuned)


# --- popularity ----------------------------------------------------------------------------------


def test_popularity_counts_training_events() -> None:
    train = log_of("u a 0, v b 1, w b 2, u c 3, v c 4, w c 5")
    asked = after(train, "x a 6, x d 7, x a 8")
    scores = answers(Popularity().fit(train), asked)
    assert scores.tolist() == [[1, 2, 3, 0]] * 3  # the new item d and new events count nothing


def test_decayed_popularity_by_hand() -> None:
    """At hour 1, three events of hour 0 weigh 3/2 with a half-life of an hour, b's two weigh 2."""
    train = log_of("u a 0, v a 0, w a 0, u b 1, v b 1")
    asked = after(train, "u a 5, u c 6")
    for half_life in ("1h", 3_600, 3_600.0):
        model = DecayedPopularity(half_life).fit(train)
        scores = answers(model, asked)
        assert model.seconds == 3_600
        assert scores[0, 1] - scores[0, 0] == pytest.approx(np.log2(2 / 1.5), abs=1e-5)
        assert (scores[0] == scores[1]).all() and scores[0, 2] < NEVER
    slow = answers(DecayedPopularity("10h").fit(train), asked)
    assert slow[0, 0] - slow[0, 1] == pytest.approx(np.log2(3 * 2**-0.1 / 2), abs=1e-5)


def test_live_popularity_moves_with_the_world_and_stops_before_the_question() -> None:
    train = log_of("u a 0, v a 0, w b 0")
    asked = after(train, "x b 1, y b 1, x b 2, y c 2, x a 3")
    scores = answers(LivePopularity("1h").fit(train), asked)
    a, b, c = scores.T
    assert (a - b)[:2] == pytest.approx([1, 1])  # 2 to 1; the two events at hour 1 are not seen
    assert (b - a)[2:4] == pytest.approx([np.log2((1 / 4 + 2 / 2) / (2 / 4))] * 2, abs=1e-5)
    assert (c[:4] < NEVER).all()
    assert c[4] - a[4] == pytest.approx(np.log2((1 / 2) / (2 / 8)), abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.floats(0, 120)), min_size=3, max_size=30),
    st.sampled_from([START, -3 * 365 * 24 * HOUR]),  # years before 1970 too
    st.integers(1, 4),
)
def test_live_popularity_is_a_decayed_count_of_what_came_before(
    events: list[tuple[int, float]], start: int, block: int
) -> None:
    text = ", ".join(f"u{item % 2} i{item} {hour * 8:.3f}" for item, hour in events)
    log = log_of("u0 i0 0, " + text, start, HOUR)
    first = log.start + 1
    if not len(log.since(first)):
        return
    asked = questions_of(log.since(first), "rolling")
    model = LivePopularity("1h")
    model.cut, model.seconds = 0, 3_600.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recency.baselines.popularity.block_length", lambda n_items: block)
        scores = answers(model, asked)
    assert not np.isnan(scores).any()
    for row, stop in zip(scores, asked.world_stop, strict=True):
        ages = (asked.world.times[:stop].max() - asked.world.times[:stop]) / HOUR
        items = asked.world.items[:stop]
        counts = np.bincount(items, np.exp2(-ages), len(asked.items))
        real = counts > 0
        assert (row[~real] < NEVER).all()
        assert row[real] == pytest.approx(np.log2(counts[real]), abs=2e-3)


def test_a_half_life_is_chosen_on_the_newest_training_events(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Every ten hours everybody turns to another of four items: short memories are the best."""
    text = ", ".join(
        f"u{user} i{hour // 10 % 4} {hour + user / 10}" for hour in range(80) for user in range(6)
    )
    for make in (DecayedPopularity, LivePopularity):
        model = make().fit(log_of(text))
        assert model.seconds == 600, make
    steady = ", ".join(f"u{n} {'a' if n % 3 else 'b'} {n}, w{n} c {n + 0.5}" for n in range(0, 200))
    assert LivePopularity().fit(log_of(steady)).seconds > 3_600
    assert not caplog.records
    assert DecayedPopularity().fit(log_of("u a 0, u b 0")).seconds == 7 * 24 * 3_600
    assert "too few events to choose a setting on, so 7d is taken" in caplog.text


@pytest.mark.parametrize("make", [DecayedPopularity, LivePopularity])
def test_an_impossible_half_life(make: type[DecayedPopularity] | type[LivePopularity]) -> None:
    train = log_of("u a 0, u b 1")
    with pytest.raises(ConfigError, match=r"expected a half-life above 0 or 'fit', found 0"):
        make(0).fit(train)
    with pytest.raises(DataError, match=r"expected a duration such as .* found 'soon'"):
        make("soon").fit(train)


# --- what the history says -----------------------------------------------------------------------


def test_recent_items_come_newest_first_then_what_is_popular() -> None:
    train = log_of("u a 0, u b 1, u a 2, v c 3, v c 4, v d 5, w d 6, w d 7")
    asked = after(train, "u e 8, v a 9, x a 10, u a 11")
    scores = answers(RecentItems().fit(train), asked)
    # u took a last, then b; below stand d (3 events), c (2), and e that training never saw.
    assert best(scores, asked) == ["abdce", "dcabe", "dacbe", "eabdc"]


def test_markov_recovers_a_cycle() -> None:
    log = cycle(20, n_items=3, length=10)
    train, test = log.split_at(log.quantile(0.7))
    report = evaluate(Markov().fit(train), test, k=1, baselines=False, resamples=5)
    assert report.model.metrics["accuracy@1"] == 1
    asked = questions_of(test, "rolling")
    scores = answers(Markov().fit(train), asked)
    names = asked.items.ids.to_list()
    for row, stop in zip(scores, asked.stop, strict=True):
        last = names[asked.histories.items[stop - 1]]
        assert names[row.argmax()] == f"i{(int(last[1:]) + 1) % 3}"


def test_markov_counts_transitions_and_falls_back_to_what_is_popular() -> None:
    train = log_of("u a 0, u b 1, v a 2, v b 3, w a 4, w c 5")
    asked = after(train, "y z 6, y a 7, x a 8, x z 9, x a 10")
    scores = answers(Markov().fit(train), asked)
    shares = np.array([3, 2, 1, 0]) / 6 / 2  # weighed as half a transition
    assert scores[0] == pytest.approx(shares)  # nobody
    assert scores[1] == pytest.approx(shares)  # after z alone, which training never saw
    assert scores[3] == pytest.approx(shares + [0, 2, 1, 0])  # after a
    assert scores[4] == pytest.approx(shares + [0, 2, 1, 0])  # after a, then z: z is passed over


def test_item_neighbours_stay_in_their_group() -> None:
    train = log_of(
        "u a 0, u b 1, v a 2, v b 3, v c 4, w c 5, x k 6, x l 7, y k 8, y l 9, y m 10, z m 11"
    )
    asked = after(train, "p a 20, q k 21, p a 22, q l 23")
    scores = answers(ItemNeighbours(1, own=False).fit(train), asked)
    assert [set(word[:2]) for word in best(scores, asked)[2:]] == [{"b", "c"}, {"l", "m"}]
    prior = 1e-3 * np.array([2, 2, 2, 2, 2, 2]) / 12
    # a and b have the same two takers; of c's two takers, one took a: 1 / √(2 · 2).
    assert scores[2] == pytest.approx(prior + [0, 1, 1 / 2, 0, 0, 0], abs=1e-6)
    own = answers(ItemNeighbours(1, own=True).fit(train), asked)
    assert own[2] == pytest.approx(prior + [1, 1, 1 / 2, 0, 0, 0], abs=1e-6)


def test_item_neighbours_weigh_the_window_by_recency() -> None:
    train = log_of("u a 0, u b 1, x k 2, x l 3")
    asked = after(train, "p a 10, p k 11, p b 12")
    prior = 1e-3 / 4
    for window, expected in ((1, [0, 0, 0, 1]), (2, [0, 1 / 2, 0, 1]), (9, [0, 1 / 2, 0, 1])):
        scores = answers(ItemNeighbours(window, own=False).fit(train), asked)
        assert scores[2] - prior == pytest.approx(expected, abs=1e-6)


def test_item_neighbours_choose_by_what_counts() -> None:
    """Everybody takes one item again and again: as repeats, it is its own best neighbour."""
    text = ", ".join(f"u{n % 10} i{n % 10} {n}" for n in range(200))
    model = ItemNeighbours().fit(log_of(text))
    assert model._chosen[1] is True
    for window in (0, -1, True, 1.5, "all"):
        with pytest.raises(ConfigError, match=r"expected window of at least 1 or 'fit', found"):
            ItemNeighbours(window)  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize(
    ("make", "expected"),
    [(Markov, [0.2, 0.1]), (lambda: ItemNeighbours(1, own=False), [0.4e-3, 0.2e-3])],
)
def test_what_training_knows_and_nobody_asks_about_is_passed_over(
    make: Callable[[], Recommender], expected: list[float]
) -> None:
    """Training knows that z follows a; where only a and b are asked about, b must not get it."""
    model = make().fit(log_of("u a 0, u z 1, v a 2, v z 3, w b 4"))
    asked = after(log_of("p a 10, q b 11"), "p b 12")
    assert asked.items.ids.to_list() == ["a", "b"]
    assert answers(model, asked)[0] == pytest.approx(expected)


# --- factors and truth ---------------------------------------------------------------------------


def two_camps() -> Log:
    """Twenty users take four items of one camp or of the other, but each leaves one out."""
    rows = [
        (user, f"{'ab'[user % 2]}{item}", user * 4 + item)
        for user in range(20)
        for item in range(4)
        if item != user // 2 % 4
    ]
    return log_of(", ".join(f"u{user} {item} {hour}" for user, item, hour in rows))


def test_factors_tell_two_camps_apart_and_answer_strangers() -> None:
    pytest.importorskip("implicit")
    train = two_camps()
    asked = after(train, "new a0 100, new new 101, new a1 102, u1 b0 103")
    model = MatrixFactorisation(2, epochs=20).fit(train)
    scores = answers(model, asked)
    names = asked.items.ids.to_list()
    camp = np.array([name[0] for name in names])
    assert scores[2][camp == "a"].min() > scores[2][camp == "b"].max()
    assert scores[3][camp == "b"].min() > scores[3][camp == "a"].max()
    assert (scores[:, names.index("new")] == -np.inf).all()
    assert (scores[0][camp != "n"] == 0).all()  # nobody knows anything of a stranger
    assert (answers(MatrixFactorisation(2, epochs=20).fit(train), asked) == scores).all()
    fewer = after(log_of("p a0 0, q b1 1"), "p b1 2")
    assert answers(model, fewer).shape == (1, 2) and np.isfinite(answers(model, fewer)).all()


def test_factors_without_implicit_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "implicit.cpu.als", None)
    with pytest.raises(ConfigError, match=r"needs the library implicit; .*'recency\[factors\]'"):
        MatrixFactorisation()


def test_the_oracle_is_above_all_and_knows_its_own_shop_only() -> None:
    made = shop(n_users=20, n_items=20, days=20, seed=1)
    log = made.log
    test = log.split_at(log.quantile(0.8))[1]
    report = evaluate(Oracle(made), test, baselines=[Popularity(), RecentItems()], resamples=5)
    ndcg = [one.metrics["ndcg@10"] for one in report.results]
    assert ndcg[0] > max(ndcg[1:])
    stranger = after(log_of("u a 0"), "u a 1")
    with pytest.raises(DataError, match=r"the shop's own log; 1 of 1 are not, such as 'u' at 2026"):
        next(Oracle(made).answer(stranger))
