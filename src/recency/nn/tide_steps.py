"""Tide steps: one event of a few users, read by Tide in NumPy.

For one user, torch spends most of its time on finding out what to call: a step is a hundred small
operations. NumPy needs a fraction of that for each. What is computed is `SequenceModel.step`
(contract 3), as near as float32 rounds; norms are folded into the products behind them, and all
gates of a block are one exponential.

Weights are copied once, but for those of items and event types, which may move while a model
serves: they are read where they lie.
"""

import math
from bisect import bisect_right
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from recency.data.histories import NO_GAP, UNKNOWN, Batch
from recency.nn.inputs import SPECIAL, EventEmbedding
from recency.nn.model import SequenceModel
from recency.nn.tide import FLOOR, Tide
from recency.nn.time import LONGEST, SHORTEST, CalendarEncoding

Floats = npt.NDArray[np.float32]
_LEAST_LEFT = -43.0  # halvings a gap, as in `banks.kept`
_EPS = np.float32(1e-5)  # of layer norms


class _Layer(NamedTuple):
    """Hold a product and what is added: y = x w + b."""

    w: Floats
    b: Floats


class _Block(NamedTuple):
    """Hold one block of Tide; each layer but the last has the norm before it folded in.

    The gates of ``enter`` are turned round, so that 1 / (1 + e^y) makes sigmoids of them.
    ``events`` are the rates of what is lost by events, in nats.
    """

    enter: _Layer
    leave: _Layer
    feed_enter: _Layer
    feed_leave: _Layer
    events: Floats


class TideSteps:
    """Read one event each of a few users.

    Args:
        model: With a Tide that keeps no window; in evaluation mode, on a CPU.
    """

    def __init__(self, model: SequenceModel) -> None:
        tide = model.encoder
        assert isinstance(tide, Tide)
        self._model, self._dim = model, tide.dim
        self._pairs, self._plain = tide.forgetting.pairs, 2 * tide.dim - 2 * tide.forgetting.pairs
        events, seconds = tide.forgetting.rates()
        assert seconds is not None
        self._seconds = _array(seconds)  # [blocks, modes]
        self._hints, self._speeds = _array(tide.forgetting.hints), _array(tide.forgetting.speeds)
        self._periods = tide.forgetting.periods.numpy()
        self._blocks = [
            _block(one, rates * np.float32(math.log(2)))
            for one, rates in zip(tide.blocks, _array(events), strict=True)
        ]
        self._output = _folded(model.output, tide.norm)
        self._embedding = _Embedding(model.events)

    @classmethod
    def of(cls, model: SequenceModel) -> Self | None:
        """Give the steps of a model, None where it has a part that is not known here."""
        tide, events = model.encoder, model.events
        known = (
            isinstance(tide, Tide)
            and not tide.window
            and tide.forgetting.time
            and events.attributes is None
            and model.described is None
            and model.domains is None
            and model.profile is None
            and model.bias.device.type == "cpu"
            and {weight.dtype for weight in model.parameters()} == {torch.float32}
        )
        return cls(model) if known else None

    def step(self, batch: Batch, states: Floats) -> Floats:
        """Read one event of each user: ``batch`` is [n, 1]; give the states [n, size] after it."""
        fresh = np.empty_like(states)
        x = given = self._embedding.of(batch, self._model.items)
        seconds = np.clip(batch.gaps, np.float32(0), np.float32(LONGEST))  # [n, 1]
        hints = np.exp2(seconds * self._hints) * (batch.gaps >= 0)
        left = np.exp2(np.maximum(seconds[:, None] * self._seconds, np.float32(_LEAST_LEFT)))
        phases = np.fmod(seconds.astype(np.float64), self._periods).astype(np.float32)
        phases *= self._speeds
        turns = np.empty(phases.shape, np.complex64)
        np.cos(phases, out=turns.real)
        np.sin(phases, out=turns.imag)
        width = 2 * self._dim
        with np.errstate(over="ignore"):  # e^89 is infinite in float32, and its gate is 0
            for at, block in enumerate(self._blocks):
                part = slice(at * width, (at + 1) * width)
                after = fresh[:, part]
                self._remember(block, x, hints, left[:, at], turns, states[:, part], after)
                x = x + _product(_normed(after), block.leave)
                x = x + self._fed(block, x)
        fresh[:, len(self._blocks) * width :] = _product(_normed(x - given), self._output)
        return fresh

    def _remember(
        self,
        block: _Block,
        x: Floats,
        hints: Floats,
        left: Floats,
        turns: npt.NDArray[np.complex64],
        before: Floats,
        after: Floats,
    ) -> None:
        """Move one block's memory [n, 2 dim]; ``after`` is filled."""
        plain, width = self._plain, 2 * self._dim
        entered = _product(np.concatenate((_normed(x), hints), axis=1), block.enter)
        values, gates = np.tanh(entered[:, :width]), _opened(entered[:, width:])
        gone = np.expm1(gates[:, width:] * block.events)
        scale = np.sqrt(np.float32(FLOOR) - gone * (gone + 2))
        keep = (gone + 1) * left
        inputs = values * gates[:, :width]
        after[:, :plain] = inputs[:, :plain] * scale[:, :plain]
        after[:, :plain] += keep[:, :plain] * before[:, :plain]
        if self._pairs:
            old = before[:, plain:].view(np.complex64)
            turned = inputs[:, plain:].view(np.complex64) * scale[:, plain:]
            turned += keep[:, plain:] * turns * old
            after[:, plain:] = turned.view(np.float32)

    def _fed(self, block: _Block, x: Floats) -> Floats:
        """Give what the gated feed-forward adds."""
        y = _product(_normed(x), block.feed_enter)
        value, gate = y[:, : 2 * self._dim], y[:, 2 * self._dim :]
        return _product(value * gate * _opened(-gate), block.feed_leave)


