"""Exploration: some places of a list go to items that are new or little seen.

A model cannot learn whether people like what it never shows. Which items come is drawn, and the
draw hangs on the question alone: asked again, it gives the same list.
"""

from hashlib import blake2b

import numpy as np

from recency.ranking.filters import Mask
from recency.ranking.ranks import Ints


def draw_for(*question: object) -> np.random.Generator:
    """Give the draw of a question.

    Args:
        *question: What makes it the same question: who, when; their ``repr`` counts.
    """
    digest = blake2b(repr(question).encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def places_of(k: int, share: float, draw: np.random.Generator) -> Ints:
    """Choose the places of a list that go to exploration, 0 is the first.

    They lie as far from each other and from the first place as they can. A share of k that is no
    whole number is met on average: 0.25 of 10 is two places or three, evenly drawn.

    Args:
        k: Length of the list.
        share: In [0, 1].
        draw: Of the question.
    """
    wanted = share * k
    n = int(wanted + 1e-9)
    n += int(draw.random() < wanted - n - 1e-9)
    found: Ints = np.ceil(np.arange(1, n + 1) * k / max(n, 1) - 1e-9).astype(np.int64) - 1
    return found


def little_seen(
    counts: Ints, first: Ints, opens: Ints | None, at: int, *, fewer_than: int, age: float
) -> Mask:
    """Mark the items worth a try: of few events, and not too old.

    Args:
        counts: [n] events of each item.
        first: [n] instant of its first event, microseconds; the largest integer without one.
        opens: [n] instant from which it is available; None where nothing is known of items.
        at: Instant of the question.
        fewer_than: Events from which on an item is known well enough.
        age: Seconds since it became available, or since its first event where that is not known,
            from which on it is too old.
    """
    born = first
    if opens is not None:
        born = np.where(opens > np.iinfo(np.int64).min, opens, first)
    found: Mask = (counts < fewer_than) & (born > at - int(min(age * 1e6, 2**62)))
    return found


def drawn(candidates: Ints, n: int, draw: np.random.Generator) -> list[int]:
    """Draw at most n of the candidates without looking at all of them, in the order drawn."""
    picked = draw.choice(len(candidates), min(n, len(candidates)), replace=False)
    return [int(one) for one in candidates[picked]]
