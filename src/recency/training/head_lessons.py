"""Heads in training: which lessons belong to a batch, and what they cost.

Lessons are written down once a stage, from the events that the stage may know; a batch looks up
those of its own targets, or of the events after which it asks. After a user's newest event nothing
is asked in training, yet heads that tell of waiting learn most there: these histories are read
beside the batch, some with each, and teach the head alone.

With ``TrainConfig(heads="apart")`` heads read the memory and the item vectors as they are: no
gradient of theirs reaches what the next item is told by, nor do they draw of torch's random
numbers, so that the next item is told bit by bit as without them. With ``"joint"`` both learn.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from recency.data.batches import TrainingBatch, TrainingWindows
from recency.data.histories import Histories, Ints, ragged_positions
from recency.data.intake import Vocabs
from recency.data.tallies import Ledger
from recency.errors import DataError, raise_all
from recency.nn.head import Head, Lessons
from recency.nn.inputs import Tensors
from recency.nn.learned_features import learned_features
from recency.nn.model import SequenceModel

_READ = 50  # newest events of a history that is read for its end only


@dataclass(frozen=True)
class _Course:
    """Hold a head's lessons, and which of their keys no target of the stage asks after."""

    head: Head
    lessons: Lessons
    ends: Ints


class HeadLessons:
    """Give the loss of a model's heads for the batches of a stage.

    Args:
        model: With heads, or without: then there is nothing to learn.
        windows: The stage's targets.
        joint: Whether gradients go on into the model.
        until: Instant before which everything may be known, microseconds; None: everything.
        lent: Whether a step has the item vectors of its batch alone at hand. Heads that ask about
            other items then read them as they are, and move them no further.
    """

    def __init__(
        self,
        model: SequenceModel,
        windows: TrainingWindows,
        *,
        joint: bool,
        until: int | None = None,
        lent: bool = False,
    ) -> None:
        self._model, self._joint, self._histories = model, joint, windows.histories
        self._lent, self._vectors = lent, dict[str, Tensor]()
        self._n_targets = windows.n_targets
        self._courses: list[_Course] = []
        self._ends: Ints = np.empty(0, np.int64)
        self.begin(0)
        if not len(model.heads):
            return
        ledger = Ledger.of(windows.histories, model.n_items, until)
        targets = windows.positions
        sources = windows.histories.group_start[targets] - 1
        for head in heads_of(model):
            head.ground(ledger, targets, sources)
            lessons, ends = head.lessons(ledger, targets, sources), self._ends
            if head.by == "source":
                ends = np.setdiff1d(lessons.keys, sources)
            self._courses.append(_Course(head, lessons, ends))
        self._ends = np.unique(np.concatenate([one.ends for one in self._courses]))

    def begin(self, epoch: int) -> None:
        """Shuffle for an epoch."""
        self._rng = np.random.default_rng((7, epoch))
        # No more than targets: after a few new events, not everybody's end is read again.
        self._order = self._rng.permutation(len(self._ends))[: self._n_targets]
        self._due = 0.0
        self._read: tuple[Ints, Tensor] | None = None

    @torch.no_grad()
    def read_ahead(self, part: TrainingBatch) -> None:
        """Read what of a batch's lessons lies outside it: histories to their end, and items.

        This comes before the rows of a step are lent, since it reads other items.
        """
        self._read_ends(len(part.targets))
        if not self._lent:
            return
        table = self._model.vectors
        for course in self._courses:
            if course.lessons.items is not None:
                keys, _ = self._keys(course.head, part)
                _, rows = self._drawn(course, keys)
                self._vectors[course.head.name] = table[_rows(course.lessons.items[rows], table)]

    def _read_ends(self, n: int) -> None:
        """Read histories to their end, as many as are due with ``n`` targets."""
        self._read, device = None, self._model.bias.device
        self._due += len(self._order) * n / self._n_targets
        if (m := int(self._due)) < 1:
            return
        self._due -= m
        keys = self._ends[np.sort(self._order[:m])]
        self._order = np.roll(self._order, -m)
        begin = self._histories.offsets[self._histories_of(keys)]
        batch = self._histories.gather(np.maximum(begin, keys + 1 - _READ), keys + 1)
        self._model.eval()  # draws nothing at random
        outputs, _ = self._model(Tensors.from_batch(batch, device))
        self._model.train()
        last = torch.from_numpy(batch.lengths - 1).to(device)
        self._read = (keys, outputs[torch.arange(len(keys), device=device), last])

    def loss(self, outputs: Tensor, part: TrainingBatch, own: Tensor) -> Tensor:
        """Give the weighed sum of the losses for a batch, a scalar.

        Args:
            outputs: [n, dim] after the event before each target, the instant left out.
            part: The batch.
            own: [n] places of the targets' items in the table in hand.
        """
        total = outputs.new_zeros(())
        if not self._courses:
            return total
        vectors = self._model.vectors[own]
        if not self._joint:
            outputs, vectors = outputs.detach(), vectors.detach()
        for course in self._courses:
            read = self._matched(course, part, outputs, vectors)
            if len(read[0]):
                total = total + weighed(course.head, course.head.loss(*read))
        return total

    def _matched(
        self, course: _Course, part: TrainingBatch, outputs: Tensor, vectors: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Put together what a head reads of a batch, and what it is to answer."""
        lessons = course.lessons
        keys, asked = self._keys(course.head, part)
        found, rows = self._drawn(course, keys)
        asked_rows = torch.from_numpy(asked[found]).to(outputs.device)
        if lessons.items is None:
            vectors = vectors[asked_rows]
        else:
            vectors = self._vectors_of(course.head, lessons.items[rows])
        outputs = outputs[asked_rows]
        if course.head.by == "source" and self._read is not None:
            ended, more = self._drawn(course, self._read[0])
            ends = self._read[1][torch.from_numpy(ended).to(outputs.device)]
            outputs = torch.cat((outputs, ends))
            vectors = torch.cat((vectors, torch.zeros_like(ends)))
            rows = np.concatenate((rows, more))
        facts, labels = (
            torch.from_numpy(cells[rows]).to(outputs.device)
            for cells in (lessons.facts, lessons.labels)
        )
        return outputs, vectors, facts, labels

    def _keys(self, head: Head, part: TrainingBatch) -> tuple[Ints, Ints]:
        """Give the keys [n] that a batch asks a head by, and the target that asks by each."""
        keys = part.positions
        if head.by == "target":
            return keys, np.arange(len(keys))
        return np.unique(self._histories.group_start[keys] - 1, return_index=True)

    def _vectors_of(self, head: Head, items: Ints) -> Tensor:
        """Give the vectors of items that the batch may not hold."""
        if self._lent:
            return self._vectors[head.name]
        table = self._model.vectors
        found = table[_rows(items, table)]
        return found if self._joint else found.detach()

    def _drawn(self, course: _Course, keys: Ints) -> tuple[Ints, Ints]:
        """Find the lessons of keys, as places of the keys and rows: all of each, or one drawn."""
        lessons = course.lessons
        low = np.searchsorted(lessons.keys, keys)
        n = np.searchsorted(lessons.keys, keys, side="right") - low
        if course.head.whole:
            return np.repeat(np.arange(len(keys)), n), ragged_positions(low, n)
        found = np.flatnonzero(n)
        drawn: Ints = low[found] + self._rng.integers(0, n[found])
        return found, drawn

    def _histories_of(self, keys: Ints) -> npt.NDArray[np.int64]:
        return np.searchsorted(self._histories.offsets, keys, side="right") - 1


def _rows(items: Ints, table: Tensor) -> Tensor:
    return torch.from_numpy(items).to(table.device)


def study_heads(model: SequenceModel, histories: Histories, vocabs: Vocabs) -> None:
    """Let heads learn from training events what no gradient teaches.

    Args:
        model: Its heads change in place.
        histories: Training events only.
        vocabs: Of these events.

    Raises:
        DataError: the log lacks what heads are to tell, or there is nothing to tell; the faults of
            all heads together.
    """
    faults = []
    heads = heads_of(model)
    if not heads:
        return
    ledger, types = Ledger.of(histories, len(vocabs.items)), vocabs.types.ids.to_list()
    for head in heads:
        try:
            head.study(ledger, types)
        except DataError as fault:
            faults.append(str(fault))
    raise_all(faults, DataError)


def heads_of(model: SequenceModel) -> list[Head]:
    """Give the heads that stand beside the next item."""
    return [one for one in model.heads if isinstance(one, Head)]


def weighed(head: Head, loss: Tensor) -> Tensor:
    """Weigh a head's loss by a fixed weight, or by one that is learned too.

    exp(-s) loss + s, with s the logarithm of how far off the head is: Kendall, Gal and Cipolla,
    Multi-task learning using uncertainty, CVPR 2018, equation 7.
    """
    if head.doubt is None:
        return head.weight * loss
    return head.weight * (torch.exp(-head.doubt) * loss + head.doubt)


def clip_apart(model: SequenceModel, most: float) -> Tensor:
    """Clip gradients of heads, and of what makes features, so that they never weaken the others'.

    Returns:
        The norm of all of them together.
    """
    learned = learned_features(model)
    if not len(model.heads) and learned is None:
        return nn.utils.clip_grad_norm_(model.parameters(), most)
    apart = [list(model.heads.parameters()), [] if learned is None else list(learned.parameters())]
    theirs = {id(one) for part in apart for one in part}
    rest = [one for one in model.parameters() if id(one) not in theirs]
    norms = [nn.utils.clip_grad_norm_(part, most) for part in (rest, *apart) if part]
    both: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return both
