"""A worker: a process that judges settings, one trial after another.

``python -m recency.tuning.worker`` reads one JSON value a line from standard input and writes one a
line to standard output. A process of its own keeps a crash, and memory once taken, out of the
study; and it needs neither pickles nor a guarded main module of its caller.

    to the worker   {"log", "folds", "horizon", "threads"}       once
                    {"sections"}                                  a trial
                    {"go"}                                        after each report
    from it         {"kind": "ready"}                             once
                    {"kind": "step", "step", "value"}             wants an answer
                    {"kind": "done", "value", "epochs", "last"} or {"kind": "stopped"} or
                    {"kind": "lost", "why"}: this trial cannot be finished, others can
                    {"kind": "refused", "why"}: its settings are impossible, or too large here
                    {"kind": "fault", "class", "why"}: no trial can be finished

It ends when its input does, and within a batch when the process that began it is gone.
"""

import json
import os
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import polars as pl
import torch

from recency.data.log import Log
from recency.data.prepared import Prepared, read_prepared
from recency.errors import ConfigError, RecencyError, TrainingDivergedError
from recency.tuning.judging import Objective, judge_settings

Message = dict[str, Any]


class Stopped(Exception):
    """Say that a trial shall not go on."""


class _Line:
    """The two pipes to the process that began this one."""

    def __init__(self, source: IO[str], sink: IO[str]) -> None:
        self._source, self._sink = source, sink
        self._parent = os.getppid()

    def hear(self) -> Message:
        """Wait for the next message; end the process when there is none to come."""
        line = self._source.readline()
        if not line:
            raise SystemExit(0)
        message: Message = json.loads(line)
        return message

    def say(self, kind: str, **facts: Any) -> None:
        """Tell something."""
        self._sink.write(json.dumps({"kind": kind, **facts}) + "\n")
        self._sink.flush()

    def report(self, step: int, value: float) -> None:
        """Tell a judgement; stop the trial when told so."""
        self.say("step", step=step, value=value)
        if not self.hear()["go"]:
            raise Stopped

    def tick(self) -> None:
        """End the process when nobody waits for it any more."""
        if os.getppid() != self._parent:
            raise SystemExit(0)


def serve(source: IO[str], sink: IO[str]) -> None:
    """Judge trials until the input ends."""
    line = _Line(source, sink)
    told = line.hear()
    torch.set_num_threads(min(torch.get_num_threads(), told["threads"]))
    log = _open(Path(told["log"]))
    objective = Objective(told["folds"], told["horizon"])
    line.say("ready")
    while True:
        _judge(line, line.hear()["sections"], log, objective)


def _open(path: Path) -> Log | Prepared:
    """Read the events; a prepared log was checked by who began this process."""
    return read_prepared(path, verify=False) if path.is_dir() else Log(pl.read_ipc(path))


def _judge(line: _Line, sections: Message, log: Log | Prepared, objective: Objective) -> None:
    try:
        judged = judge_settings(sections, log, objective, line.report, line.tick)
        line.say("done", value=judged.value, epochs=judged.epochs, last=judged.last)
    except Stopped:
        line.say("stopped")
    except TrainingDivergedError as fault:
        line.say("lost", why=f"diverged: {fault}")
    except ConfigError as fault:
        line.say("refused", why=str(fault))
    except RecencyError as fault:
        line.say("fault", **{"class": type(fault).__name__}, why=str(fault))
    except Exception:
        line.say("fault", **{"class": "RecencyError"}, why=traceback.format_exc())


def main() -> None:
    """Keep standard output for messages; whatever else is printed goes to standard error."""
    sink = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with suppress(BrokenPipeError):
        serve(sys.stdin, sink)


if __name__ == "__main__":
    main()
