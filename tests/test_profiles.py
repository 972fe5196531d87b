"""Profiles of users: what a model makes of them, and what stands in where there is nothing else."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import recency as rc
from recency.data.log import TIME, Log
from recency.data.prepared import rows_of
from recency.data.profiles import People, Profiles
from recency.data.user_attributes import Attribute
from recency.data.vocab import Vocab
from recency.errors import ConfigError, DataError, DataWarning
from recency.evaluation.questions import questions_of
from recency.live.shrinkage import best_shrinkage
from recency.nn.encoder import Encoder
from recency.nn.inputs import InputConfig
from recency.nn.profile import ProfileConfig
from recency.online.asking import observe
from recency.online.feed import Description
from recency.recommender import SequenceRecommender
from recency.training.config import TrainConfig

HOUR = 3_600_000_000
START = 1_767_225_600_000_000  # 2026-01-01T00:00Z
COUNTRIES = ("at", "be", "ch")
N_USERS = 60
QUICK = TrainConfig(epochs=15, lr=2e-2, tokens=48, valid_share=0.0)


def country_log(n_users: int = N_USERS, seed: int = 0) -> Log:
    """Everybody opens with the item "hello", then takes items of the own country: at-0 to at-3."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(n_users):
        items = ["hello", *(f"{COUNTRIES[user % 3]}-{one}" for one in rng.integers(0, 4, 3))]
        rows += [(f"u{user}", item, START + user + n * HOUR) for n, item in enumerate(items)]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    return Log.from_frame(frame.with_columns(pl.col("timestamp").cast(TIME)))


def people(n: int = N_USERS + 6) -> pl.DataFrame:
    """Countries and ages of everybody; the last six have no events."""
    return pl.DataFrame(
        {
            "user_id": [f"u{user}" for user in range(n)],
            "country": [COUNTRIES[user % 3] for user in range(n)],
            "age": [20.5 + user % 40 for user in range(n)],
        }
    )


FIXED = ProfileConfig(shrinkage=10.0)


def model_of(config: ProfileConfig | None, encoder: Encoder | None = None) -> SequenceRecommender:
    return SequenceRecommender(
        encoder or rc.GRU(16),
        training=QUICK,
        inputs=InputConfig(dropout=0.0),
        experts=None,
        fallback_half_life="7d",
        profiles=config,
    )


@pytest.fixture(scope="module")
def fitted() -> SequenceRecommender:
    return model_of(FIXED).fit(country_log(), users=people())


@pytest.fixture
def own(fitted: SequenceRecommender, tmp_path: Path) -> SequenceRecommender:
    fitted.save(tmp_path / "model")
    return SequenceRecommender.load(tmp_path / "model")


NEW = [f"u{N_USERS + n}" for n in range(6)]


def hello(model: SequenceRecommender, users: list[str]) -> None:
    now = model.live.now
    model.observe([{"user_id": one, "item_id": "hello", "timestamp": now + HOUR} for one in users])


def test_a_learner_follows_what_is_said_of_users(own):
    hello(own, NEW[:1])
    before = own.recommend(NEW[:1], k=3, exclude=["hello"]).to_frame()
    rows = [Description(1, NEW[0], {"country": "ch", "age": 21, "shoes": 4}),
            Description(2, "nobody yet", {"country": "be"})]  # fmt: skip
    observe(own, rows)
    assert not own.recommend(NEW[:1], k=3, exclude=["hello"]).to_frame().equals(before)
    items = own.recommend(["nobody yet"], k=3, exclude=["hello"]).to_frame()["item_id"]
    assert {one[:2] for one in items} == {"be"}


def right(model: SequenceRecommender, users: list[str]) -> float:
    """Give the share of the best three items that are of the users' country."""
    found = model.recommend(users, k=3, exclude=["hello"])
    return float(
        np.mean(
            [
                str(item).startswith(COUNTRIES[n % 3])
                for n, items in enumerate(found.items)
                for item in items
            ]
        )
    )


# --- what it learns ------------------------------------------------------------------------------


def test_a_profile_tells_what_a_first_event_does_not(own: SequenceRecommender) -> None:
    hello(own, NEW)
    assert not any(own.recommend(NEW).fallback)
    assert right(own, NEW) == 1.0


def test_a_fit_that_fails_leaves_what_was_learned(own: SequenceRecommender, tmp_path: Path) -> None:
    known, told = own.known_profiles, own.recommend(NEW)
    with pytest.raises(ConfigError, match="found no table of users"):
        own.fit(country_log())
    assert known is not None and own.known_profiles is known
    assert own.recommend(NEW) == told
    own.save(tmp_path / "again")
    assert SequenceRecommender.load(tmp_path / "again").recommend(NEW) == told


