"""The search with workers that only pretend: which trials begin, end early, are lost, go on."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

import recency as rc
from recency.errors import ConfigError, DataError, RecencyError
from recency.tuning.crew import Crew, Message
from recency.tuning.judging import Objective
from recency.tuning.run_file import sections_of
from recency.tuning.search import Plan, Search, TuningStep
from recency.tuning.spaces import Range, Space
from recency.tuning.study import Study, open_storage

SPACE: Space = {
    "training.lr": Range(1e-4, 1e-1, log=True),
    "inputs.dropout": Range(0.0, 0.9),
    "encoder.dim": Range(8, 64, step=8),
}
Play = Callable[[int, Message], Iterator[Message | None]]  # what a worker says of a trial


class Actor:
    """A worker that plays a part; its trials are numbered by all actors together."""

    def __init__(self, troupe: "Troupe") -> None:
        self.trial: Any = None
        self.troupe = troupe
        self.lines: Iterator[Message | None] = iter(())

    def say(self, **message: Any) -> None:
        if "sections" in message:
            self.lines = self.troupe.play(len(self.troupe.begun), message["sections"])
            self.troupe.begun.append(message["sections"])
        if message.get("go") is False:
            self.lines = iter([{"kind": "stopped"}])
        self.troupe.told.append((self, next(self.lines)))

    def last_words(self) -> str:
        return "the process of the trial ended with signal 9."


class Troupe:
    """Workers that play, in the place of a crew."""

    def __init__(self, play: Play, size: int = 1) -> None:
        self.play, self.begun = play, list[Message]()
        self.told = deque[tuple[Actor, Message | None]]()
        for _ in range(size):
            self.hire()

    def hire(self) -> None:
        self.told.append((Actor(self), {"kind": "ready"}))

    def next(self) -> tuple[Actor, Message | None]:
        return self.told.popleft()

    def dismiss(self, member: Actor) -> None:
        pass


def good(number: int, sections: Message) -> Iterator[Message | None]:
    """Three epochs, the better the nearer the learning rate is to 0.01."""
    value = 1 / (1 + abs(sections["training"]["lr"] - 0.01))
    yield {"kind": "step", "step": 1, "value": value / 3}
    yield {"kind": "step", "step": 2, "value": value / 2}
    yield {"kind": "done", "value": value, "epochs": 3, "last": (3, value)}


@contextmanager
def opened(folder: Path | None = None, prune_from: int | None = None) -> Iterator[Study]:
    with open_storage(folder, {"log": "x"}, prune_from) as study:
        sections = sections_of(rc.SequenceRecommender(rc.GRU(dim=16)))
        yield Study(study, SPACE, sections)


def search(
    study: Study, troupe: Troupe, trials: int, minutes: float | None = None, **more: Any
) -> Search:
    sections = sections_of(rc.SequenceRecommender(rc.GRU(dim=16)))
    plan = Plan(sections, SPACE, Objective(), trials, minutes, 1)
    return Search(study, cast(Crew, troupe), plan, **more)


def drawn(study: Study) -> list[dict[str, Any]]:
    return [one.params for one in study.finished()]


def test_the_first_trial_is_the_start_and_all_are_told() -> None:
    steps = list[TuningStep]()
    with opened() as study:
        troupe = Troupe(good, size=2)
        search(study, troupe, 5, progress=steps.append).run()
        assert len(study.finished()) == len(troupe.begun) == 5
        first = study.finished()[0]
        assert first.params == {"training.lr": 3e-3, "inputs.dropout": 0.3, "encoder.dim": 16}
        assert troupe.begun[0] == sections_of(rc.SequenceRecommender(rc.GRU(dim=16)))
        assert first.intermediate_values.keys() == {1, 2, 3}
        best = study.best()
        assert best is not None and best.value == max(one.value for one in study.finished())  # type: ignore[type-var]  # all are complete
    assert steps[-1].done == 5 and steps[-1].running == 0 and steps[-1].best == best.value
    assert max(one.running for one in steps) == 2


def test_a_trial_worse_than_the_median_ends_early() -> None:
    def play(number: int, sections: Message) -> Iterator[Message | None]:
        value = 0.5 if number < 4 else 0.1
        yield {"kind": "step", "step": 1, "value": value}
        yield {"kind": "step", "step": 2, "value": value}
        assert value == 0.5, "went on although it was worse"
        yield {"kind": "done", "value": value, "epochs": 2, "last": (3, value)}

    with opened(prune_from=2) as study:
        search(study, Troupe(play), 6).run()
        states = [one.state.name for one in study.finished()]
        assert states == ["COMPLETE"] * 4 + ["PRUNED"] * 2
        last = study.finished()[-1]
        assert last.user_attrs["why"] == "worse than the median"
        assert last.intermediate_values.keys() == {1, 2}  # not before the second epoch


def test_a_diverging_trial_is_counted_and_the_study_goes_on() -> None:
    def play(number: int, sections: Message) -> Iterator[Message | None]:
        if number == 1:
            yield {"kind": "lost", "why": "diverged: expected a finite loss"}
        yield from good(number, sections)

    with opened() as study:
        search(study, Troupe(play), 4).run()
        assert [one.state.name for one in study.finished()].count("PRUNED") == 1
        assert study.finished()[1].user_attrs["why"] == "diverged: expected a finite loss"


def test_a_worker_that_dies_is_replaced_and_its_trial_is_told() -> None:
    def play(number: int, sections: Message) -> Iterator[Message | None]:
        if number == 2:
            yield None
        yield from good(number, sections)

    with opened() as study:
        search(study, Troupe(play), 4).run()
        whys = [one.user_attrs.get("why") for one in study.finished()]
        assert whys == [None, None, "the process of the trial ended with signal 9.", None]


def test_three_dead_workers_end_the_study() -> None:
    with (
        opened() as study,
        pytest.raises(RecencyError, match="3 trials ended with their processes.*signal 9.*tokens"),
    ):
        search(study, Troupe(lambda *_: iter([None])), 9).run()


def test_a_worker_that_never_comes_up_ends_the_study() -> None:
    with opened() as study:
        troupe = Troupe(good)
        troupe.told[0] = (troupe.told[0][0], None)
        with pytest.raises(RecencyError, match="a worker did not come up: the process"):
            search(study, troupe, 9).run()


def test_what_would_end_every_trial_ends_the_study_as_itself() -> None:
    fault = {"kind": "fault", "class": "DataError", "why": "nothing to judge by"}
    with opened() as study, pytest.raises(DataError, match="nothing to judge by"):
        search(study, Troupe(lambda *_: iter([fault])), 9).run()


def test_settings_too_large_for_this_machine_cost_a_trial() -> None:
    refused = {"kind": "refused", "why": "expected a training step to fit into the 3 GB free"}

    def play(number: int, sections: Message) -> Iterator[Message | None]:
        if number == 1:
            yield refused
        yield from good(number, sections)

    with opened() as study:
        search(study, Troupe(play), 3).run()
        assert study.finished()[1].user_attrs["why"] == refused["why"]
    with opened() as study, pytest.raises(ConfigError, match="expected a training step to fit"):
        search(study, Troupe(lambda *_: iter([refused])), 3).run()


def test_no_trial_begins_after_the_time_but_one_always_does() -> None:
    with opened() as study:
        search(study, Troupe(good), 9, minutes=1e-9).run()
        assert len(study.finished()) == 1


def test_an_interrupted_study_makes_the_very_trials_it_would_have_made() -> None:
    class Killed(BaseException):
        pass

    def play(number: int, sections: Message) -> Iterator[Message | None]:
        if number == 11:  # ten are drawn at random, so TPE is at work by now
            yield {"kind": "step", "step": 1, "value": 0.1}
            raise Killed
        yield from good(number, sections)

    with opened() as study:
        search(study, Troupe(good), 14).run()
        whole = drawn(study)
    with opened() as study:
        with pytest.raises(Killed):
            search(study, Troupe(play), 14).run()
        assert len(study.finished()) == 11
        study.forget_unfinished()
        search(study, Troupe(good), 14).run()
        assert drawn(study) == whole
    assert len({str(one) for one in whole}) == 14


def test_a_study_killed_as_it_asked_for_its_first_trial_starts_with_it_all_the_same(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as study:
        study.study.enqueue_trial({"training.lr": 3e-3, "inputs.dropout": 0.3, "encoder.dim": 16})
    with opened(tmp_path) as study:
        search(study, Troupe(good), 2).run()
        assert drawn(study)[0]["training.lr"] == 3e-3 and drawn(study)[1]["training.lr"] != 3e-3


def test_a_study_of_something_else_is_refused(tmp_path: Path) -> None:
    with open_storage(tmp_path, {"log": "a", "space": {"x": 1}, "settings": [0.5]}, None):
        pass
    said = "begun with something else: the log, the space differ. Its trials say nothing"
    with (
        pytest.raises(ConfigError, match=said),
        open_storage(tmp_path, {"log": "b", "space": {"x": 2}, "settings": (0.5,)}, None),
    ):
        pass
