"""Logs: what the server says while it runs, as lines for people or as JSON for programs.

Standard logging, to stderr. No line may hold a key: whatever looks like one is masked, and so is a
key that somebody chose. Ids of users are never logged by the service itself.
"""

import json
import logging
import re
import sys
import traceback
from collections.abc import Iterable
from typing import IO, Literal, get_args

from recency.errors import ConfigError
from recency.units import format_instant

LogFormat = Literal["plain", "json"]
_KEY = re.compile(r"rcy_[A-Za-z0-9_-]{8,}")
_MASK = "rcy_***"


def set_up_logs(
    kind: str = "plain",
    *,
    requests: bool = False,
    secrets: Iterable[str] = (),
    stream: IO[str] | None = None,
) -> None:
    """Let the server's loggers write to one place, in one form.

    Args:
        kind: ``plain`` or ``json``.
        requests: Whether each request leaves a line; else only slow ones and failures do.
        secrets: Keys that somebody chose, to be masked.
        stream: Where to; standard error unless said.

    Raises:
        ConfigError: there is no such form.
    """
    if kind not in get_args(LogFormat):
        raise ConfigError(f"expected a log format of plain or json, found {kind!r}.")
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(_JsonLines(secrets) if kind == "json" else _PlainLines(secrets))
    for name, level in (("recency", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
    logging.getLogger("recency.requests").setLevel(logging.INFO if requests else logging.WARNING)


class _Masked(logging.Formatter):
    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._secrets = tuple(one for one in secrets if one)

    def masked(self, text: str) -> str:
        """Give a text without keys."""
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        return _KEY.sub(_MASK, text)


class _JsonLines(_Masked):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": format_instant(int(record.created * 1e6)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= _facts(record)
        if record.exc_info and record.exc_info[0] is not None:
            line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return self.masked(json.dumps(line, ensure_ascii=False, default=str))


class _PlainLines(_Masked):
    def format(self, record: logging.LogRecord) -> str:
        # A line break in a message would let who chose the message write lines of his own.
        said = record.getMessage().replace("\n", "\\n").replace("\r", "\\r")
        facts = "".join(f" {name}={value}" for name, value in _facts(record).items())
        text = f"{record.levelname.lower()}: {said}{facts}"
        if record.exc_info and record.exc_info[0] is not None:
            text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        return self.masked(text)


def _facts(record: logging.LogRecord) -> dict[str, object]:
    facts = getattr(record, "facts", {})
    return {name: value for name, value in facts.items() if value is not None}