def test_without_profiles_a_first_event_tells_nothing() -> None:
    model = model_of(None).fit(country_log())
    hello(model, NEW)
    assert right(model, NEW) < 0.6


def test_who_has_no_history_gets_what_is_popular_in_the_segment(own: SequenceRecommender) -> None:
    found = own.recommend(NEW, k=4)
    assert all(found.fallback)
    assert right(own, NEW) == 1.0
    stranger = own.recommend(["nobody"], k=1)
    assert stranger.items == [["hello"]] and stranger.fallback == [True]


def test_segments_move_with_events(own: SequenceRecommender) -> None:
    now = own.live.now
    rows = [
        {"user_id": f"u{3 * n}", "item_id": "at-new", "timestamp": now + n} for n in range(20)
    ] * 3
    own.observe(rows)
    found = own.recommend([NEW[0], NEW[1]], k=9, exclude=["hello"])
    assert found.items[0][0] == "at-new" and found.items[1][0] != "at-new"
    past = own.recommend([NEW[0]], k=9, at=now, exclude=["hello"])
    assert "at-new" not in past.items[0]


def test_a_profile_of_somebody_without_events_counts_nothing_anew(own: SequenceRecommender) -> None:
    counted, known = own.live.segments, own.history("u0")
    own.describe_users(pl.DataFrame({"user_id": ["newcomer"], "country": ["at"]}))
    assert own.live.segments is counted
    own.describe_users(pl.DataFrame({"user_id": ["u0"], "country": ["de"]}))
    assert known.height and own.live.segments is not counted


# --- parity --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encoder", [rc.GRU(8), rc.Tide(8), rc.Transformer(8), rc.TimeLSTM(8), rc.LSTMAttention(8)]
)
def test_steps_equal_reading_at_once(encoder: Encoder) -> None:
    model = model_of(ProfileConfig(least=2), encoder)
    model.training = TrainConfig(epochs=1, tokens=512, valid_share=0.0)
    log = country_log(12)
    train, test = log.split_at(START + 2 * HOUR)
    model.fit(train, users=people(12))
    test = Log(test.events, train)
    questions = questions_of(test, "rolling")
    offline = np.full((len(questions), len(questions.items)), np.nan, np.float32)
    for index, scores in model.answer(questions):
        offline[index] = scores
    known = model.items.rows(questions.items.ids)
    for place, at in enumerate(questions.at.tolist()):
        user = questions.users.id_of(int(questions.user[place]))
        row = model.users.rows([user])
        live = model.live.scores(row, int(at))[0][0]  # through the state, event by event
        np.testing.assert_allclose(
            live[known[known >= 0]], offline[place][known >= 0], atol=1e-5, rtol=0
        )
        if place + 1 < len(test):
            model.observe(Log(test.events.slice(place, 1)))


def test_a_folder_gives_the_same_answers(
    fitted: SequenceRecommender, own: SequenceRecommender
) -> None:
    users = ["u0", "u1", *NEW, "nobody"]
    assert fitted.profiles is not None and own.profiles is not None
    assert own.profiles.columns == fitted.profiles.columns and own.profiles.least == 5
    assert own.recommend(users) == fitted.recommend(users)
    hello(own, NEW)
    assert right(own, NEW) == 1.0


def test_an_evaluation_reads_profiles_and_segments() -> None:
    train, test = country_log().split_at(START + HOUR)
    model = model_of(FIXED).fit(Log(country_log(30).events), users=people())
    questions = questions_of(Log(test.events, train), "rolling")
    for _, scores in model.answer(questions):
        assert np.isfinite(scores[:, 0]).all()


def test_learning_on_keeps_profiles(own: SequenceRecommender) -> None:
    now = own.live.now
    own.partial_fit(
        [{"user_id": NEW[0], "item_id": "hello", "timestamp": now + n * HOUR} for n in (1, 2)]
    )
    hello(own, NEW[1:])
    assert right(own, NEW) > 0.8


def test_erasing_a_user_erases_the_profile(own: SequenceRecommender) -> None:
    hello(own, NEW[:1])
    own.erase_user(NEW[0])
    assert own.known_profiles is not None
    assert NEW[0] not in own.known_profiles.users
    assert own.recommend([NEW[0]], k=1).items == [["hello"]]


# --- codes ---------------------------------------------------------------------------------------


def test_values_of_training_alone_have_codes() -> None:
    frame = pl.DataFrame({"user_id": ["a", "b", "c", "d"], "sex": ["f", "m", "f", "x"]})
    found = Profiles.fit(frame, Vocab.from_ids(pl.Series(["a", "b"])), None, least=1)
    assert found.attributes == (Attribute("sex", ("f", "m")),)
    assert found.of(["a", "b", "c", "d", "nobody"])[:, 0].tolist() == [1, 2, 1, 0, 0]


