"""Experts: simple memories beside the encoder, and the gate that mixes them.

Under an honest split by time, simple memories often beat networks: what everybody takes now (the
crowd), what stood near the last items (the pair), what this user took before (one's own). Each is a
distribution over items that moves with every event. The gate, a softmax of the encoder's output,
mixes them with the encoder's own distribution:

    p(item) = sum over experts e of gate_e(query) * p_e(item)

Probabilities are mixed, not scores: training then needs only the probability of the target under
each expert, an item without weights is recommendable from its first event, and the gate's weights
say what a log lives on. The encoder also keeps a loss of its own, so that it learns as much as it
would alone (mixed into its loss only, what the experts can explain would never reach it).

A second gate says how likely the next item is one of the user's own past ones, and the mixture is
scaled to it: films are rated once, articles are come back to.

The gate that makes targets most probable is not the one that ranks them first: pairs say too little
of the few items at the top, the encoder too much. So where items are ranked, each expert has a lift
beside its gate, see `recency.training.lift`; where chances are told, it has none. There are two of
them: lists of new items only are best drawn from another mixture than those of any items.

Attention over one's own past events by learned curves of age is the pointer of Vinyals, Fortunato
and Jaitly, Pointer Networks, NeurIPS 2015, without content; mixing a copying with a generating
distribution is that of See, Liu and Manning, Get To The Point, ACL 2017, equation 9.
"""

import math
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from recency.data.histories import PADDING, Ints
from recency.data.pairs import WINDOW
from recency.errors import ConfigError, raise_all
from recency.nn.fading import Context, Fading
from recency.units import SECOND, format_duration, parse_duration

FLOOR = 1e-9  # least probability, so that a loss stays finite
_At = TypeVar("_At", int, Ints)


@dataclass(frozen=True)
class ExpertConfig:
    """Choose the memories that are mixed.

    Attributes:
        encoder: The encoder's own distribution over the items it has weights for.
        own: The user's past items, by how long and how many events ago.
        pair: Half-lives of the counts of what stands near the user's last items; () is off.
        crowd: Half-lives of the item clock, the counts of everybody's events; () is off.
        resolution: How finely the log tells time. Where it tells days alone, ``"1d"``: what others
            did is then known up to the beginning of the question's day (UTC), since what stands
            earlier in the same day may have happened later.
    """

    encoder: bool = True
    own: bool = True
    pair: tuple[str | float, ...] = ("1d", "30d", "3650d")
    crowd: tuple[str | float, ...] = ("10min", "1h", "6h", "1d", "7d", "60d", "730d")
    resolution: str | float = 0.0

    def __post_init__(self) -> None:
        """Refuse impossible settings, all together; lists, as JSON has them, become tuples."""
        object.__setattr__(self, "pair", tuple(self.pair))
        object.__setattr__(self, "crowd", tuple(self.crowd))
        parse_duration(self.resolution)  # refuses what is none
        faults = [
            f"ExpertConfig({name}={given!r}): expected half-lives above 0."
            for name, given in (("pair", self.pair), ("crowd", self.crowd))
            if any(parse_duration(one) <= 0 for one in given)
        ]
        if not (self.encoder or self.crowd):
            faults.append(
                "ExpertConfig(encoder=False, crowd=()): expected one of them at least, since the "
                "other experts know nothing of most items."
            )
        raise_all(faults, ConfigError)

    @property
    def pair_half_lives(self) -> list[float]:
        """Give the half-lives of pairs in seconds."""
        return [parse_duration(one) for one in self.pair]

    @property
    def crowd_half_lives(self) -> list[float]:
        """Give the half-lives of the item clock in seconds."""
        return [parse_duration(one) for one in self.crowd]

    def known_until(self, at: _At) -> _At:
        """Give up to when, exclusive, what others did is known to questions at instants.

        Args:
            at: Microseconds, one or [n].
        """
        span = round(parse_duration(self.resolution) * SECOND)
        return at // span * span if span else at

    @property
    def names(self) -> list[str]:
        """Name the experts in the order of the gate."""
        return [
            *(["encoder"] if self.encoder else []),
            *(["own"] if self.own else []),
            *(f"pair {format_duration(one)}" for one in self.pair_half_lives),
            *(f"crowd {format_duration(one)}" for one in self.crowd_half_lives),
        ]


@dataclass(frozen=True)
class Evidence:
    """Hold what the experts knew of n targets strictly before each.

    Attributes:
        context: Own events before the question.
        pair: [n, `WINDOW`, pairs] probability of the target beside each of the newest own items;
            NaN where nothing was known of that item.
        crowd: [n, crowds] share of the target; NaN before anybody's first event.
    """

    context: Context
    pair: Tensor
    crowd: Tensor


