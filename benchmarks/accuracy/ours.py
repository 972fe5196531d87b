"""Our models and baselines, by the name of their rows. To add one: a line in `OURS`.

A name that ends in `` known`` is a model that is told the instant of the question; its row bears
the name without it and says so in ``request_time``. Words after a comma name an ablation, which
has the settings of the model before the comma.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import recency as rc
from benchmarks.accuracy.splits import Source
from recency.baselines import (
    DecayedPopularity,
    ItemNeighbours,
    LivePopularity,
    Markov,
    MatrixFactorisation,
    Popularity,
    RecentItems,
)
from recency.evaluation.protocol import Recommender
from recency.nn.encoder import Encoder

KNOWN = " known"
BLIND = {"gap": False, "calendar": False}  # what "time off" switches off
_TRAINING = {field.name for field in fields(rc.TrainConfig)}


@dataclass(frozen=True)
class Wish:
    """Say what is wanted of a model.

    Attributes:
        settings: Of `grids`: chosen for the log, or the defaults. Those that `TrainConfig` has
            go there; ``dropout`` goes to the inputs; the rest is for the encoder.
        seed: Of weights and draws.
        repeats: Whether items of the history will be candidates.
        order_only: Whether the log's instants are made up, so that no time may be read.
        max_len: Newest events read at most.
        by_day: Whether times are days, so that others' events of the same day may be later ones.
        known: Whether the instant of the question may be used.
    """

    settings: Mapping[str, Any]
    seed: int
    repeats: bool
    order_only: bool
    max_len: int
    known: bool = False
    by_day: bool = False

    @classmethod
    def of(
        cls,
        source: Source,
        settings: Mapping[str, Any],
        seed: int,
        *,
        repeats: bool = False,
        known: bool = False,
    ) -> "Wish":
        """Say what is wanted of a model of a log."""
        order, length, by_day = source.order_only, source.max_len, source.by_day
        return cls(settings, seed, repeats, order, length, known, by_day)


@dataclass(frozen=True)
class Maker:
    """Make a model.

    Attributes:
        make: Gives it unfitted.
        by_repeats: Fit it twice, for questions with and without repeats: it chooses by them.
        needs_time: It makes no sense where instants are made up.
        needs_others: It makes no sense where what others do meanwhile may not be known.
    """

    make: Callable[[Wish], Recommender]
    by_repeats: bool = False
    needs_time: bool = False
    needs_others: bool = False


def sequence(
    encoder: Callable[[Mapping[str, Any]], Encoder],
    inputs: Mapping[str, Any] | None = None,
    **more: Any,
) -> Maker:
    """Describe a `SequenceRecommender`.

    Args:
        encoder: Makes the encoder from the settings.
        inputs: Arguments of `InputConfig` that differ from the defaults, such as time switched off.
        **more: Further arguments of `SequenceRecommender`.
    """

    def make(wish: Wish) -> Recommender:
        said = wish.settings
        reads = {"dropout": said["dropout"]} | ({} if inputs is None else dict(inputs))
        given = dict(more)
        if wish.order_only:  # instants are made up: nothing but the order may be read from them
            reads |= BLIND
        if wish.order_only:
            given["experts"] = None
        elif wish.by_day and given.get("experts", EXPERTS) is not None:
            given["experts"] = replace(given.get("experts", EXPERTS), resolution="1d")
        training: dict[str, Any] = {"max_len": wish.max_len, "device": "cpu"}
        training |= {name: value for name, value in said.items() if name in _TRAINING}
        return rc.SequenceRecommender(
            encoder(said),
            inputs=rc.InputConfig(**reads),
            training=rc.TrainConfig(**training),
            request_time="known" if wish.known else "unknown",
            seed=wish.seed,
            **given,
        )

    return Maker(make)


def _of(encoder: Callable[..., Encoder], **more: Any) -> Callable[[Mapping[str, Any]], Encoder]:
    return lambda said: encoder(dim=said["dim"], **more)


EXPERTS = rc.ExpertConfig()
# Counts that never fade; of one's own past the order and the age stay known.
TIMELESS = replace(EXPERTS, pair=("100000d",), crowd=("100000d",))
TIDE = _of(rc.Tide)
BLIND_TIDE = _of(rc.Tide, time=False)

OURS: dict[str, Maker] = {
    "tide": sequence(TIDE),
    "tide known": sequence(TIDE),
    "tide, experts off": sequence(TIDE, experts=None),
    "tide, experts off known": sequence(TIDE, experts=None),
    "tide, encoder off": sequence(TIDE, experts=replace(EXPERTS, encoder=False)),
    "tide, crowd off": sequence(TIDE, experts=replace(EXPERTS, crowd=())),
    "tide, pair off": sequence(TIDE, experts=replace(EXPERTS, pair=())),
    "tide, own off": sequence(TIDE, experts=replace(EXPERTS, own=False)),
    "tide, all time off": sequence(BLIND_TIDE, BLIND, experts=TIMELESS),
    "tide, time off": sequence(BLIND_TIDE, BLIND, experts=None),
    "tide, calendar off": sequence(TIDE, {"calendar": False}, experts=None),
    "tide, short bank off": sequence(_of(rc.Tide, banks="long,periodic"), experts=None),
    "tide, long bank off": sequence(_of(rc.Tide, banks="short,periodic"), experts=None),
    "tide, periodic bank off": sequence(_of(rc.Tide, banks="short,long"), experts=None),
    "tide, 1 block": sequence(_of(rc.Tide, blocks=1), experts=None),
    "tide, 3 blocks": sequence(_of(rc.Tide, blocks=3), experts=None),
    "tide, 4 blocks": sequence(_of(rc.Tide, blocks=4), experts=None),
    "gru": sequence(_of(rc.GRU)),
    "gru known": sequence(_of(rc.GRU)),
    "gru, experts off": sequence(_of(rc.GRU), experts=None),
    "gru, time off": sequence(_of(rc.GRU), BLIND, experts=None),
    "lstm, experts off": sequence(_of(rc.LSTM), experts=None),
    "timelstm, experts off": sequence(_of(rc.TimeLSTM), experts=None),
    "lstmattention, experts off": sequence(_of(rc.LSTMAttention), experts=None),
    "memorynetwork, experts off": sequence(_of(rc.MemoryNetwork), experts=None),
    "transformer": sequence(_of(rc.Transformer)),
    "transformer, experts off": sequence(_of(rc.Transformer), experts=None),
    "transformer, time off": sequence(_of(rc.Transformer, time_bias="none"), BLIND, experts=None),
}

BASELINES: dict[str, Maker] = {
    "popularity": Maker(lambda wish: Popularity()),
    "decayed-popularity": Maker(
        lambda wish: DecayedPopularity(repeats=wish.repeats), by_repeats=True, needs_time=True
    ),
    "live-popularity": Maker(
        lambda wish: LivePopularity(repeats=wish.repeats),
        by_repeats=True,
        needs_time=True,
        needs_others=True,
    ),
    "recent": Maker(lambda wish: RecentItems()),
    "markov": Maker(lambda wish: Markov()),
    "item-neighbours": Maker(lambda wish: ItemNeighbours(repeats=wish.repeats), by_repeats=True),
    "matrix-factorisation": Maker(lambda wish: MatrixFactorisation(seed=wish.seed)),
}

# Nothing is drawn in these: one seed says it all.
UNSEEDED = ({*BASELINES} - {"matrix-factorisation"}) | {"implicit/bm25"}
