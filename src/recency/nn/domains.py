"""Domains: one memory over several catalogues, read and scored with each item's domain in mind.

    read    r_i = v_i + e_d(i)
    scored  s_i = v_i + (v_i A_d(i)) B_d(i)

with v_i the row of item i, e_d a vector and A_d [dim, rank], B_d [rank, dim] two narrow matrices of
its domain d. The score q s_i = (q + q B_d' A_d') v_i is that of a query changed for the domain:
each domain reads the one memory in its own way. Matrices of low rank beside a shared one are those
of Hu et al., LoRA, ICLR 2022, equation 3. e and B start at zero: a model begins as one that ignores
domains, to the bit, and domains part only where it pays.

The loss is a mixture of two softmaxes of the target y in the domain d,

    (1 - w) (-log p(y))  +  w (-log p(y | d))  =  -log p(y | d)  -  (1 - w) log p(d)

so that w, `DomainConfig.within`, says how little is to be learned of which domain comes next: with
the domain given in the question, nothing hangs on it.

After training `fold` writes r into the table of items and s into the vectors that are scored apart:
serving knows nothing of all this.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from recency.data.histories import Ints
from recency.errors import ConfigError, raise_all
from recency.nn.inputs import SPECIAL
from recency.nn.losses import Sample, cosine, sampled_nats, softmax_nats

if TYPE_CHECKING:
    from recency.nn.model import SequenceModel

NO_DOMAIN = -1
EXACT = 20_000  # items of a domain up to which all are compared with, as ``loss="auto"`` does


@dataclass(frozen=True)
class DomainConfig:
    """Choose what a model makes of several domains.

    Attributes:
        embedding: Read the domain of each event.
        rank: Of the change of scored vectors in each domain; 0 scores all domains alike.
        within: Share of the loss that compares a target with the items of its own domain only, in
            [0, 1]; 1 learns nothing of which domain comes next.
        balance: Power of a domain's number of targets that its share in training is proportional
            to, in [0, 1]: 1 takes events as they are, 0 all domains alike.
    """

    embedding: bool = True
    rank: int = 16
    within: float = 0.9
    balance: float = 0.7

    def __post_init__(self) -> None:
        """Refuse impossible settings, all together."""
        faults = [
            f"DomainConfig({name}={share!r}): expected a number in [0, 1]."
            for name, share in (("within", self.within), ("balance", self.balance))
            if not 0 <= share <= 1
        ]
        if isinstance(self.rank, bool) or not isinstance(self.rank, int) or self.rank < 0:
            faults.append(
                f"DomainConfig(rank={self.rank!r}): expected a whole number of at least 0."
            )
        raise_all(faults, ConfigError)

    @property
    def parts(self) -> bool:
        """Tell whether items are scored by other vectors than they are read by."""
        return self.embedding or self.rank > 0


def domains_of_settings(settings: Mapping[str, Any]) -> DomainConfig | None:
    """Give what a folder says of domains; None where it says nothing, as older ones do."""
    said = settings.get("domains")
    return None if said is None else DomainConfig(**said)


class Domains(nn.Module):
    """Read and score items by their domain while a model is trained.

    Args:
        dim: Width of item vectors.
        of_items: [n_items] domain of each item, `NO_DOMAIN` where it has none; such items are read
            and scored by their row alone.
        config: What is made of it.

    Raises:
        ConfigError: no item has a domain.
    """

    def __init__(self, dim: int, of_items: Tensor, config: DomainConfig) -> None:
        super().__init__()
        n_domains = int(of_items.max()) + 1 if len(of_items) else 0
        if n_domains < 1:
            raise ConfigError("expected items with a domain, found none.")
        self.config, self.n_domains = config, n_domains
        for name in ("of_items", "member"):
            self.register_buffer(name, torch.empty(0), persistent=False)
        self.of_items: Tensor
        self.member: Tensor
        self.place(of_items)
        self.reading = nn.Parameter(torch.zeros(n_domains, dim)) if config.embedding else None
        self.down = self.up = None
        if config.rank:
            self.down = nn.Parameter(torch.empty(dim, n_domains * config.rank))
            self.up = nn.Parameter(torch.zeros(n_domains * config.rank, dim))
            nn.init.normal_(self.down, std=dim**-0.5)

    def place(self, of_items: Tensor) -> None:
        """Put items into domains [n_items]; those of domains that came since are in none."""
        known = torch.where(of_items < self.n_domains, of_items, NO_DOMAIN)
        self.of_items = known
        self.member = nn.functional.one_hot(known + 1, self.n_domains + 1)[:, 1:].float()

    def read(self, table: Tensor) -> Tensor:
        """Give the vectors that are read for rows, both [special + n_items, dim]."""
        if self.reading is None:
            return table
        return torch.cat((table[:SPECIAL], table[SPECIAL:] + self.member @ self.reading))

    def scored(self, vectors: Tensor) -> Tensor:
        """Give the vectors that are scored for rows, both [n_items, dim]."""
        if self.down is None or self.up is None:
            return vectors
        narrow = (vectors @ self.down).view(len(vectors), self.n_domains, -1)
        return vectors + (narrow * self.member[:, :, None]).flatten(1) @ self.up

    def within(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Take from scores [n, n_items] the items of other domains than each target's [n]."""
        other = self.of_items[targets][:, None] != self.of_items
        return scores.masked_fill(other, -math.inf)

    def blended(
        self,
        whole: Callable[[], Tensor],
        model: "SequenceModel",
        queries: Tensor,
        targets: Tensor,
        sample: Sample | None,
    ) -> Tensor:
        """Mix the loss over all items with the one within each target's domain.

        Args:
            whole: Gives the loss over all items; not called where it counts nothing.
            model: Whose domains these are.
            queries: [n, dim].
            targets: [n] item rows.
            sample: As `SequenceModel.loss` takes it; within a domain of more than `EXACT` items as
                many are drawn from the domain alone; of a smaller one all are taken.

        Returns:
            Mean nats, a scalar.
        """
        share = self.config.within
        if not share:
            return whole()
        within = self._within(model, queries, targets, None if sample is None else sample.items)
        return within if share == 1 else share * within + (1 - share) * whole()

    def _within(
        self, model: "SequenceModel", queries: Tensor, targets: Tensor, drawn: Tensor | None
    ) -> Tensor:
        vectors, biases, codes = model.vectors, model.biases, self.of_items[targets]
        if model.temperature is not None:
            queries, vectors = cosine(queries, vectors, model.temperature)
        total = queries.new_zeros(())
        for code in torch.unique(codes).tolist():
            asked, rows = codes == code, torch.nonzero(self.of_items == code).flatten()
            few = drawn is not None and max(EXACT, len(drawn)) < len(rows)
            if few:
                assert drawn is not None
                others = rows[torch.randint(len(rows), (len(drawn),), device=rows.device)]
                nats = sampled_nats(
                    queries[asked], vectors, biases, targets[asked], others, n_items=len(rows)
                )
            else:
                places = torch.searchsorted(rows, targets[asked])
                nats = softmax_nats(queries[asked], vectors[rows], biases[rows], places)
            total = total + nats.sum()
        return total / len(targets)


def join(model: "SequenceModel", of_items: Ints, config: DomainConfig, seed: int) -> None:
    """Let a model tell domains until `fold`.

    Args:
        model: Changed in place.
        of_items: [n_items] domain of each item, `NO_DOMAIN` where it has none.
        config: What is made of it. A model whose items are scored apart from how they are read
            has learned of domains before: then the loss alone minds them.
        seed: Of the first weights.
    """
    if model.scored_items is not None:
        config = replace(config, embedding=False, rank=0)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        domains = Domains(model.dim, torch.from_numpy(of_items.astype(np.int64)), config)
    model.domains = domains.to(model.bias.device)


@torch.no_grad()
def fold(model: "SequenceModel", of_items: Ints) -> None:
    """Keep item vectors as they are read and as they are scored now, and forget their domains.

    Args:
        model: Trained, and its content folded, if it has any.
        of_items: [n_items] as of `join`; items may have joined since.
    """
    domains = model.domains
    if domains is None:
        return
    domains.place(torch.from_numpy(of_items.astype(np.int64)).to(model.bias.device))
    scored, read = model.vectors.clone(), model.table.clone()
    model.domains = None
    model.items.copy_(read)
    if domains.config.parts:
        model.scored_items = nn.Parameter(scored)