class Experts(nn.Module):
    """Mix experts by a gate that reads the query.

    Args:
        dim: Width of queries.
        config: Which experts.
    """

    def __init__(self, dim: int, config: ExpertConfig) -> None:
        super().__init__()
        self.config = config
        self.names = config.names
        self.gate = nn.Linear(dim, len(self.names))
        self.again = nn.Linear(dim + 1, 1)
        for gate in (self.gate, self.again):
            nn.init.zeros_(gate.weight)
            nn.init.zeros_(gate.bias)
        self.own = Fading() if config.own else None
        self.pair = Fading() if config.pair else None
        # Learned on the newest slice alone: how far each expert is to be trusted in the future.
        self.register_buffer("trust", torch.zeros(len(self.names)))
        self.trust: Tensor
        # Learned there, too: how much louder each is heard where items are ranked, [2, experts]:
        # where only new items may be given, and where own past ones may be as well.
        self.register_buffer("lift", torch.zeros(2, len(self.names)))
        self.lift: Tensor

    def gates(self, queries: Tensor) -> Tensor:
        """Give the gate's logits [n, experts] for queries [n, dim]."""
        logits: Tensor = self.gate(queries) + self.trust
        return logits

    def loudness(self, queries: Tensor, repeats: bool) -> Tensor:
        """Give the logits [n, experts] with which experts are heard where items are ranked.

        Args:
            queries: [n, dim].
            repeats: Whether own past items may be given.
        """
        return self.gates(queries) + self.lift[int(repeats)]

    def repeat_nats(self, queries: Tensor, targets: Tensor, given: Evidence) -> Tensor:
        """Measure how well is told whether targets [n] are own past items: mean nats, a scalar."""
        again = (given.context.items == targets[:, None]).any(1)
        logits = self.repeats(queries, given.context)
        return nn.functional.binary_cross_entropy_with_logits(logits, again.float())

    def repeats(self, queries: Tensor, context: Context) -> Tensor:
        """Give the logits [n] of the next item being an own past one; who did more repeats more."""
        length = (context.items != PADDING).sum(1, keepdim=True).clamp(min=1).float()
        logits: Tensor = self.again(torch.cat((queries.float(), torch.log(length)), dim=1))
        return logits[:, 0]

    def parts(self, queries: Tensor, encoder: Tensor, targets: Tensor, given: Evidence) -> Tensor:
        """Give each expert's log-probability of the targets, [n, experts].

        Args:
            queries: [n, dim].
            encoder: [n] log-probability of the targets by the encoder.
            targets: [n] item rows.
            given: What the others knew.

        Returns:
            -inf where an expert knows nothing at all, so that the others are asked instead.
        """
        parts = [encoder[:, None]] if self.config.encoder else []
        if self.own is not None:
            attention = torch.softmax(self.own(given.context), dim=1)
            items = given.context.items
            found = (attention * (items == targets[:, None])).sum(1, keepdim=True)
            nobody = (items < 0).all(1, keepdim=True)
            parts.append(torch.where(nobody, -math.inf, _log(found)))
        if self.pair is not None:
            parts.append(self._pair_parts(self.pair, given))
        if self.config.crowd:
            parts.append(torch.where(given.crowd.isnan(), -math.inf, _log(given.crowd)))
        return torch.cat(parts, dim=1)

    def mixture(self, gates: Tensor, parts: Tensor) -> Tensor:
        """Give the log-probability [n] of the targets from logits and parts [n, experts]."""
        silent = parts == -math.inf
        gates = torch.log_softmax(gates.masked_fill(silent, -math.inf), dim=1)
        return torch.logsumexp(gates + parts, dim=1)

    def calibrate(self, gates: Tensor, parts: Tensor) -> None:
        """Learn how far to trust each expert from targets later than all that weights learned.

        On their own training targets networks look better than they are, counters do not. Finds the
        shift of the gate that makes the targets most probable, by Newton-like steps (L-BFGS).

        Args:
            gates: [n, experts] logits, of a gate with no trust in it yet.
            parts: [n, experts] log-probabilities.
        """
        trust = torch.zeros_like(self.trust, requires_grad=True)
        optimizer = torch.optim.LBFGS([trust], max_iter=50, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimizer.zero_grad()
            held = 1e-3 * trust.square().sum()  # an expert that is never right has no finite shift
            value: Tensor = held - self.mixture(gates + trust, parts).mean()
            torch.autograd.backward(value)
            return value

        with torch.enable_grad():
            optimizer.step(loss)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.trust.copy_(trust.detach())

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Read weights; of before there were two lifts, they have one for both, or none."""
        lift = state.get(f"{prefix}lift", torch.zeros_like(self.lift))
        state[f"{prefix}lift"] = lift.expand_as(self.lift)
        super()._load_from_state_dict(state, prefix, *rest)

    @staticmethod
    def _pair_parts(pair: Fading, given: Evidence) -> Tensor:
        newest = Context(given.context.items[:, :WINDOW], given.context.ages[:, :WINDOW])
        silent = given.pair.isnan()
        logs = pair(newest).unsqueeze(-1).masked_fill(silent, -math.inf)
        nobody = silent.all(1, keepdim=True)
        attention = torch.softmax(logs.masked_fill(nobody, 0.0), dim=1)
        found = (attention * given.pair.nan_to_num()).sum(1)
        return torch.where(nobody[:, 0], -math.inf, _log(found))


def _log(probabilities: Tensor) -> Tensor:
    return torch.log(probabilities.clamp(min=FLOOR))
