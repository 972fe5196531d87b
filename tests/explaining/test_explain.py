"""An explanation is what the service gives, taken apart: exact where it says so."""

import json
import math
import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

import recency as rc
from recency.data import synthetic
from recency.data.log import TIME, Log
from recency.errors import ConfigError, DataError, UnknownIdError
from recency.evaluation.protocol import Questions
from recency.evaluation.questions import questions_of
from recency.explaining.heard import Heard
from recency.explaining.listing import explain_list
from recency.explaining.score import score_of
from recency.explaining.what_if import WhatIf
from recency.units import format_instant
from tests.explaining.conftest import mean


def longest(model: rc.SequenceRecommender) -> str:
    """Name the user with most events."""
    return str(model.users.id_of(int(model.live.timelines.histories().lengths.argmax())))


def first_of(model: rc.SequenceRecommender, user: str) -> str:
    return str(model.recommend([user], 1).items[0][0])


def next_question(model: rc.SequenceRecommender, user: str, at: int) -> Questions:
    """Ask as `recency.evaluate` does about a user's next event."""
    past = [model.history(one).with_columns(user_id=pl.lit(one)) for one in model.users.ids]
    columns = ["user_id", "item_id", "timestamp", "event_type"]
    known = pl.concat(past).select(columns)
    coming = known.head(1).with_columns(user_id=pl.lit(user), timestamp=pl.lit(at).cast(TIME))
    whole = Log.from_frame(pl.concat([known, coming]))
    return questions_of(whole.split_at(at)[1], "rolling")


def test_score_rank_and_list_are_those_of_the_service(shop):
    user = longest(shop)
    found = shop.recommend([user], 10)
    told = rc.explain(shop, user, found.items[0][3])
    assert told.items == found.items[0]
    assert told.rank == 4 and told.score == pytest.approx(found.scores[0][3], abs=1e-5)
    assert told.chance == pytest.approx(math.exp(told.score), rel=1e-4)
    assert told.model_version == shop.model_version


def test_leaving_an_event_out_is_asking_somebody_who_never_had_it(shop):
    user = longest(shop)
    item = first_of(shop, user)
    told = rc.explain(shop, user, item)
    history = shop.history(user).tail(6).to_dicts()
    known = {"item_id", "timestamp", "event_type", "value"}
    history = [{k: v for k, v in one.items() if k in known} for one in history]
    told = rc.explain_after(shop, history, item, told.at, method="leave_one_out")
    row = shop.items.row(item)
    for ago in (1, 3, 6):
        rest = [one for place, one in enumerate(history) if place != 6 - ago]
        scores = shop.live.scores_after(shop.live.histories_of(rest), told.at)[0][0]
        found = told.events.filter(ago=ago)["contribution"].item()
        assert found == pytest.approx(told.score - float(scores[row]), abs=1e-4)
        assert (
            told.events.filter(ago=ago)["rank_without"].item() == 1 + (scores > scores[row]).sum()
        )


def test_a_window_changes_nothing_but_what_is_looked_at(shop):
    """The encoder reads what lies before the window once; answers are the same."""
    user = longest(shop)
    item = first_of(shop, user)
    whole = rc.explain(shop, user, item, method="leave_one_out", window=500)
    few = rc.explain(shop, user, item, method="leave_one_out", window=4)
    assert whole.older is None and few.older is not None
    assert few.score == whole.score and few.events.height == 4
    np.testing.assert_allclose(
        few.events["contribution"], whole.events["contribution"][:4], atol=1e-4
    )


def test_the_voices_make_up_the_whole_chance(shop):
    user = longest(shop)
    item = first_of(shop, user)
    told = rc.explain(shop, user, item)
    assert told.voices is not None and sum(told.voices.values()) == pytest.approx(1)
    own = told.voices["own"]
    pair = sum(share for name, share in told.voices.items() if name.startswith("pair"))
    assert told.events["own"].sum() == pytest.approx(own, abs=1e-9)
    assert told.events["pair"].sum() == pytest.approx(pair, abs=1e-9)
    newest = shop.history(user)["item_id"][-1]
    told = rc.explain(shop, user, newest)
    theirs = told.events.filter(item_id=newest)["own"].sum()
    assert theirs == pytest.approx(told.events["own"].sum()) and theirs > 0


def test_the_shares_are_of_the_mixture_that_is_served(shop):
    user = longest(shop)
    row = shop.users.rows([user])
    asked = WhatIf(shop.live, shop.live.seen(row, shop.live.now), shop.live.now, 50)
    heard = Heard.of(asked, shop.live)
    logs = asked.logs(asked.all)[0]
    shares = heard.shares(np.arange(len(logs)))
    assert shares is not None
    mixed = shares.mixed
    own = np.isin(np.arange(len(logs)), heard.own_items)
    for part in (own, ~own):  # each is scaled as a whole
        scale = np.exp(logs[part]) / mixed[part]
        np.testing.assert_allclose(scale, scale[0], rtol=1e-4)


