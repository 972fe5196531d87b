"""The sequence model: inputs, encoder, the question's instant, and scores over all items.

One table holds an item's vector both as input and as output ("tied"): this halves the weights and
is the better choice in nearly all published comparisons. A score is the dot product of a query with
an item's vector, plus the item's bias.

A user's state is one flat row: the encoder's state, then the output after the newest event. With it
a question is answered without reading the history again.
"""

import math
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from recency.data.histories import Histories
from recency.errors import ConfigError, raise_all
from recency.nn.domains import Domains
from recency.nn.dropout import Dropout
from recency.nn.encoder import Encoder
from recency.nn.experts import Evidence, ExpertConfig, Experts
from recency.nn.inputs import SPECIAL, EventEmbedding, InputConfig, Tensors, ValueEncoding
from recency.nn.item_content import Described
from recency.nn.losses import Sample, cosine, full_softmax, gbce, sampled_nats, softmax_nats
from recency.nn.profile import ProfileStart, begun
from recency.nn.question import Question
from recency.nn.scored_items import let_in, tie
from recency.nn.time import CalendarEncoding

RequestTime = Literal["unknown", "known"]
_TWO_YEARS = 2 * 365.25 * 86_400e6  # microseconds


class SequenceModel(nn.Module):
    """Predict a user's next item from the events so far, and the instant of the question if wanted.

    Args:
        encoder: Reads the events; the model takes it as it is, weights included.
        n_items: Items that can be scored.
        n_types: Event types known; 0 leaves types out for good.
        inputs: What is read of an event.
        request_time: ``"known"`` lets scores depend on the instant of the question.
        experts: Simple memories mixed with the encoder's score; None mixes none.
        temperature: Of scores by cosines; None scores by dot products.

    Raises:
        ConfigError: a count or ``temperature`` is impossible, or ``request_time`` is neither of the
            two.
    """

    def __init__(
        self,
        encoder: Encoder,
        n_items: int,
        n_types: int = 0,
        inputs: InputConfig | None = None,
        request_time: RequestTime = "unknown",
        experts: ExpertConfig | None = None,
        temperature: float | None = None,
    ) -> None:
        super().__init__()
        _check(n_items, request_time, temperature)
        dim = encoder.dim
        inputs = InputConfig() if inputs is None else inputs
        self.encoder = encoder
        self.request_time: RequestTime = request_time
        self.temperature = temperature
        self.items = nn.Parameter(_vectors(n_items + SPECIAL, dim))
        self.bias = nn.Parameter(torch.zeros(n_items))
        self.scored_items: nn.Parameter | None = None  # once they stand apart from `items`
        self.described: Described | None = None  # adds content to item vectors; see `item_content`
        self.domains: Domains | None = None  # tells items by their domain; see `domains`
        self.n_learned: int | None = None  # items whose rows were learned; None: all
        self.scored_apart = False  # whether `scored_items` are there to stay
        self.heads = nn.ModuleList()  # what is told beside the next item; see `nn.heads`
        self.profile: ProfileStart | None = None  # what histories start from; see `profile`
        self.events = EventEmbedding(dim, n_types, inputs)
        # The output starts as the encoder gives it; the layer lets it live in the items' space.
        self.output = nn.Linear(dim, dim)
        self.dropout = Dropout(inputs.dropout)
        self.question = Question(dim, inputs.time_zone) if request_time == "known" else None
        self.experts = None if experts is None else Experts(dim, experts)
        self.register_buffer("calibrated", torch.zeros((), dtype=torch.bool))
        self.calibrated: Tensor
        with torch.no_grad():
            self.items[:SPECIAL] = 0.0
            nn.init.eye_(self.output.weight)
            nn.init.zeros_(self.output.bias)

    @property
    def dim(self) -> int:
        """Give the width of outputs and item vectors."""
        return self.encoder.dim

    @property
    def n_items(self) -> int:
        """Count the items that can be scored."""
        return len(self.bias)

    @property
    def table(self) -> Tensor:
        """Give the vectors [n_items + 2, dim] that are read: of padding, unknown and the items."""
        return self._rows if self.domains is None else self.domains.read(self._rows)

    @property
    def vectors(self) -> Tensor:
        """Give the item vectors [n_items, dim] that are scored."""
        if self.scored_items is not None:
            return self.scored_items
        rows = self._rows[SPECIAL:]
        return rows if self.domains is None else self.domains.scored(rows)

    @property
    def _rows(self) -> Tensor:
        """Give rows [n_items + 2, dim] with content, but without anything of domains."""
        return self.items if self.described is None else self.described.vectors(self.items)

    @property
    def biases(self) -> Tensor:
        """Give the items' biases [n_items]."""
        return self.bias if self.described is None else self.described.biases(self.bias)

    @property
    def state_size(self) -> int:
        """Give the width of a user's state: the encoder's, then one output."""
        return self.encoder.state_size + self.dim

    def initial_state(self, batch_size: int) -> Tensor:
        """Give the state [batch_size, state_size] of users without events: zeros."""
        return torch.zeros(batch_size, self.state_size, device=self.bias.device)

    def forward(self, batch: Tensors, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Read histories.

        Args:
            batch: [batch, length] events, padded on the right.
            state: [batch, state_size] where the histories were left off; None starts afresh.

        Returns:
            Outputs [batch, length, dim] in float32, and the states [batch, state_size] after the
            last column, which mean something only for rows without padding.
        """
        if self.described is not None:
            self.described.draw()
        before = None if state is None else state[:, : self.encoder.state_size].contiguous()
        before = begun(self, batch, before)
        encoded, after = self.encoder(self.events(self.table, batch), batch.clock, before)
        outputs = self.dropout(self.output(encoded)).float()
        return outputs, torch.cat((after.float(), outputs[:, -1]), dim=1)

    def step(self, batch: Tensors, state: Tensor) -> Tensor:
        """Read one event of each user: ``batch`` is [batch, 1]; give the states after it."""
        before = begun(self, batch, state[:, : self.encoder.state_size].contiguous())
        assert before is not None
        x = self.events(self.table, batch)[:, 0]
        encoded, after = self.encoder.step(x, batch.clock, before)
        return torch.cat((after, self.output(encoded)), dim=1)

    def advance(self, batch: Tensors, state: Tensor | None = None) -> Tensor:
        """Read histories of different lengths and give each user's state after its own last event.

        The rows are read in stretches that end where a row ends, so that no padding enters a state;
        a row without events keeps its state.

        Args:
            batch: [batch, length] events, padded on the right.
            state: [batch, state_size] states before; None starts afresh.

        Returns:
            [batch, state_size].
        """
        states = self.initial_state(len(batch)) if state is None else state.clone()
        start = 0
        for stop in torch.unique(batch.lengths).tolist():
            if stop == 0:
                continue
            rows = torch.nonzero(batch.lengths >= stop).flatten()
            _, after = self(batch.part(rows, slice(start, stop)), states[rows])
            states[rows] = after
            start = stop
        return states

    def outputs_of(self, states: Tensor) -> Tensor:
        """Give the outputs [n, dim] after the newest event that states [n, state_size] carry."""
        return states[:, self.encoder.state_size :]

    def ask(self, outputs: Tensor, last_times: Tensor, at: Tensor) -> Tensor:
        """Turn outputs into queries at an instant.

        Args:
            outputs: [n, dim] after each user's newest event before ``at``.
            last_times: [n] int64 microseconds, when that event was.
            at: [n] int64 microseconds, when is asked; ignored if ``request_time="unknown"``.

        Returns:
            [n, dim].
        """
        if self.question is None:
            return outputs
        queries: Tensor = self.question(outputs, last_times, at)
        return queries

    def scores(self, queries: Tensor) -> Tensor:
        """Score all items by the encoder alone for queries [n, dim]: [n, n_items]."""
        return nn.functional.linear(*self._scored(queries), self.biases)

    def loss(
        self,
        queries: Tensor,
        targets: Tensor,
        sample: Sample | None = None,
        evidence: Evidence | None = None,
    ) -> Tensor:
        """Measure how well queries tell the right items.

        Args:
            queries: [n, dim].
            targets: [n] item rows.
            sample: Items that stand for all others; None: all items.
            evidence: What the experts knew of the targets; without it the encoder stands alone.
                Experts mix probabilities, which `gbce` does not give.

        Returns:
            Mean nats, a scalar: of the encoder; or the mean of its own and the whole mixture's, and
            those of whether the target is an own past item.
        """
        if self.experts is not None and evidence is not None:
            own = self.nats(queries, targets, sample)
            parts = self.experts.parts(queries, -own, targets, evidence)
            mixed = self.experts.mixture(self.experts.gates(queries), parts)
            again = self.experts.repeat_nats(queries, targets, evidence)
            return (own.mean() - mixed.mean()) / 2 + again
        if sample is None:
            return full_softmax(*self._scored(queries), self.biases, targets)
        if sample.calibration is None:
            return self.nats(queries, targets, sample).mean()
        right, wrong = sample.places(targets), sample.places(sample.items)
        return gbce(
            *self._scored(queries), self.biases, right, wrong, sample.calibration, sample.n_items
        )

    def domain_loss(
        self,
        queries: Tensor,
        targets: Tensor,
        sample: Sample | None = None,
        evidence: Evidence | None = None,
    ) -> Tensor:
        """Measure `loss`, and how well items are told within their domain if domains are known."""
        if self.domains is None:
            return self.loss(queries, targets, sample, evidence)
        whole = partial(self.loss, queries, targets, sample, evidence)
        return self.domains.blended(whole, self, queries, targets, sample)

    def nats(self, queries: Tensor, targets: Tensor, sample: Sample | None = None) -> Tensor:
        """Give -log of each target's probability by the encoder alone, [n]; see `loss`."""
        if sample is None:
            return softmax_nats(*self._scored(queries), self.biases, targets)
        right, drawn = sample.places(targets), sample.places(sample.items)
        return sampled_nats(
            *self._scored(queries), self.biases, right, drawn, sample.log_q, sample.n_items
        )

    def _scored(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Give queries and item vectors whose dot products are scores, less the bias."""
        if self.temperature is None:
            return queries, self.vectors
        return cosine(queries, self.vectors, self.temperature)

    def calibrate(self, histories: Histories) -> None:
        """Learn from training events what no gradient teaches: the scale of values, the years seen.

        Only the first call counts: later ones would change what the learned weights mean.

        Args:
            histories: Training events only.
        """
        if self.calibrated or not histories.n_events:
            return
        self.calibrated.fill_(True)
        span = int(histories.times.max()) - int(histories.times.min())
        for part in self.modules():
            if isinstance(part, CalendarEncoding):
                part.show_year(span >= _TWO_YEARS)
            elif isinstance(part, ValueEncoding) and histories.values is not None:
                part.calibrate(histories.values)

    @torch.no_grad()
    def grow(self, n_items: int, n_types: int = 0, seed: int = 0) -> None:
        """Add rows for new items and event types; old rows stay what they are, bit by bit.

        A new row is the mean of the known ones with a little noise, so that a new item is scored
        like an average one until it is learned. Items are read as they are scored again, unless
        the model has learned to score them apart.

        Args:
            n_items: Items afterwards; no fewer than now.
            n_types: Event types afterwards; ignored where the model reads none.
            seed: Of the noise.

        Raises:
            ConfigError: fewer items than now.
        """
        if n_items < self.n_items:
            raise ConfigError(
                f"grow(n_items={n_items}): the model knows {self.n_items} items; rows never go."
            )
        let_in(self)
        tie(self)
        generator = torch.Generator().manual_seed(seed)
        new = n_items - self.n_items
        self.items = _grown(self.items, n_items + SPECIAL - len(self.items), generator)
        if self.scored_items is not None:
            average = self.scored_items.mean(0).expand(n_items - len(self.scored_items), -1)
            self.scored_items = nn.Parameter(torch.cat((self.scored_items, average)))
        self.bias = nn.Parameter(torch.cat((self.bias, self.bias.mean().expand(new))))
        types = self.events.types
        if types is not None:
            more = max(0, n_types + SPECIAL - len(types))
            self.events.types = _grown(types, more, generator)


def _check(n_items: int, request_time: str, temperature: float | None) -> None:
    """Refuse impossible arguments, all together."""
    faults = []
    if n_items < 1:
        faults.append(f"SequenceModel(n_items={n_items}): expected at least one item.")
    if request_time not in ("unknown", "known"):
        faults.append(
            f"SequenceModel(request_time={request_time!r}): expected 'unknown' or 'known'."
        )
    if temperature is not None and not 0 < temperature < math.inf:
        faults.append(f"SequenceModel(temperature={temperature!r}): expected a number above 0.")
    raise_all(faults, ConfigError)


def _vectors(n: int, dim: int) -> Tensor:
    return torch.empty(n, dim).normal_(std=1 / math.sqrt(dim))


def _grown(table: nn.Parameter, new: int, generator: torch.Generator) -> nn.Parameter:
    known = table.detach()[SPECIAL:]
    if not new or not len(known):
        return table
    noise = torch.empty(new, table.shape[1]).normal_(std=0.01, generator=generator)
    rows = known.mean(0) + noise.to(table.device)
    return nn.Parameter(torch.cat((table.detach(), rows)))
