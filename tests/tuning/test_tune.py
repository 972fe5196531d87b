"""Tuning for real: small studies with workers, judged by the newest slice and by folds."""

import re
from pathlib import Path

import pytest

import recency as rc
from recency.data.log import Log
from recency.errors import ConfigError, DataError
from recency.tuning.judging import Objective, judge_settings
from recency.tuning.run_file import sections_of

QUICK = {"encoder.dim": [8, 16], "encoder.layers": 1, "training.weight_decay": 0.01}


@pytest.mark.slow
def test_a_study_finds_the_settings_that_it_says(
    log: Log, start: rc.SequenceRecommender, tmp_path: Path
) -> None:
    found = rc.tune(log, start=start, space=QUICK, trials=4, workers=2, prune=False)
    assert found.trials["trial"].to_list() == [1, 2, 3, 4]
    assert found.trials["state"].unique().to_list() == ["complete"]
    first = found.trials.row(0, named=True)
    assert first["training.lr"] == 0.01 and first["encoder.dim"] == 8
    assert found.start == first["ndcg@10"] <= found.value == found.trials["ndcg@10"].max()
    assert set(found.best) == {"encoder.dim", "inputs.dropout", "model.experts", "training.lr"}
    assert found.curves.group_by("trial").len()["len"].to_list() == [2, 2, 2, 2]
    # A fit with the best settings repeats the trial, bit by bit, and then learns everything.
    again = found.recommender().fit(log).training_result
    assert again is not None and again.valid == found.value
    page = found.report(tmp_path / "report.html", title="<shop>").read_text()
    assert "&lt;shop&gt;: gru" in page and f"{found.value:.4f}" in page
    assert 'src="data:' in page and not re.search(r'src=(?!"data:)|href=|@import|url\(', page)


@pytest.mark.slow
def test_a_loss_that_diverges_costs_a_trial_and_no_more(
    log: Log, start: rc.SequenceRecommender
) -> None:
    space = {name: 0.1 for name in ("inputs.dropout", "training.weight_decay")}
    lr = {"training.lr": [0.01, 1e30], "encoder.dim": 8, "encoder.layers": 1}
    found = rc.tune(log, start=start, space={**space, **lr, "model.experts": True}, trials=3)
    lost = found.trials.filter(state="pruned")
    assert lost.height and set(lost["training.lr"]) == {1e30}
    assert lost["why"].str.starts_with("diverged: expected a finite loss").all()
    assert found.best["training.lr"] == 0.01


@pytest.mark.slow
def test_a_folder_goes_on_and_knows_its_log_and_space(
    log: Log, start: rc.SequenceRecommender, tmp_path: Path
) -> None:
    before = rc.tune(log, start=start, space=QUICK, trials=2, folder=tmp_path)
    after = rc.tune(log, start=start, space=QUICK, trials=3, folder=tmp_path)
    assert after.trials.head(2).equals(before.trials)
    assert after.trials.height == 3
    assert not (tmp_path / "events.arrow").exists()
    shorter = log.before(log.quantile(0.9))
    with pytest.raises(ConfigError, match=r"begun with something else: the log differs\."):
        rc.tune(shorter, start=start, space=QUICK, trials=3, folder=tmp_path)
    with pytest.raises(
        ConfigError, match=r"something else: the space, the settings, the objective differ\."
    ):
        more = {**QUICK, "inputs.dropout": [0.1, 0.2]}
        rc.tune(log, start=start, space=more, trials=3, folds=2, folder=tmp_path)


@pytest.mark.slow
def test_folds_are_the_mean_over_windows_that_follow(
    log: Log, start: rc.SequenceRecommender
) -> None:
    start.training = rc.TrainConfig(epochs=1, max_len=32, device="cpu")
    told = list[tuple[int, float]]()
    judged = judge_settings(
        sections_of(start),
        log,
        Objective(2, "3d"),
        lambda step, value: told.append((step, value)),
        lambda: None,
    )
    values = []
    for split in rc.rolling_splits(log, 2, "3d"):
        start.fit(split.train)
        report = rc.evaluate(start, split.test, baselines=False, resamples=2)
        values.append(report.model.metrics["ndcg@10"])
    assert told == [(1, values[0])]
    assert judged.value == sum(values) / 2 and judged.last == (2, judged.value)


