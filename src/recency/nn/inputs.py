"""What an encoder reads: one vector an event, from its item, type, value, gap and calendar time.

The parts are summed, normalised, and dropped out in training. In training a small share of the
items is hidden, so that the vector of an unknown item is learned too: in service, items appear that
training never saw.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recency.data.histories import PADDING, UNKNOWN, Batch
from recency.errors import ConfigError, raise_all
from recency.nn.dropout import Dropout
from recency.nn.encoder import Clock
from recency.nn.item_attributes import ItemAttributes
from recency.nn.time import CalendarEncoding, GapEncoding, side_vectors, zone_table

SPECIAL = 2  # table rows before the first item's: padding, unknown


@dataclass(frozen=True)
class InputConfig:
    """Choose what an encoder reads of each event besides its item.

    Attributes:
        event_type: Read the event's type where the log has one.
        value: Read the event's value (rating, price, dwell time) where the log has one.
        gap: Read the time since the user's previous event.
        calendar: Read hour, weekday and, given two years of events, day of the year.
        time_zone: IANA zone of the calendar.
        dropout: Share of the numbers dropped in training, of inputs and of outputs, in [0, 1).
        hidden_items: Share of the items read as unknown in training, in [0, 1).
        attributes: Columns of the catalogue to read of each event's item, such as categories,
            price, brand; see `recency.content.attributes`.
    """

    event_type: bool = True
    value: bool = True
    gap: bool = True
    calendar: bool = True
    time_zone: str = "UTC"
    dropout: float = 0.3
    hidden_items: float = 0.02
    attributes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse impossible settings, all together."""
        object.__setattr__(self, "attributes", tuple(self.attributes))  # JSON and TOML know lists
        faults = [
            f"InputConfig({name}={share!r}): expected a share in [0, 1)."
            for name, share in (("dropout", self.dropout), ("hidden_items", self.hidden_items))
            if not 0 <= share < 1
        ]
        try:
            zone_table(self.time_zone)
        except ConfigError as fault:
            faults.append(f"InputConfig(time_zone={self.time_zone!r}): {fault}")
        raise_all(faults, ConfigError)


@dataclass(frozen=True)
class Tensors:
    """Hold a `Batch` as tensors; the same names, shapes and sentinels."""

    items: Tensor
    times: Tensor
    gaps: Tensor
    types: Tensor
    values: Tensor
    lengths: Tensor
    profiles: Tensor | None = None

    @classmethod
    def from_batch(cls, batch: Batch, device: torch.device | str = "cpu") -> "Tensors":
        """Move a batch to a device."""

        def move(cells: np.ndarray[Any, Any]) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(cells)).to(device, non_blocking=True)

        return cls(
            move(batch.items),
            move(batch.times),
            move(batch.gaps),
            move(batch.types),
            move(batch.values),
            move(batch.lengths),
            None if batch.profiles is None else move(batch.profiles),
        )

    def __len__(self) -> int:
        return len(self.items)

    @property
    def clock(self) -> Clock:
        """Give the part that says when."""
        return Clock(self.gaps, self.times)

    def part(self, rows: Tensor | slice, columns: slice) -> "Tensors":
        """Cut out some rows and a stretch of columns; ``lengths`` are kept as they are."""
        cells = (self.items, self.times, self.gaps, self.types, self.values)
        items, times, gaps, types, values = (c[rows, columns] for c in cells)
        profiles = None if self.profiles is None else self.profiles[rows]
        return Tensors(items, times, gaps, types, values, self.lengths[rows], profiles)


class EventEmbedding(nn.Module):
    """Turn events into vectors: the sum of what is known of them, normalised, dropped out.

    Args:
        dim: Width.
        n_types: Event types known; 0 leaves types out.
        config: What to read.
    """

    def __init__(self, dim: int, n_types: int, config: InputConfig) -> None:
        super().__init__()
        self.config = config
        self.types = self.value = self.gap = self.calendar = None
        self.attributes: ItemAttributes | None = None  # of items; see `item_attributes`
        if config.event_type and n_types:
            self.types = side_vectors(n_types + SPECIAL, dim)
        if config.value:
            self.value = ValueEncoding(dim)
        if config.gap:
            self.gap = GapEncoding(dim)
        if config.calendar:
            self.calendar = CalendarEncoding(dim, config.time_zone)
        self.norm = nn.LayerNorm(dim)
        self.dropout = Dropout(config.dropout)

    def forward(self, table: Tensor, batch: Tensors) -> Tensor:
        """Encode events.

        Args:
            table: [n_items + 2, dim] vectors of padding, unknown, and the items.
            batch: [batch, length] events.

        Returns:
            [batch, length, dim].
        """
        x = nn.functional.embedding(self.tokens(batch.items, len(table)), table, padding_idx=0)
        if self.attributes is not None:
            x = x + self.attributes(batch.items)
        if self.types is not None:
            types = torch.where(batch.types < len(self.types) - SPECIAL, batch.types, UNKNOWN)
            x = x + nn.functional.embedding(types + SPECIAL, self.types)
        if self.value is not None:
            x = x + self.value(batch.values)
        if self.gap is not None:
            x = x + self.gap(batch.gaps)
        if self.calendar is not None:
            x = x + self.calendar(batch.times)
        encoded: Tensor = self.dropout(self.norm(x))
        return encoded

    def tokens(self, items: Tensor, n_tokens: int) -> Tensor:
        """Turn item rows into table rows; rows beyond the table and hidden ones become unknown."""
        unknown = items >= n_tokens - SPECIAL
        if self.training and self.config.hidden_items:
            hidden = torch.rand(items.shape, device=items.device) < self.config.hidden_items
            unknown = unknown | (hidden & (items != PADDING))
        return torch.where(unknown, UNKNOWN, items) + SPECIAL


class ValueEncoding(nn.Module):
    """Encode an event's value; values on any scale are made comparable first.

    asinh keeps small values and their sign as they are and takes large ones as logarithms, so cents
    and millions fit; mean and deviation are those of the training events. A missing value has a
    vector of its own.

    Args:
        dim: Width of the encoding.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.table = side_vectors(2, dim)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("deviation", torch.ones(()))
        self.mean: Tensor
        self.deviation: Tensor

    def forward(self, values: Tensor) -> Tensor:
        """Encode values [...], NaN where missing, as [..., dim]."""
        missing = torch.isnan(values)
        known = (torch.asinh(values) - self.mean) / self.deviation
        known = torch.where(missing, 0.0, known.clamp(-5, 5))
        return torch.stack((known, missing.to(known.dtype)), dim=-1) @ self.table

    def calibrate(self, values: np.ndarray[Any, np.dtype[np.float32]]) -> None:
        """Take mean and deviation from training values; keep them where there are none."""
        known = np.arcsinh(values[np.isfinite(values)].astype(np.float64))
        if len(known):
            self.mean.fill_(float(known.mean()))
            self.deviation.fill_(max(float(known.std()), 1e-3))
