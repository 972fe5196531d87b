"""T2: the power goes. What was synced is there; what a mode promises is kept."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from recency.serving.log.durability import Durability
from recency.serving.log.event_store import EventStore
from recency.serving.log.events import Event
from recency.serving.log.groups import Group
from tests.faults.disk import Disk, Image, watched

NOW = 1_767_225_600_000_000


@dataclass
class Cut:
    """The moment of a power loss: the disk, and which events were acknowledged when."""

    image: Image
    at: float
    acknowledged: dict[str, float]


@dataclass
class Trial:
    """Take in events while the power is cut again and again, at any write or sync."""

    disk: Disk
    chance: random.Random
    wanted: int
    cuts: list[Cut] = field(default_factory=list)
    _acknowledged: dict[str, float] = field(default_factory=dict)
    _wait: int = 0

    def deliver(self, group: Group) -> None:
        """Note the acknowledgements, in the writer's thread."""
        group.resolve()
        now = time.monotonic()
        self._acknowledged |= {event.event_id: now for _, event in group.events}

    def look(self) -> None:
        """Cut now and then; only the writer's moments count, where it is known what is promised."""
        if threading.current_thread().name != "recency-writer" or len(self.cuts) >= self.wanted:
            return
        self._wait -= 1
        if self._wait <= 0:
            self._wait = self.chance.randrange(1, 12)
            now = time.monotonic()
            self.cuts.append(Cut(self.disk.image(), now, dict(self._acknowledged)))


def run(folder: Path, durability: str, cuts: int, pause: float = 0.0, seed: int = 0) -> list[Cut]:
    chance = random.Random(seed)
    folder.mkdir()
    with watched(folder) as disk:
        trial = Trial(disk, chance, cuts)
        # A small file is folded often: that is where writes go into the database itself.
        with EventStore(folder / "events.sqlite", durability=durability) as store:
            store.deliver_to(trial.deliver)
            disk.on_operation = trial.look
            n = 0
            while len(trial.cuts) < cuts:
                size = chance.choice([1, 1, 1, 40])
                store.append([_event(k) for k in range(n, n + size)]).result(timeout=30)
                n += size
                if pause:
                    time.sleep(chance.random() * pause)
                if n % 97 == 0:
                    store.fold()
            disk.on_operation = lambda: None
    return trial.cuts


def _event(n: int) -> Event:
    return Event(f"e{n:07d}", f"u{n % 7}", f"i{n % 50}", NOW + n)


def kept_after(cut: Cut, folder: Path, chance: random.Random) -> list[str]:
    """Lay the disk down as the power loss may have left it, and open the log."""
    cut.image.lay(folder, chance, kept=chance.choice([0.0, 0.3, 0.9]))
    with EventStore(folder / "events.sqlite") as store:
        kept = [one.event_id for _, one in store.read(limit=10**6)]
        assert store.append([Event("after", "u", "i", NOW)]).result(timeout=30)[0].seq is not None
    assert kept == [f"e{n:07d}" for n in range(len(kept))]  # a prefix, nothing else
    return kept


@pytest.mark.parametrize("durability", ["sync", "interval:150ms", "memory"])
def test_t02_a_power_loss_takes_no_more_than_the_mode_says(
    tmp_path: Path, durability: str, soak: bool, fault_row: Callable[..., None]
) -> None:
    cuts = run(
        tmp_path / "log", durability, 200 if soak else 25, 0 if durability == "sync" else 0.004
    )
    chance = random.Random(1)
    window = Durability.parse(durability).loss_window_seconds
    lost, oldest = 0, 0.0
    for place, cut in enumerate(cuts):
        kept = set(kept_after(cut, tmp_path / f"cut{place}", chance))
        ages = [cut.at - when for one, when in cut.acknowledged.items() if one not in kept]
        oldest = max([oldest, *ages])
        lost += 0 if window is None else sum(age > window or not window for age in ages)
    assert sum(len(cut.acknowledged) for cut in cuts) > 0
    assert lost == 0
    # The weaker modes do lose what they may, or the trial could not tell.
    assert (oldest > 0) == (durability != "sync")
    fault_row(
        test=f"T2 {durability}", runs=len(cuts), lost=lost, doubled=0, oldest_lost_seconds=oldest
    )


def test_t02_the_trial_sees_a_log_that_does_not_sync(tmp_path: Path, monkeypatch) -> None:
    """Were ``synchronous`` weakened by mistake, the trial would find events lost."""
    from recency.serving.log import durability

    monkeypatch.setattr(durability.Durability, "synchronous", "OFF")
    cuts = run(tmp_path / "log", "sync", 10)
    chance = random.Random(1)
    lost = 0
    for place, cut in enumerate(cuts):
        cut.image.lay(tmp_path / f"cut{place}", chance, kept=0.0)
        with EventStore(tmp_path / f"cut{place}" / "events.sqlite") as store:
            kept = {one.event_id for _, one in store.read(limit=10**6)}
        lost += len(cut.acknowledged.keys() - kept)
    assert lost > 0
