"""ItemEncoding: threads that encode words, so that neither events nor questions wait for them."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from recency.errors import ConfigError
from recency.serving.answering import by_words
from recency.serving.models.item_rows import ItemRows, Told
from recency.serving.models.seats import Seat, Seats
from recency.serving.questions import Ranked
from recency.serving.refusals import StoppedError
from recency.serving.replies import Reply, settle

logger = logging.getLogger(__name__)
_WORKERS = 2  # one for items that were described, one for people who search


class ItemEncoding:
    """Encode words beside the model's thread.

    Args:
        run: Runs a function in the model's thread, and gives its result.
        seats: Told of in that thread; seats that do not serve are brought in step by their holder.
    """

    def __init__(self, run: Callable[[Callable[[], Any]], Any], seats: Seats) -> None:
        self._run, self._seats = run, seats
        self._pool = ThreadPoolExecutor(_WORKERS, "recency-words")
        self._busy: set[int] = set()
        self._closing = False
        seats.changed = self.look_after
        rows = seats.champion.rows
        if rows.words.sources:  # loaded now, so that the first item does not wait for it
            self._pool.submit(_warm, rows)

    def look_after(self, seat: Seat) -> None:
        """Make the rows of items described lately; in the model's thread, which does not wait."""
        if seat.rows.waiting and id(seat) not in self._busy:
            self._busy.add(id(seat))
            self._pool.submit(self._work, seat)

    def search(self, words: str, k: int, now: Callable[[], int]) -> Reply[Ranked]:
        """Rank the champion's items by words."""
        reply: Reply[Ranked] = Reply()
        seat = self._seats.champion

        def answer() -> None:
            try:
                spoken = seat.rows.words.of_words(words)
                ask = partial(by_words, seat.recommender, spoken, k)
                settle([(reply, self._run(lambda: ask(seat.as_of, now())))])
            except Exception as error:
                settle([(reply, error)])

        self._pool.submit(answer)
        return reply

    def close(self) -> None:
        """End; what is not encoded yet is at the next start."""
        self._closing = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _work(self, seat: Seat) -> None:
        try:
            while (told := self._run(partial(self._taken, seat))) is not None:
                encoded = seat.rows.encode(told)
                if encoded is not None:
                    self._run(partial(self._placed, seat, encoded))
        except StoppedError:  # nothing more is asked
            self._busy.discard(id(seat))
        except Exception:
            logger.exception("items that were described could not be given rows")
            self._busy.discard(id(seat))

    def _taken(self, seat: Seat) -> Told | None:
        wanted = self._seats.serves(seat) and not self._closing
        told = seat.rows.take() if wanted else None
        if told is None:
            self._busy.discard(id(seat))  # in the same breath, so that nobody is overlooked
        return told

    def _placed(self, seat: Seat, told: Told) -> None:
        if self._seats.serves(seat):
            seat.rows.place(told)
        else:
            seat.rows.tell(told.items.frame["item_id"])


def _warm(rows: ItemRows) -> None:
    try:
        rows.words.warm()
    except ConfigError as error:
        logger.warning("words of new items will not be understood: %s", error)
