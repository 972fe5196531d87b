"""Who trains against whom, how the slices of a round are run, and what follows from them."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal

from benchmarks.peers.peer import ENVIRONMENTS, surroundings
from benchmarks.record import ROOT

Side = Literal["recency", "recbole", "rectools"]
Slices = list[dict[str, float]]

ROUNDS = 6  # slices of each, after one that warms up
COUNTED = 2  # batches whose products are counted
READY_WITHIN = 1_800  # seconds; RecBole writes every prefix of every history out before it starts
SAID_WITHIN = 1_800

SOFTMAX, SAMPLED = "softmax over all items", "256 sampled"


@dataclass(frozen=True)
class Entry:
    """Say who trains.

    Attributes:
        name: In the table.
        side: Whose library.
        loss: Compared with the same one only.
        settings: For its script.
    """

    name: str
    side: Side
    loss: str
    settings: dict[str, Any]

    @property
    def python(self) -> Path:
        """Give the interpreter of its environment."""
        if self.side == "recency":
            return Path(sys.executable)
        return ENVIRONMENTS / self.side / "bin" / "python"


@dataclass(frozen=True)
class Contest:
    """Say who takes turns: entries of one log, one length of history and like sizes."""

    data: str
    max_len: int
    entries: tuple[Entry, ...]


@dataclass
class Outcome:
    """Hold what one entry did.

    Attributes:
        entry: Who.
        slices: Each with targets, batches and seconds; those of one place ran one after the other.
        flops: Operations of matrix products a target.
        about: What it said of itself.
    """

    entry: Entry
    slices: Slices = field(default_factory=list)
    flops: float = 0.0
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def rates(self) -> list[float]:
        """Give the targets a second of each slice."""
        return [one["targets"] / one["seconds"] for one in self.slices]


def alone(threads: int) -> dict[str, str]:
    """Give the environment of a process that has the machine to itself as long as it works.

    Its threads wait for each other as OpenMP has it by default, awake for a moment and then asleep.
    Asleep at once is right beside other work, and costs small products much of their rate.
    """
    found = os.environ | surroundings(threads)
    found.pop("OMP_WAIT_POLICY", None)
    return found


class Runner:
    """Speak with one entry's process; see `pace`."""

    def __init__(self, entry: Entry, folder: Path, place: Path, threads: int) -> None:
        self.entry = entry
        paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        own = paths if entry.side == "recency" else str(ROOT)
        place.mkdir()
        self._process = subprocess.Popen(
            [
                entry.python,
                "-m",
                f"benchmarks.speed.{entry.side}_way",
                str(folder),
                json.dumps(entry.settings | {"seed": 0}),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=alone(threads) | {"PYTHONPATH": own},
            cwd=place,  # some write files where they stand
        )

    def ask(self, wish: dict[str, float] | None) -> dict[str, Any]:
        """Send a wish and wait for the answer; None waits until the process is ready.

        Raises:
            RuntimeError: it ended, or said nothing for too long.
        """
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        if wish is not None:
            print(json.dumps(wish), file=process.stdin, flush=True)
        limit = READY_WITHIN if wish is None else SAID_WITHIN
        if not select.select([process.stdout], [], [], limit)[0]:
            raise RuntimeError(f"said nothing for {limit:,} seconds")
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("ended early; its messages stand above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def hold(
    contest: Contest, folder: Path, scratch: Path, seconds: float, threads: int
) -> list[Outcome]:
    """Let all entries that can run take turns.

    Args:
        contest: Who.
        folder: Holds ``lesson.npz``.
        scratch: Empty; for what the processes write.
        seconds: Of training of each entry, in slices.
        threads: Of each process; only one of them works at a time.
    """
    running: list[tuple[Runner, Outcome]] = []
    try:
        for number, entry in enumerate(contest.entries):
            runner = Runner(entry, folder, scratch / str(number), threads)
            outcome = Outcome(entry)
            running.append((runner, outcome))
            _try(running, runner, outcome, None)  # one by one: preparing takes memory and time
        for turn in range(ROUNDS + 1):
            for runner, outcome in list(running):
                said = _try(running, runner, outcome, {"seconds": seconds / ROUNDS})
                if said is not None and turn:
                    outcome.slices.append(said)
        measured = [outcome for _, outcome in running]
        for runner, outcome in list(running):
            peak = outcome.about.get("peak_mb")  # counting holds things that training does not
            _try(running, runner, outcome, {"count": COUNTED})
            outcome.about["peak_mb"] = peak
        return measured
    finally:
        for runner, _ in running:
            runner.close()


def _try(
    running: list[tuple[Runner, Outcome]],
    runner: Runner,
    outcome: Outcome,
    wish: dict[str, float] | None,
) -> dict[str, Any] | None:
    """Ask; one that fails is told of, ended and left out, and the others go on."""
    try:
        said = runner.ask(wish)
    except (RuntimeError, OSError, ValueError) as fault:
        print(f"{runner.entry.name} is left out: it {fault}", flush=True)
        running.remove((runner, outcome))
        runner.close()
        return None
    outcome.flops = said.pop("flops", outcome.flops)
    about = {key: said.pop(key) for key in ("version", "parameters", "threads") if key in said}
    outcome.about |= about | {"peak_mb": said.pop("peak_mb")}
    return said


def metrics_of(outcome: Outcome, all_of_them: Sequence[Outcome], gflops: float) -> dict[str, Any]:
    """Give an entry's metrics: its rate, how it compares, and the share of the ceiling.

    A comparison is the median over rounds of the ratio of two slices that ran one after the other.
    """
    rates = outcome.rates
    metrics: dict[str, Any] = {
        "targets_per_second": round(median(rates), 1),
        "targets_per_second low": round(min(rates), 1),
        "targets_per_second high": round(max(rates), 1),
    }
    if outcome.entry.side == "recency":
        metrics |= _comparisons(outcome, all_of_them)
    if outcome.flops:  # they may have failed to be counted
        metrics["share_of_ceiling"] = round(outcome.flops * median(rates) / (1e9 * gflops), 4)
        metrics["MFLOP a target"] = round(outcome.flops / 1e6, 3)
    metrics["parameters"] = outcome.about.get("parameters")
    return metrics


def _comparisons(outcome: Outcome, all_of_them: Sequence[Outcome]) -> dict[str, float]:
    """Compare with peers of the same loss, and with our Transformer where we are another."""
    equals = [one for one in all_of_them if one.entry.loss == outcome.entry.loss and one.slices]
    peers = [one for one in equals if one.entry.side != "recency"]
    found: dict[str, float] = {}
    bole = [one for one in peers if one.entry.side == "recbole"]
    if bole:
        found["speedup_vs_recbole"] = speedup(outcome, bole[0])
    if peers:
        fastest = max(peers, key=lambda one: median(one.rates))
        found["speedup_vs_fastest_peer"] = speedup(outcome, fastest)
    for one in equals:
        if one.entry.settings.get("encoder") == "transformer" and one is not outcome:
            found["speedup_vs_our_transformer"] = speedup(outcome, one)
    return found


def speedup(ours: Outcome, other: Outcome) -> float:
    """Give the median over rounds of how much faster one is than the other."""
    ratios = [a / b for a, b in zip(ours.rates, other.rates, strict=False)]
    return round(median(ratios), 2)