class _Embedding:
    """Turn events into vectors, as `EventEmbedding` does."""

    def __init__(self, events: EventEmbedding) -> None:
        self._events = events
        self._norm = _array(events.norm.weight), _array(events.norm.bias)
        self._gap = None if events.gap is None else _array(events.gap.table)
        self._calendar = None if events.calendar is None else _Calendar(events.calendar)
        self._value = None if events.value is None else _array(events.value.table)
        if events.value is not None:
            self._mean, self._deviation = float(events.value.mean), float(events.value.deviation)

    def of(self, batch: Batch, table: Tensor) -> Floats:
        """Encode the events [n, 1] of a batch: [n, dim]."""
        items, types = table.detach().numpy(), self._events.types
        x = np.empty((len(batch), items.shape[1]), np.float32)
        columns = (batch.items, batch.gaps, batch.times, batch.values, batch.types)
        rows = zip(*(column[:, 0].tolist() for column in columns), strict=True)
        for place, (item, gap, time, value, kind) in enumerate(rows):
            row = items[(item if item < len(items) - SPECIAL else UNKNOWN) + SPECIAL]
            if types is not None:
                known = kind if kind < len(types) - SPECIAL else UNKNOWN
                row = row + types.detach().numpy()[known + SPECIAL]
            if self._value is not None:
                row = row + self._of_value(value, self._value)
            if self._gap is not None:
                row = row + _of_gap(gap, self._gap)
            if self._calendar is not None:
                row = row + self._calendar.of(time)
            x[place] = row
        weight, bias = self._norm
        return _normed(x) * weight + bias

    def _of_value(self, value: float, table: Floats) -> Floats:
        if math.isnan(value):
            missing: Floats = table[1]
            return missing
        known = (math.asinh(value) - self._mean) / self._deviation
        found: Floats = table[0] * np.float32(min(max(known, -5.0), 5.0))
        return found


