"""RecBole's training in slices of time; see `pace`. Runs in an environment of its own.

A target is a row of its batches: RecBole learns each prefix of a history as an example of its own,
padded to ``max_len``. Its own ``_train_epoch`` runs, on its own loader.
"""

from typing import Any

from benchmarks.peers.exchange import Lesson
from benchmarks.peers.recbole_peer import RecBole
from benchmarks.speed.pace import Paced, Pacer, drive


class PacedRecBole(RecBole):
    """Teach one of RecBole's sequence models, batch by batch."""

    def run(self, pacer: Pacer) -> None:
        """Train epoch after epoch."""
        loader = Paced(self._loader, pacer)
        pacer.begin(self.about())
        for epoch in range(10**6):
            self._trainer._train_epoch(loader, epoch)


def learn(lesson: Lesson, settings: dict[str, Any], pacer: Pacer) -> None:
    """Train for ever."""
    PacedRecBole(lesson, settings).run(pacer)


if __name__ == "__main__":
    drive(learn)
