"""Rules: a selection applied to the candidates of lists, before the best are taken.

What weighs in (newcomers, boosts, rotation) changes scores; what is refused leaves the pool; then
the k best are taken, or, where lists are to differ or to explore, arranged from a wider choice. The
choice is widened until every list has its k, or nothing is left: a rule never makes a list shorter
while there is an item that it allows.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recency.asking.live_answers import Live
from recency.asking.objectives import weigh_by_objective
from recency.asking.selection import Selection, best_of
from recency.data.catalogue import Catalogue
from recency.data.histories import Histories, Ints
from recency.data.shelf import Shelf
from recency.data.vocab import Id, Vocab
from recency.errors import ConfigError, DataError, raise_all
from recency.ranking.diversity import Arranger, Likeness
from recency.ranking.exploration import draw_for, drawn, little_seen, places_of
from recency.ranking.filters import Mask
from recency.ranking.newcomers import RELATIVES, Newcomers
from recency.ranking.pool import Pool
from recency.ranking.ranks import Scores
from recency.ranking.rotation import Impressions

Lists = tuple[list[Ints], list[Scores]]
_FEW_EVENTS = 10  # from which on an item is known well enough not to be explored
_SPARE = 64  # candidates beside four times k from which a list is arranged


@dataclass(frozen=True)
class Scene:
    """Hold who asks n questions of one selection, when, and of what.

    Attributes:
        live: What is known.
        items: Rows of items.
        catalogue: What is known about items.
        at: Instant of the questions, microseconds.
        allowed: [n_items] what the selection allows; None for all.
        who: [n] who asks each: a user's id, or what else makes it the same question.
        users: [n] the same where it is a user, to whom something was shown; None elsewhere.
        seen: n histories whose items may not come again; None lets them.
    """

    live: Live
    items: Vocab
    catalogue: Catalogue | None
    at: int
    allowed: Mask | None
    who: Sequence[object]
    users: Sequence[Id | None]
    seen: Histories | None = None

    @property
    def shelf(self) -> Shelf | None:
        """Give what rules ask of items."""
        return None if self.catalogue is None else self.catalogue.shelf(self.items)


class Rules:
    """Apply selections, and keep what they need to remember.

    Attributes:
        shown: What was shown to whom.
    """

    def __init__(self) -> None:
        self.shown = Impressions()
        self._newcomers: Newcomers | None = None

    def width(self, k: int, chosen: Selection, scene: Scene) -> int:
        """Tell how many candidates a question needs that is not answered from all items.

        Returns:
            0 where all items are needed: a boost or an objective may lift any of them.
        """
        if chosen.boosts or chosen.weights:
            return 0
        width = 4 * k + _SPARE if chosen.rearranges else k
        if self._newcomers_of(scene) is not None:
            width = max(width, RELATIVES)
        if chosen.rotation:
            width += max(
                (self.shown.count(user) for user in scene.users if user is not None), default=0
            )
        return min(width, max(1, len(scene.items)))

    def lists(self, pool: Pool, k: int, chosen: Selection, scene: Scene) -> Lists:
        """Give the lists of n questions.

        Args:
            pool: Their candidates; written to. Of a shortlist, what is not allowed has left.
            k: Most items.
            chosen: Rules.
            scene: Who asks, when, of what.

        Returns:
            Item rows and scores of each list; scores descend unless lists are rearranged.

        Raises:
            ConfigError: a rule names what is not known.
        """
        k = min(k, max(1, len(scene.items)))
        self._weigh(pool, chosen, scene)
        if pool.items is None and scene.allowed is not None:
            pool.keep(scene.allowed)
        if scene.seen is not None:
            pool.drop(scene.seen)
        if chosen.rearranges:
            return _Arranging(pool, k, chosen, scene).lists()
        return best_of(pool, k)

    def note(self, lists: Sequence[Ints], chosen: Selection, scene: Scene) -> None:
        """Remember lists as shown, where the selection says so."""
        if chosen.rotation and chosen.counts_as_shown:
            for user, rows in zip(scene.users, lists, strict=True):
                if user is not None:
                    self.shown.note(user, scene.items.take(rows.tolist()), scene.at)

    def _weigh(self, pool: Pool, chosen: Selection, scene: Scene) -> None:
        """Let newcomers join, and change scores by what weighs in."""
        newcomers = self._newcomers_of(scene)
        if newcomers is not None:
            newcomers.join(pool, scene.allowed)
        if chosen.boosts:
            pool.weigh(_boost_logs(chosen, scene, scene.shelf))
        if chosen.weights:
            weigh_by_objective(pool, chosen.weights, scene.live, list(scene.users), scene.at)
        if chosen.rotation:
            self._rotate(pool, chosen, scene)

    def _newcomers_of(self, scene: Scene) -> Newcomers | None:
        """Give the items described after the learning; None where there are none."""
        shelf, n_learned = scene.shelf, scene.live.n_learned
        if shelf is None:
            return None
        known, appearances = self._newcomers, scene.live.appearances
        if (
            known is None
            or known.shelf is not shelf
            or known.n_learned != n_learned
            or known.appearances is not appearances
        ):
            known = self._newcomers = Newcomers(shelf, n_learned, appearances)
        return known if len(known) else None

    def _rotate(self, pool: Pool, chosen: Selection, scene: Scene) -> None:
        half_life = float(chosen.rotation_time)
        for row, user in enumerate(scene.users):
            if user is None:
                continue
            losses = self.shown.losses(user, scene.at, chosen.rotation, half_life)
            rows = scene.items.rows(list(losses))
            logs = np.fromiter(losses.values(), np.float32, len(losses))
            if (rows >= 0).any():
                pool.weigh_row(row, rows[rows >= 0], logs[rows >= 0])


class _Arranging:
    """Arrange the lists of one call from a choice that is wide enough."""

    def __init__(self, pool: Pool, k: int, chosen: Selection, scene: Scene) -> None:
        self._pool, self._k, self._chosen, self._scene = pool, k, chosen, scene
        self._shelf = scene.shelf
        if chosen.max_per_category is not None and self._shelf is None:
            raise ConfigError(
                "max_per_category was asked for, but the model has no catalogue; "
                "pass items=read_items(...) to fit."
            )
        self._fresh = self._worth_a_try() if chosen.explore else np.empty(0, np.int64)

    def lists(self) -> Lists:
        n, n_items = len(self._pool), len(self._scene.items)
        found: list[tuple[Ints, Scores]] = [(np.empty(0, np.int64), np.empty(0, np.float32))] * n
        width, rows = min(n_items, 4 * self._k + _SPARE), np.arange(n)
        while len(rows):
            items, values = self._pool.best(width)
            short = []
            for row in rows.tolist():
                there = items[row] >= 0
                found[row] = self._one(row, items[row][there], values[row][there])
                if len(found[row][0]) < self._k and there.all() and width < n_items:
                    short.append(row)
            rows, width = np.array(short, np.int64), min(n_items, 4 * width)
        return [one for one, _ in found], [one for _, one in found]

    def _one(self, row: int, items: Ints, scores: Scores) -> tuple[Ints, Scores]:
        """Arrange one list from its candidates, best first."""
        chosen = self._chosen
        categories = [self._categories(int(one)) for one in items] if self._asks_categories else []
        alike = None
        if chosen.diversity:
            alike = Likeness(self._scene.live.vectors(items), categories)
        arranger = Arranger(
            scores, 1 - chosen.diversity, alike, categories, chosen.max_per_category
        )
        explored = self._explored(row, arranger)
        for place in np.flatnonzero(np.isin(items, list(explored.values()))).tolist():
            arranger.leave_out(place)
        rows: list[int] = []
        values: list[float] = []
        while len(rows) < self._k:
            item = explored.pop(len(rows), -1)
            if item < 0 and (place := arranger.next()) >= 0:
                item, value = int(items[place]), float(scores[place])
            elif item < 0 and explored:  # nothing else is left: the explored ones move up
                item = explored.pop(min(explored))
                value = self._pool.score_of(row, item)
            elif item < 0:
                break
            else:
                value = self._pool.score_of(row, item)
            rows.append(item)
            values.append(value)
        return np.array(rows, np.int64), _finite(values)

    @property
    def _asks_categories(self) -> bool:
        return bool(self._chosen.diversity) or self._chosen.max_per_category is not None

    def _categories(self, item: int) -> tuple[str, ...]:
        return () if self._shelf is None else self._shelf.categories_of(item)

    def _worth_a_try(self) -> Ints:
        """Give the items that may be explored, whoever asks."""
        scene, n_items = self._scene, len(self._scene.items)
        appearances = scene.live.appearances
        mask = little_seen(
            appearances.counts(n_items),
            appearances.first(n_items),
            None if self._shelf is None else self._shelf.cells["opens"],
            scene.at,
            fewer_than=_FEW_EVENTS,
            age=float(self._chosen.explore_age),
        )
        return np.flatnonzero(mask if scene.allowed is None else mask & scene.allowed)

    def _explored(self, row: int, arranger: Arranger) -> dict[int, int]:
        """Draw the items to explore, and the places that they get."""
        if not len(self._fresh):
            return {}
        scene = self._scene
        draw = draw_for(scene.who[row], scene.at)
        places = places_of(self._k, self._chosen.explore, draw).tolist()
        seen: set[int] = set()
        if scene.seen is not None:
            start, stop = scene.seen.offsets[row : row + 2]
            seen = set(scene.seen.items[start:stop].tolist())
        wanted = drawn(self._fresh, 2 * len(places) + len(seen) + _SPARE, draw)
        items: list[int] = []
        for item in wanted:
            own = self._categories(item) if self._asks_categories else ()
            if len(items) < len(places) and item not in seen and arranger.fits(own):
                arranger.count(own)
                items.append(item)
        return dict(zip(places, items, strict=False))


def _boost_logs(chosen: Selection, scene: Scene, shelf: Shelf | None) -> Scores:
    """Give the logarithm of each item's factor: [n_items]."""

    def make() -> Scores:
        logs = np.zeros(len(scene.items), np.float32)
        faults: list[str] = []
        for name, by in chosen.boosts:
            rows = _named(name, scene, shelf, faults)
            if rows is not None:
                logs[rows] += np.float32(np.log(by))
        raise_all(faults, ConfigError)
        return logs

    return make() if shelf is None else shelf.kept(("boost", chosen.boosts), make)


def _named(name: Id, scene: Scene, shelf: Shelf | None, faults: list[str]) -> Ints | Mask | None:
    """Give the items that a name stands for; None, and a fault, where there are none."""
    text, catalogue = str(name), scene.catalogue
    kind, colon, rest = text.partition(":")
    if colon and kind in ("category", "item"):
        text = rest
    else:
        kind = ""
    if kind != "item" and shelf is not None and catalogue is not None:
        found = shelf.in_any([text]) if catalogue.has_category(text) else None
        if found is not None:
            return found
    try:
        row = -1 if kind == "category" else scene.items.row(scene.items.coerce(text))
    except DataError:
        row = -1
    if row >= 0:
        return np.array([row])
    known = () if catalogue is None else catalogue.categories
    close = difflib.get_close_matches(text, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    what = {"item": "no item", "category": "no category"}.get(
        kind, "neither a category nor an item"
    )
    faults.append(f"boost of {name!r}: {what} is called so{hint}")
    return None


def _finite(values: list[float]) -> Scores:
    """Let items without a score of their own score as the lowest of the list."""
    found = np.array(values, np.float32)
    known = found[np.isfinite(found)]
    return np.where(np.isfinite(found), found, known.min() if len(known) else 0).astype(np.float32)