@pytest.mark.slow
def test_the_newest_slice_is_judged_after_every_epoch(
    log: Log, start: rc.SequenceRecommender
) -> None:
    start.training = rc.TrainConfig(epochs=3, max_len=32, device="cpu")
    told = list[tuple[int, float]]()
    judged = judge_settings(
        sections_of(start),
        log,
        Objective(),
        lambda step, value: told.append((step, value)),
        lambda: None,
    )
    result = start.fit(log).training_result
    assert result is not None
    search = [(one.epoch, one.valid) for one in result.history if one.stage == "search"]
    assert [*told, judged.last] == search
    assert judged.value == result.valid and judged.epochs == result.epochs


def test_a_slice_too_small_to_judge_by_is_told_at_once(
    tiny_log: Log, start: rc.SequenceRecommender
) -> None:
    with pytest.raises(DataError, match="too few targets to judge trials by; give a longer log"):
        judge_settings(sections_of(start), tiny_log, Objective(), lambda *_: None, lambda: None)


def test_impossible_calls_are_refused_in_words(log: Log, start: rc.SequenceRecommender) -> None:
    with pytest.raises(ConfigError) as caught:
        rc.tune(log, trials=0, workers=True, minutes=0)
    for said in ("3 faults", "trials=0: expected", "workers=True: expected", "minutes=0: expected"):
        assert said in str(caught.value)
    with pytest.raises(ConfigError, match="expected an encoder or start=, found both"):
        rc.tune(log, "gru", start=start)
    with pytest.raises(ConfigError, match="folds=-1: expected a number of test windows"):
        rc.tune(log, folds=-1)
    with pytest.raises(ConfigError, match="expected an encoder of rnn, .*found 'sasrec'"):
        rc.tune(log, "sasrec")
    with pytest.raises(DataError, match="2 windows of 365 d need more than the log's span"):
        rc.tune(log, folds=2, horizon="365d")
    with pytest.raises(DataError, match="expected a log with events, found an empty one"):
        rc.tune(Log(log.events.clear()), "gru")
    start.training = rc.TrainConfig(valid_share=0.0)
    with pytest.raises(ConfigError, match=r"TrainConfig\(valid_share=0\) holds no newest slice"):
        rc.tune(log, start=start)


@pytest.mark.slow
def test_a_prepared_log_is_tuned_where_it_lies(
    log: Log, start: rc.SequenceRecommender, tmp_path: Path
) -> None:
    log.write(tmp_path / "events.parquet")
    prepared = rc.prepare(tmp_path / "events.parquet", tmp_path / "prepared")
    found = rc.tune(prepared, start=start, space=QUICK, trials=1)
    assert found.value == judge(start, log)
    with pytest.raises(ConfigError, match="folds=2: expected a log to cut, found a prepared one"):
        rc.tune(prepared, start=start, space=QUICK, trials=1, folds=2)


def judge(start: rc.SequenceRecommender, log: Log) -> float:
    sections = sections_of(start)
    return judge_settings(sections, log, Objective(), lambda *_: None, lambda: None).value


@pytest.mark.slow
def test_what_ends_every_trial_is_told_as_itself(
    tiny_log: Log, start: rc.SequenceRecommender
) -> None:
    with pytest.raises(DataError, match="too few targets to judge trials by"):
        rc.tune(tiny_log, start=start, space=QUICK, trials=2)


@pytest.mark.slow
def test_a_study_without_a_finished_trial_is_told(log: Log, start: rc.SequenceRecommender) -> None:
    space = {"training.lr": [1e30, 1e31], "encoder.layers": 1}
    with pytest.raises(
        ConfigError, match="none of 1 trials was finished. The first one: diverged: .*narrow"
    ):
        rc.tune(log, start=start, space=space, trials=1)
