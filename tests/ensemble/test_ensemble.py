"""The ensemble from fit to load: one model to whoever uses it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import recency
from recency.baselines import (
    DecayedPopularity,
    ItemNeighbours,
    LivePopularity,
    Markov,
    Popularity,
    RecentItems,
)
from recency.data.catalogue import Catalogue
from recency.data.log import TIME, Log
from recency.data.prepared import Prepared
from recency.data.synthetic import noise, shop
from recency.ensemble import Ensemble, EnsembleReport
from recency.ensemble.members import BASELINES, Member, labels_of
from recency.ensemble.weighing import halves, newest_slice
from recency.errors import ConfigError, DataError, FormatError, NotFittedError, UnknownIdError
from recency.evaluation.evaluate import evaluate
from recency.evaluation.protocol import Answer, Questions
from recency.evaluation.questions import questions_of
from recency.nn.domains import DomainConfig
from recency.nn.experts import ExpertConfig
from recency.nn.profile import ProfileConfig
from recency.nn.recurrent import GRU, LSTM
from recency.recommender import SequenceRecommender
from recency.training.config import TrainConfig, TrainingStep

START = 1_767_225_600_000_000  # 2026-01-01T00:00Z
TRAINING = TrainConfig(epochs=2, valid_share=0.0, lr=2e-2, tokens=4096, device="cpu")


EXPERTS = ExpertConfig(pair=("30d",), crowd=("1h", "7d"))


def sequence(seed: int = 0, *, experts: bool = True, **settings: Any) -> SequenceRecommender:
    given = {"training": TRAINING, "experts": EXPERTS if experts else None, "seed": seed}
    return SequenceRecommender(GRU(8), **(given | settings))


def four(**settings: Any) -> Ensemble:
    """Two models, one of them an encoder alone, and two baselines."""
    members: list[Member] = [
        sequence(),
        Markov(),
        sequence(1, experts=False),
        ItemNeighbours(3, True),
    ]
    return Ensemble(members, **({"valid_share": 0.2} | settings))


@cache
def logs() -> tuple[Log, Log]:
    log = shop(n_users=30, n_items=15, days=10, seed=3).log
    train, test = log.split_at(log.quantile(0.85))
    return train, test


@cache
def fitted(fusion: str = "scores") -> Ensemble:
    """An ensemble that nobody changes; those who do load their own."""
    return four(fusion=fusion).fit(logs()[0])


@pytest.fixture(params=["scores", "ranks"])
def one(request: pytest.FixtureRequest) -> Ensemble:
    return fitted(request.param)


@pytest.fixture
def own(one: Ensemble, tmp_path: Path) -> Ensemble:
    one.save(tmp_path / "model")
    return Ensemble.load(tmp_path / "model")


def everything(model: Ensemble) -> np.ndarray:
    return model.score(model.users.ids.to_list(), model.items.ids.to_list())


def answered(model: Ensemble, asked: Questions) -> np.ndarray:
    scores = np.full((len(asked), len(asked.items)), np.nan, np.float32)
    for index, block in model.answer(asked):
        scores[index] = block
    return scores


# --- learning ------------------------------------------------------------------------------------


def test_it_learns_weights_and_tells_gain_and_cost(one: Ensemble) -> None:
    report = one.report
    judged = report.judgement
    assert judged is not None and judged.n_judged >= 20 and judged.n_learned >= 20
    weights = [member.weight for member in report.members]
    assert sum(weights) == pytest.approx(1) and min(weights) >= 0
    assert [member.name for member in report.members] == [
        "gru, seed 0", "markov", "gru, seed 1", "item-neighbours",
    ]  # fmt: skip
    assert judged.best == int(np.argmax(judged.members)) and 0 < max(judged.members) <= 1
    assert judged.gain == judged.mixture - max(judged.members)
    assert judged.interval[0] <= judged.gain <= judged.interval[1]
    assert [member.n_parameters is None for member in report.members] == [False, True, False, True]
    fits = sum(member.fit_seconds for member in report.members)
    assert report.seconds > fits > 0 and min(judged.answer_ms) > 0
    text = str(report)
    assert all(word in text for word in ("weight", "ndcg@10", "parameters", "fit s", "ensemble"))
    assert "best member alone" in text


def test_weights_are_judged_on_targets_that_come_after_those_they_learned_on() -> None:
    train = logs()[0]
    newest = newest_slice(train, 0.2)
    assert not isinstance(newest, str)
    assert newest.older.end <= train.quantile(0.8) <= newest.questions.at.min()
    assert (newest.questions.stop > newest.questions.start).all()
    assert (newest.item < newest.questions.n_warm).all()
    older, newer = halves(newest)
    assert older.questions.at.max() < newer.questions.at.min()
    assert len(older) + len(newer) == len(newest) and abs(len(older) - len(newer)) < 10
    judged = fitted().report.judgement
    assert judged is not None
    assert (judged.n_learned, judged.n_judged) == (len(older), len(newer))
    assert (judged.start, judged.end) == (newer.questions.at.min(), newer.questions.at.max())
    # Each target is still the item of its user's event at its question's instant.
    for part in (older, newer):
        asked = part.questions
        for question, item in zip(part.question[:20], part.item[:20], strict=True):
            stop = asked.stop[question]
            assert asked.histories.times[stop] == asked.at[question]
            assert item in asked.histories.items[stop : stop + 5]


def test_a_member_that_knows_outweighs_one_that_does_not() -> None:
    """Everybody goes round five items: transitions know the next one, popularity nothing."""
    rows = [
        (f"u{user}", "abcde"[(user + step) % 5], START + 3_600_000_000 * step + user)
        for user in range(30)
        for step in range(20)
    ]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    log = Log.from_frame(frame.with_columns(pl.col("timestamp").cast(TIME)))
    training = replace(TRAINING, epochs=1)
    weak = SequenceRecommender(GRU(4), training=training, experts=None)
    found = Ensemble([weak, Markov(), Popularity()]).fit(log).report
    assert [one.weight for one in found.members] == [0, 1, 0]
    judged = found.judgement
    assert judged is not None and judged.members[1] == pytest.approx(1) and judged.best == 1
    assert judged.mixture == pytest.approx(1)
    text = str(found)
    assert "The best member alone, markov, is at least as good as the mixture" in text
    assert "Mixing gains nothing." in text and "so not asked: gru, popularity." in text


def test_members_that_know_different_things_gain_by_being_mixed() -> None:
    """Some walk round fifteen items, which transitions know; some come back to one item of their
    own after each strange one, which their histories know. Nobody knows both."""
    strange = np.random.default_rng(0).integers(0, 40, (30, 24))
    rows = [
        (
            f"u{user}",
            f"c{(user + step) % 15}" if user < 15 else f"own{user}",
            START + 3_600_000_000 * step + user,
        )
        if user < 15 or step % 2
        else (f"u{user}", f"s{strange[user, step]}", START + 3_600_000_000 * step + user)
        for user in range(30)
        for step in range(24)
    ]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    log = Log.from_frame(frame.with_columns(pl.col("timestamp").cast(TIME)))
    weak = SequenceRecommender(GRU(4), training=replace(TRAINING, epochs=1), experts=None)
    found = Ensemble([weak, Markov(), RecentItems()], valid_share=0.25).fit(log)
    judged, text = found.report.judgement, str(found.report)
    assert judged is not None and judged.interval[0] > 0
    assert judged.gain > 0.05 and judged.mixture == judged.members[1] + judged.gain
    assert "Gain over the best member alone, markov: +" in text and "Price: " in text
    assert "luck" not in text
    again = EnsembleReport.from_dict(json.loads(json.dumps(found.report.to_dict())))
    assert again == found.report
    doubtful = replace(found.report, judgement=replace(judged, interval=(-0.1, 0.2)))
    assert "The interval holds 0: on so few targets the gain may be luck." in str(doubtful)


def test_the_weights_kept_are_those_of_the_whole_slice(one: Ensemble) -> None:
    """Members are fitted afresh on everything, as if each had been fitted alone."""
    alone = sequence().fit(logs()[0])
    assert one.models[0].model_version == alone.model_version
    assert one.cut == alone.cut == logs()[0].end


def test_too_small_a_slice_counts_all_the_same_and_says_so() -> None:
    log = noise(n_users=12, n_items=9, n_events=150, days=6, seed=2)
    found = Ensemble([sequence(), Markov()]).fit(log)
    assert found.report.judgement is None
    assert [one.weight for one in found.report.members] == [0.5, 0.5]
    text = str(found.report)
    assert "not judged" in text and "too few to learn weights" in text
    assert "all members count the same" in text


def test_progress_names_the_member_and_why_it_learns() -> None:
    stages: list[str] = []

    def tell(step: TrainingStep) -> None:
        if step.stage not in stages:
            stages.append(step.stage)

    Ensemble([sequence(), sequence(1)], valid_share=0.2).fit(logs()[0], progress=tell)
    assert stages == [
        "gru, seed 0, to weigh: train", "gru, seed 1, to weigh: train",
        "gru, seed 0: train", "gru, seed 1: train",
    ]  # fmt: skip


@pytest.mark.slow
def test_each_fit_has_checkpoints_of_its_own(tmp_path: Path) -> None:
    training = replace(TRAINING, checkpoint_dir=tmp_path)
    members = [sequence(seed, training=training) for seed in (0, 1)]
    found = Ensemble(members, valid_share=0.2).fit(logs()[0])
    places = sorted(one.name for one in tmp_path.iterdir())
    assert places == ["0-all", "0-older", "1-all", "1-older"]
    assert all(one.training.checkpoint_dir == tmp_path for one in found.models)
    plain = Ensemble([sequence(), sequence(1)], valid_share=0.2).fit(logs()[0])
    assert found.model_version == plain.model_version
    again = Ensemble(members, valid_share=0.2).fit(logs()[0])  # goes on where it had ended
    assert again.model_version == found.model_version


@pytest.mark.slow
def test_seeds_count_up_and_repeat() -> None:
    found = Ensemble.of_seeds(sequence(4, request_time="known", experts=False), seeds=3)
    assert [one.seed for one in found.models] == [4, 5, 6]
    assert found.request_time == "known" and all(one.experts is None for one in found.models)
    assert all(one.training is TRAINING for one in found.models)
    versions = [Ensemble.of_seeds(sequence(), 2).fit(logs()[0]).model_version for _ in range(2)]
    assert versions[0] == versions[1]


def test_nothing_after_the_cut_reaches_an_ensemble(one: Ensemble) -> None:
    train, test = logs()
    whole = pl.concat([train.events, test.events])
    late = pl.col("timestamp") >= pl.lit(test.start).cast(TIME)
    dirty = Log.from_frame(
        whole.with_columns(
            item_id=pl.when(late).then(pl.lit("z")).otherwise("item_id"),
            user_id=pl.when(late).then(pl.lit("stranger")).otherwise("user_id"),
        )
    )
    again = four(fusion=one.fusion).fit(dirty.before(test.start))
    assert again.model_version == one.model_version
    assert again._weighed == one._weighed
    assert (everything(again) == everything(one)).all()


# --- answering -----------------------------------------------------------------------------------


def test_it_is_judged_like_any_recommender(one: Ensemble) -> None:
    report = evaluate(one, logs()[1], baselines=[*one.members], resamples=20)
    names = [result.model for result in report.results]
    assert names == ["ensemble", "gru", "markov", "gru (2)", "item-neighbours"]
    assert report.model.request_time == "unknown"


@pytest.mark.parametrize("request_time", ["unknown", "known"])
def test_what_is_served_is_what_was_judged(request_time: Any) -> None:
    """At the instant of a question, an ensemble told of everything gives the judged scores."""
    train, test = logs()
    members = [
        sequence(request_time=request_time),
        sequence(1, experts=False, request_time=request_time),
        *(make() for make in BASELINES.values()),
    ]
    served = Ensemble(members, valid_share=0.2).fit(train)
    mixed = served._weighed
    assert mixed is not None
    # All shall be heard, whatever they are worth.
    served._weighed = replace(mixed, weights=(1 / len(members),) * len(members))
    served._start(served._n_fitted)
    asked = questions_of(test, "rolling")
    judged = answered(served, asked)
    served.observe(test)
    users, items = asked.users.ids.to_list(), asked.items.ids.to_list()
    empty = np.flatnonzero(asked.stop == asked.start)
    assert len(empty)
    for place in [*range(0, len(asked), 9), int(empty[0])]:
        user, at = users[asked.user[place]], int(asked.at[place])
        scores = served.score([user], items, at=at)[0]
        assert scores == pytest.approx(judged[place], abs=1e-5)
        found = served.recommend([user], len(items), at=at)
        assert found.fallback == [place in empty]
        columns = [items.index(item) for item in found.items[0]]
        assert len(columns) == np.isfinite(judged[place]).sum()


def test_a_score_is_the_logarithm_of_a_chance(one: Ensemble) -> None:
    users = one.users.ids.to_list()[:5]
    chances = np.exp(one.score(users, one.items.ids.to_list()))
    assert chances.sum(axis=1) == pytest.approx(np.ones(5), abs=0.02)


def test_a_visit_without_a_name_is_answered_as_its_user(one: Ensemble) -> None:
    user = one.users.id_of(0)
    rows = one.history(user).rows(named=True)
    found, known = one.recommend_after(rows, 5, at=one.live.now), one.recommend([user], 5)
    assert found.items == known.items
    assert found.scores[0] == pytest.approx(known.scores[0], abs=1e-5)
    assert one.recommend_after([], 5).fallback == [True]


def test_strangers_get_what_is_popular_and_filters_hold(one: Ensemble) -> None:
    user, barred = one.users.id_of(0), one.items.id_of(0)
    found = one.recommend([user, "nobody"], 4, exclude=[barred])
    assert found.fallback == [False, True]
    assert all(barred not in items for items in found.items)
    assert found.items[1] == one.models[0].recommend(["nobody"], 4, exclude=[barred]).items[0]
    with pytest.raises(UnknownIdError, match="1 of 1 ids were never seen: 'nobody'"):
        one.recommend(["nobody"], unknown="raise")
    new = one.recommend([user], len(one.items), repeats=False)
    assert not set(new.items[0]) & set(one.history(user)["item_id"])


def test_similar_items_are_the_weighed_mean_of_the_models(one: Ensemble) -> None:
    item = one.items.id_of(1)
    found = one.similar_items(item, 3)
    assert item not in found.items[0] and len(found.items[0]) == 3
    weights = np.array([m.weight for m in one.report.members if m.n_parameters])
    weights = weights / weights.sum() if weights.any() else np.array([0.5, 0.5])
    each = [model.similar_items(item, len(one.items)) for model in one.models]
    for other, score in zip(found.items[0], found.scores[0], strict=True):
        cosines = [line.scores[0][line.items[0].index(other)] for line in each]
        assert score == pytest.approx(float(weights @ cosines), abs=1e-5)
    with pytest.raises(UnknownIdError, match="never seen"):
        one.similar_items("nothing")


# --- events --------------------------------------------------------------------------------------


def test_an_event_observed_is_in_the_next_answer(own: Ensemble) -> None:
    user, items = own.users.id_of(0), own.items.ids.to_list()
    before = own.score([user], items)
    at = own.live.now
    seen = own.observe([{"user_id": user, "item_id": items[3], "timestamp": at}])
    assert (seen.n_events, seen.n_new_users, seen.n_new_items) == (1, 0, 0)
    assert own.history(user)["item_id"].to_list()[-1] == items[3]
    assert not np.allclose(own.score([user], items), before)
    assert np.allclose(own.score([user], items, at=at), before, atol=1e-5)
    # Every model knows it, and knows it once.
    assert {model.live.timelines.n_events for model in own.models} == {len(logs()[0]) + 1}
    assert own.recommend(["fresh"], 1).fallback == [True]
    own.observe([{"user_id": "fresh", "item_id": "brand new", "timestamp": at + 1}])
    assert own.recommend(["fresh"], 1).fallback == [False]
    assert "brand new" in own.items


def test_a_bad_event_is_refused_and_none_is_taken(own: Ensemble) -> None:
    before = everything(own)
    with pytest.raises(DataError, match="event 1: item_id and timestamp missing"):
        own.observe([{"user_id": "u", "item_id": "i", "timestamp": 0}, {"user_id": "u"}])
    assert (everything(own) == before).all()


def test_the_order_of_arrival_changes_nothing(one: Ensemble, tmp_path: Path) -> None:
    one.save(tmp_path / "model")
    forth, back = (Ensemble.load(tmp_path / "model") for _ in range(2))
    user, at = one.users.id_of(0), one.live.now
    rows = [{"user_id": user, "item_id": one.items.id_of(n), "timestamp": at + n} for n in range(5)]
    for row in rows:
        forth.observe([row])
    for row in rows[::-1]:
        back.observe([row])
        back.recommend([user], 3)
    assert np.allclose(everything(forth), everything(back), atol=1e-5)


def test_learning_on_gives_new_items_weights_and_keeps_the_mixture(own: Ensemble) -> None:
    at, version, weights = own.live.now, own.model_version, own._weighed
    users = own.users.ids.to_list()
    rows = [
        {"user_id": users[n % 20], "item_id": f"new {n % 3}", "timestamp": at + n}
        for n in range(60)
    ]
    own.partial_fit(rows)
    assert own.cut == at + 60 and own.model_version != version and own._weighed == weights
    assert all(model.live.n_learned == len(own.items) for model in own.models)
    assert len({id(model.live.timelines) for model in own.models}) == 1
    assert own.live.timelines.n_events == len(logs()[0]) + 60
    assert np.isfinite(own.score(users[:3], ["new 0"])).all() or own.fusion == "ranks"
    before = everything(own)
    assert own.partial_fit([]) is own
    assert (everything(own) == before).all()


# --- keeping -------------------------------------------------------------------------------------


def test_what_is_loaded_answers_bit_by_bit_the_same(one: Ensemble, tmp_path: Path) -> None:
    one.save(tmp_path / "model")
    again = recency.load(tmp_path / "model")
    assert isinstance(again, Ensemble)
    assert (everything(again) == everything(one)).all()
    asked = questions_of(logs()[1], "rolling")
    assert (answered(again, asked) == answered(one, asked)).all()
    assert again.report == one.report and again.model_version == one.model_version
    assert (again.cut, again.fusion, again.valid_share) == (one.cut, one.fusion, one.valid_share)
    again.save(tmp_path / "second")
    twice = Ensemble.load(tmp_path / "second")
    assert (everything(twice) == everything(one)).all()


@pytest.mark.slow
@pytest.mark.parametrize("make", BASELINES.values(), ids=BASELINES)
def test_every_baseline_comes_back_as_it_was(make: Any, tmp_path: Path) -> None:
    train, test = logs()
    baseline = make().fit(train)
    found = Ensemble([sequence(), baseline], valid_share=0.2).fit(train)
    found.save(tmp_path / "model")
    again = Ensemble.load(tmp_path / "model").members[1]
    assert type(again) is make and again.cut == train.end
    asked = questions_of(test, "rolling")
    for (index, block), (other, twin) in zip(
        baseline.answer(asked), again.answer(asked), strict=True
    ):
        assert (index == other).all() and (block == twin).all()
    assert vars(again).keys() == vars(baseline).keys()


def test_a_folder_holds_once_what_all_share(one: Ensemble, tmp_path: Path) -> None:
    one.save(tmp_path / "model")
    parts = sorted(path.name.rpartition("-")[0] for path in (tmp_path / "model").iterdir())
    assert parts == [
        "", "histories", "items", "member-0", "member-1", "member-2", "member-3", "types", "users",
    ]  # fmt: skip
    assert not [path for path in (tmp_path / "model").iterdir() if path.suffix in {".pkl", ".pt"}]


def test_models_of_a_folder_share_what_they_know(own: Ensemble) -> None:
    first, second = own.models
    assert first.live.timelines is second.live.timelines and first.live.vocabs is second.live.vocabs
    twins = Ensemble.of_seeds(sequence(), 2).fit(logs()[0])
    assert twins.models[0].live.recall is twins.models[1].live.recall


def test_a_catalogue_is_kept(tmp_path: Path) -> None:
    made = shop(n_users=20, n_items=12, days=10, seed=1)
    catalogue = Catalogue.from_frame(made.items)
    found = Ensemble([sequence(), Markov()]).fit(made.log, catalogue)
    found.save(tmp_path / "model")
    again = Ensemble.load(tmp_path / "model")
    assert again.catalogue is not None
    ids = found.items.ids.to_list()
    assert again.catalogue.titles(ids) == catalogue.titles(ids)
    category = made.items["categories"][0][0]
    user = found.users.id_of(0)
    asked = [one.recommend([user], 2, categories=[category]) for one in (found, again)]
    assert asked[0] == asked[1] and len(asked[0].items[0])


def test_damage_and_confusion_are_told(one: Ensemble, tmp_path: Path) -> None:
    one.save(tmp_path / "many")
    sequence().fit(logs()[0]).save(tmp_path / "single")
    with pytest.raises(FormatError, match=r"expected one model .* found an ensemble"):
        SequenceRecommender.load(tmp_path / "many")
    with pytest.raises(FormatError, match=r"expected an ensemble .* found one model"):
        Ensemble.load(tmp_path / "single")
    assert isinstance(recency.load(tmp_path / "single"), SequenceRecommender)
    part = next((tmp_path / "many").glob("member-1-*"))
    whole = part.read_bytes()
    part.write_bytes(whole[:-1])
    with pytest.raises(FormatError, match=rf"{part.name} was changed or cut short"):
        recency.load(tmp_path / "many")
    part.write_bytes(whole)
    manifest = tmp_path / "many" / "manifest.json"
    content = json.loads(manifest.read_text())
    del content["content"]["members"][1]["settings"]["cut"]
    content["content"]["members"][1]["baseline"] = "oracle"
    manifest.write_text(json.dumps(content))
    with pytest.raises(FormatError, match="member 1 of the ensemble .* does not fit"):
        recency.load(tmp_path / "many")


class Odd(GRU):
    """An encoder that Recency does not bring."""


def test_an_encoder_of_ones_own_is_passed_to_load(tmp_path: Path) -> None:
    mine = SequenceRecommender(Odd(8), training=TRAINING)
    found = Ensemble([mine, sequence()], valid_share=0.2).fit(logs()[0])
    found.save(tmp_path / "model")
    with pytest.raises(ConfigError, match="odd"):
        recency.load(tmp_path / "model")
    again = recency.load(tmp_path / "model", encoder=Odd(8))
    assert isinstance(again, Ensemble)
    assert (everything(again) == everything(found)).all()


# --- mistakes ------------------------------------------------------------------------------------


class Foreign:
    """Answer the protocol, and nothing else."""

    name = "foreign"

    def fit(self, log: Log) -> "Foreign":
        return self

    def answer(self, questions: Questions) -> Iterator[Answer]:
        yield np.arange(len(questions)), np.zeros((len(questions), len(questions.items)), "f4")


def refused(members: Sequence[Any], **settings: Any) -> str:
    with pytest.raises(ConfigError) as fault:
        Ensemble(members, **settings)
    return str(fault.value)


def test_all_mistakes_of_a_call_come_together() -> None:
    said = refused([Foreign(), LivePopularity()], fusion="votes", valid_share=1)
    assert "member 0, a Foreign, cannot be kept live and saved" in said
    assert "popularity, decayed-popularity, recent-items, markov, item-neighbours" in said
    assert "member 1, a LivePopularity" in said and "ExpertConfig(crowd=(...))" in said
    assert "expected one SequenceRecommender at least" in said
    assert "fusion='votes'" in said and "valid_share=1" in said


def test_members_that_cannot_work_together_are_refused() -> None:
    assert "at least two members, found 1" in refused([sequence()])
    assert "at least two members, found 0" in refused([])
    one = sequence()
    assert "the same object is a member twice" in refused([one, one])
    said = refused([sequence(), sequence(1, request_time="known")])
    assert "request_time 'known' and 'unknown'" in said
    with pytest.raises(ConfigError, match="at least two members, found 1"):
        Ensemble.of_seeds(sequence(), seeds=1)


def test_before_the_fit_everything_says_so(tmp_path: Path) -> None:
    fresh = Ensemble([sequence(), Markov()])
    for ask in (
        lambda: fresh.recommend(["u"]),
        lambda: fresh.report,
        lambda: fresh.save(tmp_path / "x"),
        lambda: list(fresh.answer(questions_of(logs()[1], "rolling"))),
        lambda: fresh.observe([]),
    ):
        with pytest.raises(NotFittedError, match="learned nothing yet"):
            ask()
    assert not (tmp_path / "x").exists()
    with pytest.raises(DataError, match="found an empty one"):
        fresh.fit(logs()[0].before(0))


def test_a_prepared_folder_is_refused() -> None:
    prepared = object.__new__(Prepared)
    with pytest.raises(ConfigError, match=r"expected a log, found a prepared folder"):
        Ensemble([sequence(), Markov()]).fit(prepared)


def test_members_are_told_apart() -> None:
    twins: list[Member] = [
        sequence(),
        sequence(),
        SequenceRecommender(LSTM(8)),
        RecentItems(),
        RecentItems(),
    ]
    assert labels_of(twins) == [
        "gru, seed 0 (1)", "gru, seed 0 (2)", "lstm", "recent-items (1)", "recent-items (2)",
    ]  # fmt: skip
    assert labels_of([DecayedPopularity(), Popularity()]) == ["decayed-popularity", "popularity"]


def test_seeds_differ_in_nothing_else() -> None:
    one = sequence(domains=DomainConfig(rank=2), profiles=ProfileConfig(least=1))
    made = Ensemble.of_seeds(one, 3).models
    assert [model.seed for model in made] == [0, 1, 2]
    assert all(replace(model.recipe, seed=0) == one.recipe for model in made)


def test_domains_of_a_log_can_be_asked_for_and_are_those_of_new_items_too() -> None:
    train, test = logs()
    items = train.events["item_id"].unique().sort()
    books = set(items.head(len(items) // 2))
    named = (
        pl.when(pl.col("item_id").is_in(list(books))).then(pl.lit("book")).otherwise(pl.lit("film"))
    )
    log = Log(train.events.with_columns(domain=named))
    made = Ensemble([sequence(domains=DomainConfig(rank=2)), Markov()], valid_share=0.2).fit(log)
    found = made.recommend([log.events["user_id"][0]], 4, domain="book").items[0]
    assert found and set(found) <= set(books)
    user, instant = test.events["user_id"][0], test.events["timestamp"][0]
    fresh = {"user_id": user, "item_id": "fresh", "timestamp": instant, "domain": "book"}
    made.partial_fit([fresh])
    assert made.catalogue is not None and made.catalogue is made.models[0].catalogue
    assert made.catalogue.describe("fresh")["domain"] == "book"
