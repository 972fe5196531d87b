"""What is searched: every encoder's space is possible, and what a person says goes over it."""

import pytest

import recency as rc
from recency.errors import ConfigError
from recency.nn.encoders import ENCODERS, make_encoder
from recency.tuning.run_file import sections_of
from recency.tuning.spaces import Choice, Range, read_space, space_as_json, space_for
from recency.tuning.tune import _searched


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoder_has_a_space_whose_ends_are_possible(name: str) -> None:
    sections = sections_of(rc.SequenceRecommender(make_encoder(name, {})))
    settled, space = _searched(sections, {})  # raises where an end is refused
    assert settled == sections  # the defaults lie inside: the first trial is they
    assert {"training.lr", "encoder.dim", "inputs.dropout"} <= set(space)
    assert sum(one.startswith("encoder.") for one in space) >= 2


def test_another_encoder_has_none() -> None:
    with pytest.raises(ConfigError, match="expected an encoder of rnn, .* found 'sasrec'"):
        space_for("sasrec")


def test_the_default_space_is_widened_to_hold_the_start() -> None:
    start = rc.SequenceRecommender(rc.GRU(dim=200), training=rc.TrainConfig(lr=0.1))
    sections, space = _searched(sections_of(start), {})
    assert space["training.lr"] == Range(5e-4, 0.1, log=True)
    assert space["encoder.dim"] == Range(32, 200)  # 200 is no step of 32 away from 32
    assert sections["encoder"]["dim"] == 200


def test_what_a_person_says_holds_and_the_start_comes_to_it() -> None:
    sections, space = _searched(
        sections_of(rc.SequenceRecommender(rc.Tide(dim=64))),
        {
            "encoder": {"dim": {"low": 16, "high": 48, "step": 16}, "window": [8, 24]},
            "inputs.dropout": {"low": 0, "high": 0.5},
            "training.lr": 0.01,
        },
    )
    assert space["encoder.dim"] == Range(16, 48, step=16) and sections["encoder"]["dim"] == 48
    assert space["encoder.window"] == Choice((8, 24)) and sections["encoder"]["window"] == 8
    assert "training.lr" not in space and sections["training"]["lr"] == 0.01
    assert not space["inputs.dropout"].whole  # type: ignore[union-attr]  # a range, as given


def test_numbers_are_brought_to_the_nearest_that_is_tried() -> None:
    assert [Range(16, 64, step=16).nearest(value) for value in (1, 30, 41, 99)] == [16, 32, 48, 64]
    assert Range(1, 5).nearest(2.6) == 3 and Range(0.0, 1.0).nearest(2.6) == 1.0
    assert Range(1, 5).nearest("auto") == 1
    assert Choice((True, 1)).nearest(1) == 1 and Choice((True, 1)).nearest(1) is not True


def test_lists_can_be_chosen_among() -> None:
    _, space = _searched(
        sections_of(rc.SequenceRecommender()), {"experts.crowd": [["1h"], ["1d", "7d"]]}
    )
    assert space_as_json(space)["experts.crowd"] == [["1h"], ["1d", "7d"]]


def test_impossible_spaces_are_told_all_together() -> None:
    with pytest.raises(ConfigError) as caught:
        read_space(
            {
                "training": {"lr": {"low": 0.1, "high": 0.01}, "clip": {"high": 3}},
                "encoder.dim": [],
                "inputs.dropout": {"low": 0.0, "high": "much"},
                "encoder.blocks": {"low": 1, "high": 2, "stepp": 1},
                "encoder.window": [8, 8],
                "training.patience": {"low": 1, "high": 4, "step": 2},
                "training.weight_decay": {"low": 0, "high": 0.1, "log": True},
            }
        )
    for said in (
        "8 faults",
        "tune.space training.lr: low=0.1, high=0.01: expected low before high",
        "tune.space training.clip: expected low and high, found no low",
        "tune.space encoder.dim: expected a choice of one value at least",
        "tune.space inputs.dropout: expected numbers, found high = 'much'",
        "tune.space encoder.blocks: unknown key stepp; known: low, high, log, step",
        "tune.space encoder.window: [8, 8]: expected each value once",
        "tune.space training.patience: step=2: expected whole steps from low to high",
        "tune.space training.weight_decay: low=0: expected more than 0 with log = true",
    ):
        assert said in str(caught.value)


def test_unknown_settings_are_named_with_the_nearest_one() -> None:
    sections = sections_of(rc.SequenceRecommender(rc.GRU()))
    with pytest.raises(ConfigError) as caught:
        _searched(sections, {"training.lrr": [1], "encoder.window": [0, 16]})
    assert "tune.space training.lrr: no setting of a gru; did you mean training.lr?" in str(
        caught.value
    )
    assert "tune.space encoder.window: no setting of a gru" in str(caught.value)


def test_impossible_ends_are_told_before_hours_are_spent() -> None:
    sections = sections_of(rc.SequenceRecommender(rc.GRU()))
    with pytest.raises(ConfigError, match=r"inputs.dropout = 1.5: InputConfig\(dropout=1.5\)"):
        _searched(sections, {"inputs.dropout": {"low": 0.1, "high": 1.5}})


def test_a_space_of_nothing_is_refused() -> None:
    sections = sections_of(rc.SequenceRecommender(rc.GRU()))
    fixed = {name: [False] if name == "model.experts" else 0.1 for name in space_for("gru")}
    fixed |= {"encoder.dim": 16, "encoder.layers": 1}
    with pytest.raises(ConfigError, match="every setting is fixed, there is nothing to search"):
        _searched(sections, fixed)
