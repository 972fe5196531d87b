"""User states: what a model remembers of each user, brought up to date when it is asked for.

An event costs nothing here until its user is asked about: then the events since the last question
are read, each in O(1). A state belongs to the weights that made it; new weights start with none.

All states lie in one array, which grows where it lies: the system moves pages, not bytes.
"""

from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recency.data.histories import Batch, Histories, Ints
from recency.nn.inputs import Tensors
from recency.nn.model import SequenceModel
from recency.nn.tide_steps import TideSteps

_SEGMENT = 256  # events of one history read in one call
_TOKENS = 65_536  # events read in one call, padding included
_GROWTH = 16_384  # most rows that the array grows by at once
_FEW, _SHORT = 16, 6  # users and events of each up to which steps without torch are cheaper
Floats = npt.NDArray[np.float32]


class States:
    """Keep one state a user, and how many of the user's events it has seen.

    Args:
        model: Whose states these are.
    """

    def __init__(self, model: SequenceModel) -> None:
        self._model = model
        self._n = 0
        self._row_of = np.empty(0, np.int32)  # by user; -1 where there is none
        self._users = np.empty(0, np.int32)  # by row, as the following
        self._states = np.zeros((0, model.state_size), np.float32)
        self._seen = np.empty(0, np.int32)
        self._forgotten: dict[int, int] | None = None  # while a copy is being made

    @cached_property
    def _steps(self) -> TideSteps | None:
        """Read single events without torch; None for a model that has no such form."""
        return TideSteps.of(self._model)

    def __len__(self) -> int:
        return self._n

    @property
    def size(self) -> int:
        """Give the width of one state."""
        return self._states.shape[1]

    def forget(self, users: dict[int, int]) -> None:
        """Drop the states that saw more than the given number of their user's events."""
        if self._forgotten is not None:
            for user, intact in users.items():
                self._forgotten[user] = min(intact, self._forgotten.get(user, intact))
        for user, intact in users.items():
            row = self._row_of[user] if user < len(self._row_of) else -1
            if row >= 0 and self._seen[row] > intact:
                self._seen[row] = 0
                self._states[row] = 0

    def copied(self, first: int, last: int) -> tuple[Ints, Ints, Floats]:
        """Copy rows ``[first, last)``: users, events seen, states.

        A copy may be made part by part while events arrive: what is forgotten from the first part
        on, `forgotten` tells at the end.
        """
        if first == 0:
            self._forgotten = {}
        part = slice(first, min(last, self._n))
        users, seen = self._users[part].astype(np.int64), self._seen[part].astype(np.int64)
        return users, seen, self._states[part].copy()

    def forgotten(self) -> dict[int, int]:
        """End a copy: tell of how many events of a user at most a copied state may have seen."""
        told, self._forgotten = self._forgotten or {}, None
        return told

    def restore(self, users: Ints, seen: Ints, states: Floats) -> None:
        """Take copied states for one's own, in place of all there were.

        Args:
            users: [n] user rows, each once.
            seen: [n] events that each has seen.
            states: [n, size], of these very weights; belongs to this object from now on.
        """
        self._n, self._states = len(users), states
        self._users, self._seen = users.astype(np.int32), seen.astype(np.int32)
        self._row_of = np.full(int(users.max(initial=-1)) + 1, -1, np.int32)
        self._row_of[users] = np.arange(self._n, dtype=np.int32)

    @torch.no_grad()
    def outputs(self, users: Ints, histories: Histories) -> Tensor:
        """Read what is new of each user and give the outputs after the newest event.

        Args:
            users: [n] user rows, each once.
            histories: Their histories, in the same order.

        Returns:
            [n, dim] on the model's device; zeros for users without events.
        """
        rows = self._rows(users)
        states, seen = torch.from_numpy(self._states[rows]), self._seen[rows]
        behind = np.flatnonzero(seen < histories.lengths)
        if len(behind):
            batch = histories.gather(
                histories.offsets[behind] + seen[behind], histories.offsets[behind + 1]
            )
            fresh = self._read(batch, states[behind].numpy())
            self._states[rows[behind]] = fresh
            self._seen[rows[behind]] = histories.lengths[behind]
            states[behind] = torch.from_numpy(fresh)
        return self._model.outputs_of(states).to(self._model.bias.device)

    @torch.no_grad()
    def step(self, users: Ints, newest: Batch) -> None:
        """Read one more event of each of some users.

        Args:
            users: [n] user rows, each once.
            newest: [n, 1] the event behind those that each has seen.
        """
        rows = self._rows(users)
        self._states[rows] = self._read(newest, self._states[rows])
        self._seen[rows] += 1

    def _read(self, batch: Batch, states: Floats) -> Floats:
        """Give the states [n, size] after more events; without torch where these are few."""
        one_each = batch.items.shape[1] == 1
        if len(batch) <= _FEW and batch.items.shape[1] <= _SHORT and self._steps is not None:
            return self._stepped(self._steps, batch, states)
        device = self._model.bias.device
        events, before = Tensors.from_batch(batch, device), torch.from_numpy(states).to(device)
        fresh = (self._model.step if one_each else self._model.advance)(events, before).cpu()
        return fresh.numpy()

    @staticmethod
    def _stepped(steps: TideSteps, batch: Batch, states: Floats) -> Floats:
        """Read the first event of each user, then the second of those who have one, and so on."""
        if batch.items.shape[1] == 1:
            return steps.step(batch, states)
        fresh = states.copy()
        for column in range(batch.items.shape[1]):
            rows = np.flatnonzero(batch.lengths > column)
            fresh[rows] = steps.step(batch.part(rows, column), fresh[rows])
        return fresh

    def missing(self, users: Ints, counts: Ints) -> Ints:
        """Tell how many of their ``counts`` [n] events the states of users [n] have not seen."""
        return counts - self._seen[self._rows(users)]

    def kept(self, users: Ints) -> Tensor:
        """Give the outputs [n, dim] of users whose states are up to date, on the model's device."""
        states = torch.from_numpy(self._states[self._rows(users)])
        return self._model.outputs_of(states).to(self._model.bias.device)

    def _rows(self, users: Ints) -> Ints:
        """Give each user a row of the array, which grows when it is full."""
        if (short := int(users.max(initial=-1)) + 1 - len(self._row_of)) > 0:
            more = np.full(max(short, len(self._row_of) // 2), -1, np.int32)
            self._row_of = np.concatenate((self._row_of, more))
        new = users[self._row_of[users] < 0]
        stop = self._n + len(new)
        if stop > len(self._states):
            self._grow(max(stop, len(self._states) + min(max(64, self._n), _GROWTH)))
        self._users[self._n : stop] = new
        self._row_of[new] = np.arange(self._n, stop)
        self._n = stop
        return self._row_of[users].astype(np.int64)

    def _grow(self, n_rows: int) -> None:
        """Lengthen the arrays, new rows being zeros; nobody holds a view of them."""
        self._states.resize((n_rows, self.size), refcheck=False)
        self._seen.resize(n_rows, refcheck=False)
        self._users.resize(n_rows, refcheck=False)


@torch.no_grad()
def outputs_at(model: SequenceModel, histories: Histories, users: Ints, stops: Ints) -> Tensor:
    """Give the outputs after any events of any histories, reading each history once.

    Histories of like length are read together, in segments that carry the state on, so that memory
    stays bounded whatever their length.

    Args:
        model: In evaluation mode.
        histories: Of all users.
        users: [n] user rows.
        stops: [n] absolute positions: the events ``[offsets[user], stop)`` have been read.

    Returns:
        [n, dim] on the model's device; zeros where nothing was read.
    """
    outputs = torch.zeros(len(users), model.dim, device=model.bias.device)
    places = stops - histories.offsets[users] - 1  # of the last event read, -1 for none
    needs = np.zeros(histories.n_users, np.int64)
    np.maximum.at(needs, users, places + 1)
    readers = np.argsort(needs, kind="stable")
    readers = readers[needs[readers] > 0]
    rank = np.full(histories.n_users, -1, np.int64)
    rank[readers] = np.arange(len(readers))
    order = np.argsort(np.where(places >= 0, rank[users], -1), kind="stable")
    order = order[np.count_nonzero(places < 0) :]
    for start, stop in _groups(needs[readers]):
        first, last = np.searchsorted(rank[users[order]], [start, stop])
        asked = order[first:last]
        _read(
            model,
            histories,
            readers[start:stop],
            needs,
            rank[users[asked]] - start,
            places[asked],
            asked,
            outputs,
        )
    return outputs


def _groups(needs: Ints) -> list[tuple[int, int]]:
    """Cut ascending lengths into runs that fit into one call each."""
    groups, stop = [], len(needs)
    while stop > 0:
        rows = max(1, _TOKENS // min(int(needs[stop - 1]), _SEGMENT))
        groups.append((max(0, stop - rows), stop))
        stop -= rows
    return groups


def _read(
    model: SequenceModel,
    histories: Histories,
    readers: Ints,
    needs: Ints,
    rows: Ints,
    places: Ints,
    asked: Ints,
    outputs: Tensor,
) -> None:
    """Read one group of histories of ascending length and put down the outputs asked for.

    Args:
        model: Reads.
        histories: Of all users.
        readers: [group] user rows.
        needs: [n_users] events to read of each.
        rows: [m] place in ``readers`` of each question.
        places: [m] event within the history whose output is asked for.
        asked: [m] where in ``outputs`` it goes.
        outputs: [n, dim] filled here.
    """
    lengths, offsets = needs[readers], histories.offsets[readers]
    device, state = outputs.device, None
    done = 0  # rows whose history ended in an earlier segment
    for begin in range(0, int(lengths[-1]), _SEGMENT):
        longer = int(np.searchsorted(lengths, begin, side="right"))
        state = None if state is None else state[longer - done :]
        done = longer
        end = np.minimum(lengths[longer:], begin + _SEGMENT)
        batch = histories.gather(offsets[longer:] + begin, offsets[longer:] + end)
        hidden, state = model(Tensors.from_batch(batch, device), state)
        here = np.flatnonzero((places >= begin) & (places < begin + _SEGMENT))
        outputs[asked[here]] = hidden[rows[here] - longer, places[here] - begin]
