"""The settings of a text encoder that learns with the recommender, and which encoders can."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from recency.content.encoding import Progress
from recency.content.item_vectors import ItemVectors
from recency.errors import ConfigError, raise_all

_PACKAGES = ("peft", "transformers")


@dataclass(frozen=True)
class TextTuning:
    """Let the text encoder of items learn with the recommender, by LoRA, as `Content(tuned=)`.

    The encoder's own weights stay. Beside each of its matrices W it learns two thin ones, A and B,
    and computes with W + 2 B A (Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, ICLR
    2022, equation 3, with alpha = 2 rank). In each step of a training some of the items that the
    batch reads, tells and draws are encoded afresh, and the gradient of the recommender's loss goes
    through their vectors, whitened, into A and B. All other items keep the vectors that were made
    of them last; after each epoch all are encoded anew. What is seldom drawn is therefore behind by
    an epoch at most. Whitening stays as it was fitted on the vectors that the encoder gave before.

    What it costs: ``texts_per_step`` texts a step, forward and backward, and all texts of the
    items of training once an epoch, forward only, for ``epochs`` epochs of each stage; at the end
    the texts of all items once more. A step keeps the activations of its texts in memory.

    Attributes:
        rank: Of A and B: rows of A, columns of B; at most the encoder's width.
        learning_rate: Highest of A and B; it rises and falls with that of the recommender.
        epochs: In how many epochs of each stage A and B learn, from the first on.
        texts_per_step: Most items that a step encodes with gradients, drawn from those of its
            batch.
        cache: Folder that keeps the vectors of the tuned encoder, apart from all others'; None
            keeps none.
        progress: Told of texts done and in all, whenever all are encoded.
    """

    rank: int = 8
    learning_rate: float = 1e-3
    epochs: int = 3
    texts_per_step: int = 32
    cache: str | Path | None = None
    progress: Progress | None = None

    def __post_init__(self) -> None:
        """Refuse impossible settings, all together."""
        faults = [
            f"TextTuning({name}={value!r}): expected a whole number of at least 1."
            for name in ("rank", "epochs", "texts_per_step")
            if isinstance(value := getattr(self, name), bool)
            or not isinstance(value, int)
            or value < 1
        ]
        rate = self.learning_rate
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < math.inf:
            faults.append(f"TextTuning(learning_rate={rate!r}): expected a number above 0.")
        raise_all(faults, ConfigError)


def tunable(vectors: Sequence[ItemVectors]) -> list[ItemVectors]:
    """Give the vectors whose encoder can learn: of texts, by a network in float32."""
    return [one for one in vectors if not _why_not(one)]


def faults_of(tuned: TextTuning, vectors: Sequence[ItemVectors], learned: str) -> list[str]:
    """List what forbids that the text encoder of some vectors learns with the recommender.

    Args:
        tuned: Asked for.
        vectors: Of `Content`.
        learned: As of `Content`.
    """
    if not isinstance(tuned, TextTuning):
        return [f"Content(tuned={tuned!r}): expected a TextTuning(...), or None."]
    faults = []
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        faults.append(
            f"Content(tuned=...) needs further packages, {' and '.join(missing)}: "
            f"pip install 'recency[text]'."
        )
    if learned == "after":
        faults.append(
            "Content(tuned=..., learned='after'): content that follows rows learned without it has "
            "no gradient to give its encoder; use learned='joint' or 'auto'."
        )
    if len(found := tunable(vectors)) != 1:
        said = [f"{one.name!r} ({_why_not(one) or 'can learn'})" for one in vectors]
        faults.append(
            f"Content(tuned=...): expected vectors of texts by one encoder that can learn, found "
            f"{len(found)} among {', '.join(said) or 'none at all'}; make them with "
            f"ItemVectors.of_texts(items, TextEncoder(...))."
        )
    elif tuned.rank > found[0].dim:
        faults.append(
            f"TextTuning(rank={tuned.rank}): expected at most {found[0].dim}, the width of the "
            f"encoder of {found[0].name!r}; thin matrices are to be thin."
        )
    return faults


def _why_not(vectors: ItemVectors) -> str:
    """Say why the encoder of some vectors cannot learn; nothing where it can."""
    source = vectors.source
    if source is None:
        return "not made by an encoder of texts that Recency brings"
    if source.kind == "static":
        return "made by a table of word vectors, no network"
    if source.precision != "float32":
        return f"made in {source.precision}"
    return "made by an encoder that was tuned before" if source.adapter is not None else ""
