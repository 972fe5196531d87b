"""LogCheck: looks through a large event log for damage while it is in use.

Reading gigabytes before the first answer would make a start slow for the sake of what hardly ever
happens; a small log is checked before it is opened (`log_schema.prepare`). SQLite notices a damaged
page in any case as soon as it is needed; this finds those that nobody has needed yet.
"""

import logging
import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Self

logger = logging.getLogger(__name__)
CHECKED_AT_START = 64_000_000  # bytes of a log up to which it is checked before it is opened


class LogCheck(threading.Thread):
    """Check an event log in the background, once.

    Args:
        path: The SQLite file.

    Attributes:
        fault: What was found; None as long as nothing was.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(name="recency-log-check", daemon=True)
        self._path, self._stopped = path, False
        self._connection: sqlite3.Connection | None = None
        self.fault: str | None = None

    @classmethod
    def begun(cls, path: Path) -> Self:
        """Begin, where the log is too large to have been checked before it was opened."""
        one = cls(path)
        if path.stat().st_size > CHECKED_AT_START:
            one.start()
        return one

    def run(self) -> None:
        """Look at every page."""
        address = f"{self._path.resolve().as_uri()}?mode=ro"
        try:
            with closing(
                sqlite3.connect(address, uri=True, check_same_thread=False)
            ) as self._connection:
                if not self._stopped:
                    self._tell(self._connection.execute("PRAGMA quick_check(1)").fetchone()[0])
        except sqlite3.Error as error:
            if not self._stopped:
                self._tell(str(error))
        finally:
            self._connection = None

    def close(self) -> None:
        """Stop looking."""
        self._stopped = True
        if (connection := self._connection) is not None:
            with suppress(sqlite3.ProgrammingError):  # it has just ended
                connection.interrupt()
        if self.is_alive():
            self.join()

    def _tell(self, verdict: str) -> None:
        if verdict != "ok":
            self.fault = verdict
            logger.error(
                "the event log %s is damaged: %s. Take a backup of what can be read, and put back "
                "a copy that is sound.",
                self._path,
                verdict,
            )
