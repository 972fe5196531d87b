"""What decides is found: logs in which it is known which event tells the next item."""

import numpy as np
import pytest

import recency as rc
from recency.explaining.contributions import METHODS
from tests.explaining.conftest import Locked, mean


@pytest.mark.parametrize("method", METHODS)
def test_the_key_counts_most_wherever_it_lies(locked: Locked, method):
    first = []
    for user, answer in zip(locked.users, locked.answers, strict=True):
        told = rc.explain(locked.model, user, answer, method=method)
        first.append(told.to_frame()["ago"][0])
    right = [a for a in locked.ago if a > 1]
    assert len(right) > 10  # most keys are not the newest event
    assert np.mean(np.array(first) == np.array(locked.ago)) >= 0.9


def test_without_the_key_the_answer_is_no_longer_expected(locked: Locked):
    for user, answer, ago in zip(locked.users, locked.answers, locked.ago, strict=True):
        told = rc.explain(locked.model, user, answer, without=[ago])
        assert told.without is not None
        if told.events.height > 1:
            assert told.chance > 5 * told.without.chance
            assert told.without.rank > told.rank


def test_what_does_not_decide_brings_little(locked: Locked):
    others = []
    for user, answer, ago in zip(locked.users, locked.answers, locked.ago, strict=True):
        events = rc.explain(locked.model, user, answer, method="leave_one_out").events
        others += events.filter(ago=ago)["contribution"].to_list()[:0]
        others += [v for a, v in events.select("ago", "contribution").iter_rows() if a != ago]
    assert np.median(np.abs(others)) < 0.3  # nats


def test_two_equal_keys_hide_each_other_but_not_in_turn(locked: Locked):
    """Either would do, so each counts for little alone; one after the other, the second counts."""
    history = [
        {"item_id": item, "timestamp": f"2026-03-05T0{hour}:00Z"}
        for hour, item in enumerate(["k2", "f1", "k2", "f3"])
    ]
    told = {
        method: dict(
            rc.explain_after(locked.model, history, "a2", method=method)
            .events.select("ago", "contribution")
            .iter_rows()
        )
        for method in ("leave_one_out", "in_turn")
    }
    alone, turns = told["leave_one_out"], told["in_turn"]
    assert alone[2] + alone[4] < 0.5 * (turns[2] + turns[4])
    assert sorted(turns, key=turns.__getitem__)[-1] in (2, 4)


def test_faithful_orders_empty_the_chance_sooner(locked: Locked):
    from recency.explaining.faithfulness import faithfulness

    found = faithfulness(locked.model, locked.users)
    means = {
        order: mean(part["deletion"])
        for (order,), part in found.group_by("order", maintain_order=True)
    }
    assert set(means) == {"leave_one_out", "in_turn", "gradients", "recency", "random"}
    assert means["leave_one_out"] < 0.8 * means["recency"]
    assert means["leave_one_out"] < 0.8 * means["random"]
    assert mean(found.filter(order="gradients")["rank_correlation"]) >= 0.8
    assert found.filter(order="leave_one_out")["rank_correlation"].min() == pytest.approx(1)
    assert found.filter(order="recency")["rank_correlation"].is_null().all()
