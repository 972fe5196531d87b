"""Progress: what a learner keeps of itself on the disk, so that it can be killed at any place.

    training.safetensors   weights, place in the feed, predictions that are scored or learned from
    plan.json              the last place of the round begun
    published.json         the last round whose model was published

Each is replaced as a whole. Events are not kept: a learner that goes on reads them again from the
feed, up to its place, and observes them.

The plan is written before a round. A learner that dies in the round takes the same events again, so
that it ends with the same bits. After a round weights are kept first and published then; one that
dies in between publishes them again, under the same name.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recency.errors import ConfigError, FormatError
from recency.nn.scored_items import take
from recency.online.asking import observe
from recency.online.feed import Publisher
from recency.online.learner import Learner, Round, Standing
from recency.online.slate import Slate
from recency.storage import sync
from recency.training.checkpoints import load_checkpoint, save_checkpoint

_REPLAYED = 8_192  # events observed at once on going on
_NUMBERS = ("seq", "number", "quick_until", "whole_until", "hurried_until")
_PLAN, _PUBLISHED = "plan.json", "published.json"


class Progress:
    """Run a learner's rounds, each of them kept.

    Args:
        learner: As it begins: its recommender as it was loaded. `resume` brings it further.
        folder: Where files are kept; made if missing.
        publisher: Takes a candidate after each round that learned; None publishes nothing.
    """

    def __init__(
        self, learner: Learner, folder: str | Path, publisher: Publisher | None = None
    ) -> None:
        self.learner, self.folder, self.publisher = learner, Path(folder), publisher
        self._key = {
            "base": learner.recommender.model_version,
            "config": asdict(learner.config),
        }
        self._first = learner.standing.seq
        self.folder.mkdir(parents=True, exist_ok=True)

    def resume(self) -> bool:
        """Go on from the folder; False where it holds nothing yet.

        Raises:
            ConfigError: the folder is of a learner that began with another model, or has other
                settings.
            FormatError: a file is damaged.
        """
        found = load_checkpoint(self.folder)
        if found is None:
            return False
        tensors, facts = found
        differing = [name for name, value in self._key.items() if facts["key"].get(name) != value]
        if differing:
            raise ConfigError(
                f"the learner kept in {self.folder} is another one: {', '.join(differing)} differ; "
                f"start it as before, or remove the folder to begin anew."
            )
        self._observe_again(int(facts["standing"]["seq"]))
        _put(self.learner, tensors, facts)
        if facts["told"] is not None and self._read(_PUBLISHED).get("number", 0) < facts["number"]:
            self._publish(facts["told"])
        return True

    def step(self) -> Round | None:
        """Do the next round and keep it; None if nothing new has come.

        Raises:
            TrainingDivergedError: the loss is no longer finite; the round before is kept.
        """
        standing, plan = self.learner.standing, self._read(_PLAN)
        begun = plan["until"] if plan.get("after") == standing.seq else None
        entries = self.learner.plan(begun)
        if not entries:
            return None
        if begun is None:
            self._write(_PLAN, {"after": standing.seq, "until": entries[-1].seq})
        told = self.learner.round(entries)
        said = told.to_dict() if told.n_targets or told.whole else None
        self._keep(told.number, said)
        if said is not None:
            self._publish(said)
        return told

    def _keep(self, number: int, said: Mapping[str, Any] | None) -> None:
        learner = self.learner
        facts = {
            "key": self._key,
            "standing": {name: getattr(learner.standing, name) for name in _NUMBERS},
            "cut": learner.recommender.cut,
            "number": number,
            "told": said,
        }
        save_checkpoint(self.folder, _tensors(learner), facts)
        sync(self.folder)

    def _publish(self, said: Mapping[str, Any]) -> None:
        if self.publisher is not None:
            self.publisher.publish(self.learner.recommender, said)
        self._write(_PUBLISHED, {"number": said["number"]})

    def _observe_again(self, seq: int) -> None:
        """Observe the events of earlier rounds; what was erased since is passed over."""
        done, feed = self._first, self.learner.feed
        if feed.end < seq:
            raise FormatError(
                f"expected the feed to reach place {seq}, which this learner has learned up to, "
                f"found its end at {feed.end}; is it another log? Remove {self.folder} to begin "
                f"anew."
            )
        while entries := [one for one in feed.read(done, _REPLAYED) if one.seq <= seq]:
            observe(self.learner.recommender, entries)
            done = entries[-1].seq

    def _read(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        if not path.exists():
            return {}
        try:
            return dict(json.loads(path.read_text()))
        except ValueError as fault:
            raise FormatError(f"{path} is damaged ({fault}); remove it.") from None

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        draft = self.folder / f"{name}.partial"
        draft.write_text(json.dumps(content))
        sync(draft)
        os.replace(draft, self.folder / name)
        sync(self.folder)


def _tensors(learner: Learner) -> dict[str, Tensor]:
    standing = learner.standing
    parts: dict[str, Mapping[str, Tensor]] = {
        "model": learner.recommender.live.model.state_dict(),
        "slate": {} if standing.slate is None else standing.slate.to_tensors(),
        "scores": {k: torch.from_numpy(a) for k, a in learner.scores.to_arrays().items()},
    }
    drift = torch.tensor(standing.drift_rows, dtype=torch.float64).reshape(-1, 2)
    flat = {f"{part}/{name}": one for part, ones in parts.items() for name, one in ones.items()}
    return flat | {"drift": drift}


def _put(learner: Learner, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Put weights and standing of a checkpoint into a learner that has observed the same events."""
    one = learner.recommender
    take(one.live.model, _part("model", tensors))
    one.relearned(states_stand=False)
    one.cut = facts["cut"]
    slate = _part("slate", tensors)
    learner.standing = Standing(slate=Slate.of_tensors(slate) if slate else None)
    for name in _NUMBERS:
        setattr(learner.standing, name, int(facts["standing"][name]))
    learner.scores.restore({k: a.numpy() for k, a in _part("scores", tensors).items()})
    learner.standing.drift_rows = [(gain, unseen) for gain, unseen in tensors["drift"].tolist()]
    if learner.watch is not None:
        learner.watch.take(learner.standing.drift_rows, quiet=True)


def _part(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = f"{part}/"
    return {name[len(start) :]: t for name, t in tensors.items() if name.startswith(start)}