def test_the_score_that_gradients_are_taken_of_is_the_score(shop):
    user = longest(shop)
    now = shop.live.now
    asked = WhatIf(shop.live, shop.live.seen(shop.users.rows([user]), now), now, 50)
    heard = Heard.of(asked, shop.live)
    logs = asked.logs(asked.all)[0]
    for item in (int(heard.own_items[0]), int(np.setdiff1d(np.arange(20), heard.own_items)[0])):
        with torch.no_grad():
            found = float(score_of(heard, item)(heard.query))
        assert found == pytest.approx(logs[item], abs=1e-4)


def test_gradients_agree_with_leaving_out(shop):
    users = [one for one in shop.users.ids.to_list() if len(shop.history(one)) >= 8][:8]
    from recency.explaining.faithfulness import faithfulness

    found = faithfulness(shop, users, methods=("gradients",))
    assert mean(found.filter(order="gradients")["rank_correlation"]) >= 0.8


def test_what_happens_at_or_after_the_question_is_not_looked_at(shop):
    user = longest(shop)
    stamps = shop.history(user)["timestamp"]
    at = stamps[len(stamps) // 2]
    told = rc.explain(shop, user, first_of(shop, user), at)
    assert told.events["timestamp"].max() < at
    assert told.items == shop.recommend([user], 10, at=at).items[0]


def test_asked_right_after_the_newest_event(shop):
    user = longest(shop)
    item = first_of(shop, user)
    last = int(shop.history(user)["timestamp"].dt.timestamp("us").max())
    told = rc.explain(shop, user, item, last + 30 * 86_400_000_000)
    right_after = told.time[0]
    assert told.uses_instant and right_after.what == "Asked right after the newest event"
    assert right_after.chance != pytest.approx(told.chance, rel=1e-6)
    here = rc.explain(shop, user, item, last + 1)
    assert here.time[0].chance == pytest.approx(here.chance)


def test_a_counterfactual_is_the_list_without_the_events(shop):
    user = longest(shop)
    told = rc.explain(shop, user, first_of(shop, user), without=[1, 2], k=5)
    history = shop.live.seen(shop.users.rows([user]), told.at)
    cut = history.cut(history.offsets[1:] - 2)
    scores = shop.live.scores_after(cut, told.at)[0][0]
    best = shop.items.take(np.argsort(-scores, kind="stable")[:5])
    assert told.without is not None and told.without.items == best
    assert told.without.what == "Without the events 1, 2 ago"


def test_somebody_without_events_is_told_what_is_popular(shop):
    told = rc.explain_after(shop, [], first_of(shop, longest(shop)))
    assert told.events.is_empty() and told.voices is None and told.time == []
    assert told.sentences()[-1] == "There are no events before; the answer is what is popular."
    assert json.loads(told.to_json())["events"] == []


def test_a_list_is_explained_as_each_of_its_items_is(shop):
    user = longest(shop)
    found = shop.recommend([user], 4)
    history = shop.live.seen(shop.users.rows([user]), found.at)
    told = explain_list(shop, history, found.items[0], found.at, window=50)
    for one, item in zip(told, found.items[0], strict=True):
        alone = rc.explain(shop, user, item, method="leave_one_out")
        best = alone.to_frame().head(3).filter(pl.col("contribution") >= 0.01)
        assert [event["ago"] for event in one["events"]] == best["ago"].to_list()
        assert one["voices"] == pytest.approx(alone.voices)
        assert one["chance"] == pytest.approx(alone.chance)


def test_items_are_left_out_in_turn_unless_told_otherwise(shop):
    user = longest(shop)
    item = first_of(shop, user)
    told, turns = rc.explain(shop, user, item), rc.explain(shop, user, item, method="in_turn")
    assert told.method == "in_turn" and told.events.equals(turns.events)
    every = rc.explain_after(shop, [{"item_id": item, "timestamp": told.at}], item, told.at + 1)
    assert every.method == "in_turn"


def test_an_ensemble_is_explained_by_leaving_out():
    made = synthetic.shop(n_users=30, n_items=24, days=20, seed=1)
    config = rc.TrainConfig(epochs=1, device="cpu")
    models = [
        rc.SequenceRecommender(rc.GRU(dim=8), training=config, seed=seed, fallback_half_life="7d")
        for seed in (0, 1)
    ]
    both = rc.Ensemble(models).fit(made.log)
    user = str(both.users.id_of(0))
    item = both.recommend([user], 1).items[0][0]
    told = rc.explain(both, user, item)
    assert told.rank == 1 and told.voices is None
    assert told.events["contribution"].is_not_null().all()
    with pytest.raises(ConfigError, match="expected one model, found an ensemble"):
        rc.explain(both, user, item, method="gradients")


def test_sentences_hold_facts_and_titles(shop):
    user = longest(shop)
    told = rc.explain(shop, user, first_of(shop, user), without=[1])
    said = told.sentences()
    assert told.title is not None and said[0].startswith(f"“{told.title}” stands at place 1 for")
    assert format_instant(told.at) in said[0]
    titles = set(shop.catalogue.frame["title"])
    for sentence in said:
        for part in sentence.split("“")[1:]:
            assert part.split("”")[0] in titles
    assert any(sentence.startswith("Without the event 1 ago") for sentence in said)
    assert str(told) == "\n".join(said)


def test_it_goes_into_a_frame_json_and_a_picture(shop, tmp_path):
    user = longest(shop)
    told = rc.explain(shop, user, first_of(shop, user), method="leave_one_out")
    frame = told.to_frame()
    assert frame["contribution"].is_sorted(descending=True) and frame["turn"].is_sorted()
    facts = json.loads(told.to_json())
    assert facts["events"][0]["ago"] == 1 and facts["at"] == format_instant(told.at)
    assert facts["sentences"] == told.sentences()
    told.plot(tmp_path / "why.png")
    assert (tmp_path / "why.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ConfigError, match=r"expected a picture ending in \.png"):
        told.plot(tmp_path / "why.gif")


def test_all_that_is_wrong_is_said_together(shop):
    user = longest(shop)
    item = first_of(shop, user)
    with pytest.raises(ConfigError) as caught:
        rc.explain(shop, user, item, without=[0, 10_000], method="guess", k=0)  # type: ignore[arg-type]  # wrong on purpose
    for part in (
        "method: expected one of 'leave_one_out', 'in_turn', 'gradients'",
        "without: expected numbers of events ago from 1 (the newest)",
        "k: expected 1 or more, found 0.",
    ):
        assert part in str(caught.value)
    with pytest.raises(ConfigError, match="window: expected 1 event or more, found 0"):
        rc.explain(shop, user, item, window=0)
    with pytest.raises(UnknownIdError, match="never seen"):
        rc.explain(shop, "nobody", item)
    with pytest.raises(UnknownIdError, match="never seen"):
        rc.explain(shop, user, "nothing")


def test_without_captum_it_is_said_how_to_get_it(shop, monkeypatch):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    user = longest(shop)
    with pytest.raises(ConfigError, match=r"pip install 'recency\[explain\]'"):
        rc.explain(shop, user, first_of(shop, user), method="integrated_gradients")


def test_questions_of_few_events_cannot_be_judged(shop):
    from recency.explaining.faithfulness import faithfulness

    user = longest(shop)
    with pytest.raises(DataError, match="expected questions with 5 events or more, found none"):
        faithfulness(shop, [user], at=shop.history(user)["timestamp"][0])


def test_what_is_left_of_a_memory_follows_from_its_half_lives(shop):
    user = longest(shop)
    last = int(shop.history(user)["timestamp"].dt.timestamp("us").max())
    found = rc.memory_left(shop, user, last + 86_400_000_000)
    assert found["wait_seconds"].unique().to_list() == [86_400.0]
    for row, bank in zip(found.iter_rows(named=True), shop.half_lives(), strict=True):
        assert (row["block"], row["bank"]) == (bank.block, bank.bank)
        assert row["left"] == pytest.approx(float(np.mean(0.5 ** (86_400 / bank.seconds))))
    short = mean(found.filter(bank="short")["left"])
    assert short < mean(found.filter(bank="long")["left"]) < 1
    with pytest.raises(DataError, match="expected an event before the instant"):
        rc.memory_left(shop, user, shop.history(user)["timestamp"][0])


def test_lists_of_new_items_are_mixed_told_and_judged_alike(shop, monkeypatch):
    """Another lift for new items: lists, scores of all, evaluation and explanation follow it."""
    experts, user, at = shop.live.model.experts, longest(shop), shop.live.now
    lift = torch.zeros_like(experts.lift)
    lift[0, 0], lift[1, 0] = -3.0, 3.0  # of the encoder
    monkeypatch.setitem(experts._buffers, "lift", lift)
    row = shop.users.rows([user])
    history = shop.live.seen(row, at)
    lists = {}
    asked = next_question(shop, user, at)
    for repeats in (False, True):
        found = shop.recommend([user], 5, at=at, repeats=repeats)
        lists[repeats] = found.items[0]
        scores, _ = shop.live.scores(row, at, repeats)
        if not repeats:
            scores[0, history.items] = -np.inf
        best = np.argsort(-scores[0], kind="stable")[:5]
        assert shop.items.take(best) == found.items[0]
        assert scores[0, best] == pytest.approx(found.scores[0], abs=1e-5)
        told = rc.explain(shop, user, found.items[0][0], at, repeats=repeats)
        assert told.score == pytest.approx(found.scores[0][0], abs=1e-5)
        (_, given), *_ = shop.answer(replace(asked, repeats=repeats))
        judged = given[0, asked.items.rows(found.items[0])]
        assert judged == pytest.approx(found.scores[0], abs=1e-4)
        one = explain_list(shop, history, found.items[0][:1], at, repeats=repeats)[0]
        assert one["chance"] == pytest.approx(told.chance, rel=1e-4)
    assert lists[False] != [one for one in lists[True] if one not in set(history.items)]
    assert not set(shop.items.rows(lists[False])) & set(history.items)
