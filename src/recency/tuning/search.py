"""The search: workers get trials from the study, and the study hears how they go.

Everything happens on one thread of one process, which alone decides which trials begin and which
end early.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import recency.errors
from recency.errors import ConfigError, RecencyError
from recency.tuning.crew import Crew, Member, Message
from recency.tuning.judging import Objective
from recency.tuning.run_file import Sections, changed
from recency.tuning.spaces import Space
from recency.tuning.study import Study

_MOST_CRASHES = 3


@dataclass(frozen=True)
class TuningStep:
    """Tell where a study is; handed to the progress callback whenever something happened.

    Attributes:
        done: Trials that count so far.
        trials: Trials wanted in all.
        running: Trials under way.
        pruned: Trials that were ended early.
        best: Best judgement so far, None before the first.
        seconds: Since this call began.
    """

    done: int
    trials: int
    running: int
    pruned: int
    best: float | None
    seconds: float


Progress = Callable[[TuningStep], None]


@dataclass(frozen=True)
class Plan:
    """Hold what a study is asked for; see `recency.tune`.

    Attributes:
        sections: All settings that are not searched, and those that the study starts from.
        space: What is searched.
        objective: What trials are judged by.
        trials: Trials in all.
        minutes: No trial begins later; None sets no limit.
        workers: Trials side by side.
    """

    sections: Sections
    space: Space
    objective: Objective
    trials: int
    minutes: float | None
    workers: int


class Search:
    """Run trials until enough are made.

    Args:
        study: Gives settings and keeps judgements.
        crew: Judges settings.
        plan: How many, and for how long.
        progress: Called whenever a trial began, reported or ended.
    """

    def __init__(
        self, study: Study, crew: Crew, plan: Plan, progress: Progress | None = None
    ) -> None:
        self._study, self._crew, self._plan, self._progress = study, crew, plan, progress
        self._began = time.perf_counter()
        self._starts: dict[int, float] = {}  # trials under way, by their numbers
        self._crashes = 0

    def run(self) -> None:
        """Hear the workers out until nothing is under way and nothing more is wanted.

        Raises:
            RecencyError: a worker met what would end every trial, or three of them crashed.
        """
        while self._starts or self._wanted():
            member, message = self._crew.next()
            if message is None:
                self._bury(member)
            elif message["kind"] == "fault":
                raise _error(message)
            elif message["kind"] == "refused" and member.trial.user_attrs["draw"] == 0:
                raise ConfigError(message["why"])  # what the study starts from must be possible
            elif message["kind"] == "step":
                self._weigh(member, message)
            else:
                self._close(member, message)
                self._begin(member)
            self._tell()

    def _wanted(self) -> bool:
        """Tell whether another trial shall begin; the first one always may."""
        n = len(self._study.finished()) + len(self._starts)
        limit = self._plan.minutes
        late = limit is not None and time.perf_counter() - self._began > 60 * limit
        return n < self._plan.trials and not (late and n)

    def _begin(self, member: Member) -> None:
        if not self._wanted():
            return
        trial = self._study.ask()
        member.trial, self._starts[trial.number] = trial, time.perf_counter()
        settings = self._study.settings(trial.params)
        member.say(sections=changed(self._plan.sections, settings))

    def _weigh(self, member: Member, message: Message) -> None:
        """Keep a judgement on the way, and say whether the trial may go on."""
        member.trial.report(message["value"], message["step"])
        member.say(go=not member.trial.should_prune())

    def _close(self, member: Member, message: Message) -> None:
        """Keep how a worker's trial ended; a worker that has just come up has none."""
        trial, member.trial = member.trial, None
        if trial is None:
            return
        seconds = round(time.perf_counter() - self._starts.pop(trial.number), 2)
        if message["kind"] == "done":
            step, value = message["last"]
            trial.report(value, step)
            facts = {"epochs": message["epochs"], "seconds": seconds}
            self._study.finish(trial, message["value"], **facts)
        else:
            why = message.get("why", "worse than the median")
            self._study.drop(trial, why, seconds=seconds)

    def _bury(self, member: Member) -> None:
        """Replace a worker whose process died, by which its trial is lost."""
        why = member.last_words()
        if member.trial is None:
            raise RecencyError(f"a worker did not come up: {why}")
        self._close(member, {"kind": "lost", "why": why})
        self._crew.dismiss(member)
        self._crashes += 1
        if self._crashes == _MOST_CRASHES:
            raise RecencyError(
                f"{_MOST_CRASHES} trials ended with their processes, the last one because "
                f"{why} Where the memory is short: fewer workers, a smaller training.tokens, a "
                f"smaller encoder.dim. The trials before are kept."
            )
        self._crew.hire()

    def _tell(self) -> None:
        if self._progress is None:
            return
        finished, best = self._study.finished(), self._study.best()
        self._progress(
            TuningStep(
                done=len(finished),
                trials=self._plan.trials,
                running=len(self._starts),
                pruned=sum(one.state.name == "PRUNED" for one in finished),
                best=None if best is None else best.value,
                seconds=time.perf_counter() - self._began,
            )
        )


def _error(message: Message) -> RecencyError:
    """Make the error again that a worker met."""
    kind: type[RecencyError] = getattr(recency.errors, message["class"])
    return kind(message["why"])