class _Calendar:
    """Encode an instant as `CalendarEncoding` does."""

    def __init__(self, calendar: CalendarEncoding) -> None:
        self._weight = np.ascontiguousarray(_array(calendar.project.weight).T)
        self._bias = _array(calendar.project.bias)
        self._year = float(calendar.year_shown)
        self._changes, self._offsets, self._years = calendar.tables()

    def of(self, time: int) -> Floats:
        seconds = time // 1_000_000
        days, second = divmod(seconds + self._offsets[bisect_right(self._changes, seconds)], 86_400)
        year = min(max(bisect_right(self._years, days) - 1, 0), len(self._years) - 2)
        start, end = self._years[year], self._years[year + 1]
        shares = (
            second / 86_400,
            ((days + 3) % 7 + second / 86_400) / 7,
            (max(days - start, 0) + second / 86_400) / (end - start),
        )
        waves = []
        for (name, turns), share in zip(CalendarEncoding.turns, shares, strict=True):
            shown = self._year if name == "year" else 1.0
            for turn in range(1, turns + 1):
                angle = 2 * math.pi * turn * share
                waves += [shown * math.sin(angle), shown * math.cos(angle)]
        encoded: Floats = np.array(waves, np.float32) @ self._weight + self._bias
        return encoded


def _of_gap(gap: float, table: Floats) -> Floats:
    """Encode a gap as `GapEncoding` does: the table holds the knots, then the two cases apart."""
    knots = len(table) - 2
    if gap in (0, NO_GAP):
        apart: Floats = table[knots if gap == 0 else knots + 1]
        return apart
    step = math.log(LONGEST / SHORTEST) / (knots - 1)
    place = math.log(min(max(gap, SHORTEST), LONGEST) / SHORTEST) / step
    low = min(int(place), knots - 2)
    share = np.float32(place - low)
    between: Floats = table[low] * (1 - share) + table[low + 1] * share
    return between


def _block(block: nn.Module, events: Floats) -> _Block:
    parts = dict(block.named_children())
    enter = _folded(parts["enter"], parts["norm"])
    leave = _folded(parts["leave"], parts["memory_norm"])
    signs = np.full(len(enter.b), -1, np.float32)
    signs[: len(leave.w)] = 1
    return _Block(
        _Layer(enter.w * signs, enter.b * signs),
        leave,
        _folded(parts["feed_enter"], parts["feed_norm"]),
        _folded(parts["feed_leave"]),
        events,
    )


def _folded(layer: nn.Module, norm: nn.Module | None = None) -> _Layer:
    """Give a layer, with the scale and shift of a norm folded in whose numbers it reads first."""
    assert isinstance(layer, nn.Linear)
    w = _array(layer.weight).T.copy()
    b = np.zeros(w.shape[1], np.float32) if layer.bias is None else _array(layer.bias)
    if isinstance(norm, nn.LayerNorm):
        width = len(norm.weight)
        b = b + _array(norm.bias) @ w[:width]
        w[:width] *= _array(norm.weight)[:, None]
    return _Layer(w, b)


def _normed(x: Floats) -> Floats:
    """Bring rows to mean 0 and variance 1, as a layer norm does before it scales."""
    average = np.full(x.shape[1], 1 / x.shape[1], np.float32)
    apart = x - (x @ average)[:, None]
    scaled: Floats = apart / np.sqrt((apart * apart) @ average + _EPS)[:, None]
    return scaled


def _product(x: Floats, layer: _Layer) -> Floats:
    y: Floats = x @ layer.w
    y += layer.b
    return y


def _opened(y: Floats) -> Floats:
    """Give 1 / (1 + e^y)."""
    gates: Floats = np.exp(y)
    gates += 1
    return np.reciprocal(gates, out=gates)


def _array(weights: Tensor) -> Floats:
    found: Floats = weights.detach().numpy().copy()
    return found
