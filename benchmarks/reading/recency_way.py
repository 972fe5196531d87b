"""Prepare a log the way Recency does, and say what it took.

    python -m benchmarks.reading.recency_way FILE

From a file to ragged histories: read, sort by time, give rows to users and items, group by user.
"""

import json
import sys
import time

from benchmarks.record import peak_mb
from recency.data.histories import Histories
from recency.data.reading import read_log
from recency.data.vocab import Vocab


def main(file: str) -> None:
    """Print one JSON line: seconds of each step, the peak of memory, and what came out."""
    started = time.perf_counter()
    log = read_log(file, columns=dict.fromkeys(("session_id", "event_type", "value")))
    read = time.perf_counter()
    users = Vocab.from_ids(log.events["user_id"])
    items = Vocab.from_ids(log.events["item_id"])
    histories = Histories.build(log, users, items)
    built = time.perf_counter()
    print(
        json.dumps(
            {
                "read_seconds": read - started,
                "build_seconds": built - read,
                "seconds": built - started,
                "peak_mb": peak_mb(),
                "n_events": histories.n_events,
                "n_users": len(users),
                "n_items": len(items),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