def test_numbers_are_cut_at_quantiles() -> None:
    frame = pl.DataFrame(
        {"user_id": list(range(80)), "age": [float(n) for n in range(79)] + [None]}
    )
    found = Profiles.fit(frame, Vocab.from_ids(frame["user_id"]), None, least=5)
    codes = found.of(frame["user_id"])[:, 0]
    assert codes[-1] == 0 and codes[0] == 1 and codes[78] == 8
    assert np.bincount(codes)[1:].tolist() == pytest.approx([10] * 8, abs=1)


def test_what_is_known_of_people_may_change(own: SequenceRecommender) -> None:
    hello(own, NEW)
    own.describe_users(pl.DataFrame({"user_id": [NEW[0], "later"], "country": ["be", "ch"]}))
    assert str(own.recommend([NEW[0]], k=1, exclude=["hello"]).items[0][0]).startswith("be")
    assert str(own.recommend(["later"], k=1, exclude=["hello"]).items[0][0]).startswith("ch")


# --- bad input -----------------------------------------------------------------------------------


def test_unknown_columns_are_named() -> None:
    with pytest.raises(ConfigError, match="no attribute 'contry'; did you mean 'country'"):
        model_of(ProfileConfig(columns=("contry",))).fit(country_log(), users=people())


def test_columns_that_nothing_can_be_learned_from_are_told() -> None:
    users = people().with_columns(name=pl.col("user_id"))
    with pytest.warns(DataWarning, match="name cannot be learned from.*left out"):
        found = Profiles.fit(users, Vocab.from_ids(users["user_id"]), None, least=5)
    assert [one.name for one in found.attributes] == ["country", "age"]
    with pytest.raises(ConfigError, match="name cannot be learned from"):
        Profiles.fit(users, Vocab.from_ids(users["user_id"]), ("name",), least=5)


def test_settings_and_table_come_together() -> None:
    with pytest.raises(ConfigError, match="found no table of users"):
        model_of(ProfileConfig()).fit(country_log())
    with pytest.raises(ConfigError, match="the model reads no profiles"):
        model_of(None).fit(country_log(), users=people())


def test_ids_of_another_type_are_refused() -> None:
    users = people().with_columns(user_id=pl.int_range(pl.len()))
    with pytest.raises(DataError, match="user_id: expected String as in the log, found Int64"):
        model_of(ProfileConfig()).fit(country_log(), users=users)


def test_impossible_settings_are_named_together() -> None:
    with pytest.raises(ConfigError) as told:
        ProfileConfig(least=0, hidden=1.0, shrinkage=0, columns=("age",), fallback=("sex",))
    for part in ("least=0", "hidden=1.0", "shrinkage=0", "'sex' is not among"):
        assert part in str(told.value)


def test_codes_are_hidden_in_training_only(fitted: SequenceRecommender) -> None:
    profile = fitted.live.model.profile
    assert profile is not None
    codes = torch.ones(50, 2, dtype=torch.long)
    with torch.no_grad():
        assert (profile(codes) == profile(codes)[0]).all()
        profile.train()
        assert not (profile(codes) == profile(codes)[0]).all()
    profile.eval()


# --- the fallback --------------------------------------------------------------------------------


def test_segments_are_trusted_as_far_as_new_users_bear_them_out() -> None:
    rows = []
    rng = np.random.default_rng(1)
    for user in range(400):  # one after the other, so that new ones come to the end
        for n in range(3):
            item = f"{COUNTRIES[user % 3]}-{rng.integers(0, 15)}"
            rows.append((f"u{user}", item, START + user * HOUR + n))
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    log = Log.from_frame(frame.with_columns(pl.col("timestamp").cast(TIME)))
    users = people(400).select("user_id", "country")
    told = chosen(log, users)
    random = users.with_columns(pl.col("country").shuffle(seed=0))
    assert told <= 1_000 < chosen(log, random)


def chosen(log: Log, users: pl.DataFrame) -> float:
    """Choose the shrinkage of a log."""
    vocabs, histories = rows_of(log)
    known = Profiles.fit(users, vocabs.users, ("country",), least=2)
    return best_shrinkage(histories, 30 * 86_400.0, People(known, vocabs.users).of, [0])


def test_too_few_new_users_choose_no_segments() -> None:
    assert chosen(country_log(12), people(12)) == np.inf


def test_no_segments_may_be_chosen_and_kept(tmp_path: Path) -> None:
    model = model_of(ProfileConfig(fallback=())).fit(country_log(), users=people())
    assert model.recommend([NEW[0]], k=1).items == [["hello"]]
    model.save(tmp_path / "model")
    again = SequenceRecommender.load(tmp_path / "model")
    assert again.live.segments is None and again.recommend(NEW) == model.recommend(NEW)
