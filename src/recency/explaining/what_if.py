"""WhatIf: one question asked again with some of the user's events left out, or at other instants.

What others did stays as it is: left out is what the model reads of this user, not what the user's
events once added to the crowd's counts. So each answer here is what the service would give somebody
with exactly the events that are kept, and with all of them it is the answer that was given.

Left out can be the newest `window` events. What lies before them is read once, and all variants go
on from there in one batch: n variants of n events cost n * n steps, however long the history.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recency.asking.live_answers import Live
from recency.data.histories import Histories, Ints
from recency.errors import ConfigError
from recency.evaluation.protocol import block_length
from recency.live.live_model import LiveModel
from recency.nn.fading import OWN_WINDOW
from recency.nn.inputs import Tensors
from recency.nn.model import SequenceModel

_SEGMENT = 256  # events read in one call
Kept = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Variants:
    """Hold variants of one history, each as the newest events that a model may look back at.

    Attributes:
        histories: One a variant.
        fixed: The first events of each, which the encoder has read already.
    """

    histories: Histories
    fixed: int

    @property
    def empty(self) -> Kept:
        """Tell which variants have no event at all, [m]."""
        found: Kept = self.histories.lengths == 0
        return found


class WhatIf:
    """Answer one question with some of the newest events left out.

    Args:
        live: A live model, or an ensemble's.
        history: The events of one user before ``at``.
        at: Instant of the question, microseconds.
        window: Newest events that can be left out.
        repeats: Whether it was asked for items of the history as well.

    Raises:
        ConfigError: ``window`` is below 1.
    """

    def __init__(
        self, live: Live, history: Histories, at: int, window: int = 50, repeats: bool = True
    ) -> None:
        if isinstance(window, bool) or window < 1:
            raise ConfigError(f"window: expected 1 event or more, found {window!r}.")
        self.live, self.history, self.at, self.repeats = live, history, at, repeats
        self.n = min(history.n_events, window)
        self.first = history.n_events - self.n  # of the events that can be left out
        self._before: Tensor | None = None
        if isinstance(live, LiveModel):
            self._before = _read(live.model, history, self.first)

    @property
    def all(self) -> Kept:
        """Keep everything: one variant, [1, n]."""
        return np.ones((1, self.n), bool)

    @property
    def one_out(self) -> Kept:
        """Leave each event out once: [n, n], a row an event, oldest first."""
        found: Kept = ~np.eye(self.n, dtype=bool)
        return found

    @property
    def last(self) -> int:
        """Give the instant of the newest event, microseconds."""
        return int(self.history.times[-1])

    def served(self) -> Doubles:
        """Give the scores [items known] of the question as it was asked, as a service gives them.

        Without events, they are those of what is popular.
        """
        found: Doubles = self._scored(self.variants(self.all), self.at)[0][0]
        return found

    def logs(self, kept: Kept, *, at: int | None = None, even: bool = False) -> Doubles:
        """Give log-probabilities of all items for variants.

        A variant without any event is answered by what is popular, as a stranger is.

        Args:
            kept: [m, n] which of the newest n events are kept, oldest first.
            at: Instant to which the user's own ages and wait are counted, microseconds; what others
                did until the question's own instant is known all the same. None: that instant.
            even: Read the n events as if they lay evenly between the first and the last of them.

        Returns:
            [m, items known], -inf for what cannot be recommended.
        """
        return np.concatenate(list(self._blocks(kept, at, even)))

    def logs_of(self, kept: Kept, item: int, outputs: Tensor | None = None) -> tuple[Doubles, Ints]:
        """Give one item's log-probability and rank (1 = best) in variants, [m] each; see `logs`.

        Args:
            kept: As of `logs`.
            item: Row.
            outputs: [1, dim] in place of what the encoder says after each variant: then only what
                the experts read of the events is left out.
        """
        logs, ranks = [], []
        for block in self._blocks(kept, None, False, outputs):
            logs.append(block[:, item])
            ranks.append(1 + (block > block[:, [item]]).sum(axis=1))
        return np.concatenate(logs), np.concatenate(ranks)

    def columns(self, kept: Kept, items: Ints) -> Doubles:
        """Give the log-probabilities [m, k] of some items in variants; see `logs`."""
        return np.concatenate([block[:, items] for block in self._blocks(kept, None, False)])

    def _blocks(
        self, kept: Kept, at: int | None, even: bool, outputs: Tensor | None = None
    ) -> Iterator[Doubles]:
        """Give what `logs` gives, some variants at a time."""
        block = max(1, block_length(len(self.live.vocabs.items)) // 4)
        for start in range(0, len(kept), block):
            variants = self.variants(kept[start : start + block], even=even)
            scores, fallback = self._scored(variants, self.at if at is None else at, outputs)
            scores[fallback] *= np.log(2)  # what is popular is scored by its logarithm to base 2
            yield _normalised(scores)

    def read_by_experts(self, item: int, output: Tensor) -> Doubles:
        """Give what each of the n events brings to an item through what the experts read, [n].

        Each is left out of what they read, while the encoder's output [1, dim] stands as it is.
        """
        whole, _ = self.logs_of(self.all, item)
        found: Doubles = whole - self.logs_of(self.one_out, item, output)[0]
        return found

    def variants(self, kept: Kept, *, even: bool = False) -> Variants:
        """Make the histories of variants; see `logs`."""
        whole = not isinstance(self.live, LiveModel)
        tail = 0 if whole else max(0, self.first - OWN_WINDOW)
        fixed = self.first - tail
        wanted = np.concatenate((np.ones((len(kept), fixed), bool), kept), axis=1)
        rows, columns = np.nonzero(wanted)
        history = self.history
        times = history.times.copy()
        if even and self.n:
            times[self.first :] = np.linspace(times[self.first], times[-1], self.n).astype(np.int64)
        places = tail + columns
        counts = np.bincount(rows, minlength=len(kept))
        nothing = history.cut(history.offsets[:-1])  # but what is known of the user
        histories = replace(
            nothing.select(np.zeros(len(kept), np.int64)),
            offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
            items=history.items[places],
            times=times[places],
            types=None if history.types is None else history.types[places],
            values=None if history.values is None else history.values[places],
        )
        return Variants(histories, fixed)

    @torch.no_grad()
    def outputs(self, variants: Variants) -> Tensor:
        """Give the model's outputs [m, dim] after variants.

        Raises:
            ConfigError: it is not one model that is asked.
        """
        if not isinstance(self.live, LiveModel) or self._before is None:
            raise ConfigError("expected one model, found an ensemble, whose members differ.")
        histories, model = variants.histories, self.live.model
        batch = histories.gather(histories.offsets[:-1] + variants.fixed, histories.offsets[1:])
        states = self._before.expand(histories.n_users, -1)
        return model.outputs_of(model.advance(Tensors.from_batch(batch, model.bias.device), states))

    def batch(self) -> tuple[Tensors, Tensor]:
        """Give the newest n events as a batch, and the model's state [1, state_size] before them.

        Raises:
            ConfigError: it is not one model that is asked.
        """
        if not isinstance(self.live, LiveModel) or self._before is None:
            raise ConfigError("expected one model, found an ensemble, whose members differ.")
        places = np.array([self.first]), np.array([self.history.n_events])
        events = self.history.gather(*places)
        return Tensors.from_batch(events, self.live.model.bias.device), self._before

    def _scored(
        self, variants: Variants, at: int, given: Tensor | None = None
    ) -> tuple[Doubles, Kept]:
        """Score all items after variants: [m, items known], and [m] who got what is popular."""
        if not isinstance(self.live, LiveModel):
            scores, fallback = self.live.scores_after(variants.histories, at, self.repeats)
            return scores.astype(np.float64), fallback
        histories, empty, live = variants.histories, variants.empty, self.live
        scores = np.empty((histories.n_users, len(live.vocabs.items)), np.float32)
        if empty.any():
            scores[empty] = live.popular(self.at)
        rows = np.flatnonzero(~empty)
        if len(rows):
            every = self.outputs(variants) if given is None else given.expand(len(empty), -1)
            outputs, stops = every[torch.from_numpy(rows)], histories.offsets[1:]
            scores[rows] = live.scoring.scores(
                outputs,
                histories,
                rows,
                stops[rows],
                at,
                scores.shape[1],
                None if live.recall is None else live.recall.at(self.at),
                self.repeats,
            )
        return scores.astype(np.float64), empty


@torch.no_grad()
def _read(model: SequenceModel, history: Histories, stop: int) -> Tensor:
    """Read the first events of one history, and give the state [1, state_size] after them."""
    state = model.initial_state(1)
    for begin in range(0, stop, _SEGMENT):
        batch = history.gather(np.array([begin]), np.array([min(stop, begin + _SEGMENT)]))
        _, state = model(Tensors.from_batch(batch, model.bias.device), state)
    return state


def _normalised(scores: Doubles) -> Doubles:
    """Turn scores [m, n] into logarithms of shares that sum to 1."""
    top = scores.max(axis=1, keepdims=True)
    found: Doubles = scores - top - np.log(np.exp(scores - top).sum(axis=1, keepdims=True))
    return found
