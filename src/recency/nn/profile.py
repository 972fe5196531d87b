"""Profiles in the model: what is known of a user is the first thing that is read.

    x_0 = norm(p + sum over attributes a of E_a[code_a])

is read by the encoder like an event, before the first one and at its instant. So it becomes the
state that every history starts from: for all encoders alike, whatever they keep. In training codes
are hidden at random, so that users of whom nothing is known, or only a part, are learned too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from recency.data.histories import NO_GAP
from recency.data.profiles import Profiles
from recency.data.user_attributes import NOTHING
from recency.errors import ConfigError, raise_all
from recency.nn.encoder import Clock, Encoder

if TYPE_CHECKING:
    from recency.nn.inputs import Tensors
    from recency.nn.model import SequenceModel


@dataclass(frozen=True)
class ProfileConfig:
    """Choose what is made of the profiles of users.

    Attributes:
        columns: Attributes to read; None reads all that can be learned from.
        least: Users of training that must share a value for it to count.
        read: Whether histories start from the profile; else it is for the fallback alone.
        hidden: Share of the codes hidden in training, in [0, 1).
        fallback: Attributes whose segments answer for users without a history; None takes all, ()
            none: then everybody gets what is popular with all.
        shrinkage: Events of everybody that a segment's own are mixed with, above 0; ``"fit"``
            chooses it on users who began last, or does without segments where they do not help.
    """

    columns: tuple[str, ...] | None = None
    least: int = 5
    read: bool = True
    hidden: float = 0.1
    fallback: tuple[str, ...] | None = None
    shrinkage: float | Literal["fit"] = "fit"

    def __post_init__(self) -> None:
        """Refuse impossible settings, all together; lists, as JSON has them, become tuples."""
        for name in ("columns", "fallback"):
            given = getattr(self, name)
            object.__setattr__(self, name, None if given is None else tuple(given))
        faults = []
        if isinstance(self.least, bool) or not isinstance(self.least, int) or self.least < 1:
            faults.append(
                f"ProfileConfig(least={self.least!r}): expected a whole number of at least 1."
            )
        if not 0 <= self.hidden < 1:
            faults.append(f"ProfileConfig(hidden={self.hidden!r}): expected a share in [0, 1).")
        fitted = self.shrinkage == "fit"
        if not fitted and (isinstance(self.shrinkage, str) or not self.shrinkage > 0):
            faults.append(
                f"ProfileConfig(shrinkage={self.shrinkage!r}): expected more than 0, or 'fit'."
            )
        for one in self.fallback or ():
            if self.columns is not None and one not in self.columns:
                faults.append(
                    f"ProfileConfig(fallback={self.fallback!r}): {one!r} is not among the columns "
                    f"{self.columns!r}."
                )
        raise_all(faults, ConfigError)


def profile_settings(
    config: ProfileConfig | None, known: Profiles | None, shrinkage: float | None
) -> dict[str, Any]:
    """Give what a folder says of profiles, as JSON; nothing where none are read.

    Args:
        config: As asked for.
        known: Of users.
        shrinkage: What was chosen; None where no segments answer.
    """
    if config is None or known is None:
        return {}
    chosen = {"fallback": ()} if shrinkage is None else {"shrinkage": shrinkage}
    return {"profiles": asdict(config) | chosen, "attributes": known.facts()}


def profiles_of_settings(settings: Mapping[str, Any]) -> ProfileConfig | None:
    """Give what a folder says of profiles; None where it says nothing, as older ones do."""
    said = settings.get("profiles")
    return None if said is None else ProfileConfig(**said)


class ProfileStart(nn.Module):
    """Turn codes into the state that a history starts from.

    Args:
        dim: Width of events.
        sizes: Codes of each attribute.
        hidden: Share of the codes hidden in training.
    """

    def __init__(self, dim: int, sizes: Sequence[int], hidden: float) -> None:
        super().__init__()
        self.hidden = hidden
        self.first = nn.Parameter(torch.empty(dim).normal_(std=dim**-0.5))
        self.tables = nn.ModuleList(nn.Embedding(size, dim) for size in sizes)
        for table in self.tables:
            nn.init.normal_(table.weight, std=dim**-0.5)  # type: ignore[arg-type]  # of Embedding
        self.norm = nn.LayerNorm(dim)

    def forward(self, codes: Tensor) -> Tensor:
        """Encode codes [n, n_attributes] as [n, dim]."""
        if self.training and self.hidden:
            codes = codes.masked_fill(torch.rand(codes.shape, device=codes.device) < self.hidden, 0)
        x = self.first.expand(len(codes), -1)
        for place, table in enumerate(self.tables):
            x = x + table(codes[:, place])
        read: Tensor = self.norm(x)
        return read

    def state(self, encoder: Encoder, codes: Tensor, times: Tensor) -> Tensor:
        """Give the encoder's state [n, state_size] after the profile, read at instants [n]."""
        clock = Clock(torch.full_like(times, NO_GAP, dtype=torch.float32)[:, None], times[:, None])
        return encoder.step(self(codes), clock, encoder.initial_state(len(codes)))[1]


def begun(model: "SequenceModel", batch: "Tensors", before: Tensor | None) -> Tensor | None:
    """Start histories from their users' profiles, where a model reads any.

    Args:
        model: Of any kind.
        batch: [batch, length] events.
        before: [batch, state_size] of the encoder; None where all rows start here.

    Returns:
        The same for rows that go on, and what the profile says for those that begin: whose first
        event is the user's first.
    """
    profile = model.profile
    if profile is None:
        return before
    fresh = batch.gaps[:, 0] == NO_GAP
    if before is not None and not bool(fresh.any()):
        return before
    codes = batch.profiles
    if codes is None:
        codes = batch.items.new_full((len(batch), len(profile.tables)), NOTHING)
    start = profile.state(model.encoder, codes, batch.times[:, 0])
    return start if before is None else torch.where(fresh[:, None], start, before)


def start_from_profiles(
    model: "SequenceModel", sizes: Sequence[int], config: ProfileConfig, seed: int
) -> None:
    """Let a model read profiles, unless they are for the fallback alone.

    Args:
        model: Changed in place.
        sizes: Codes of each attribute.
        config: What is made of them.
        seed: Of the first weights.
    """
    if config.read:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model.profile = ProfileStart(model.dim, sizes, config.hidden).to(model.bias.device)
