"""Attempts: one call from its first sending to its answer or error, whoever does the waiting."""

import time
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Generic, NoReturn, TypeVar

import msgspec

from recency.client.calls import Call
from recency.client.faults import ServiceError, UnavailableError, error_of
from recency.client.retries import Retries, may_pass_later
from recency.errors import ConfigError

Reply = TypeVar("Reply")


class Attempts(Generic[Reply]):
    """Follow one call.

    Args:
        call: What is sent.
        retries: When it is sent again.
    """

    def __init__(self, call: Call[Reply], retries: Retries) -> None:
        self._call, self._retries = call, retries
        self._n, self._started = 0, time.monotonic()

    def wait_after_failure(self, error: Exception) -> float:
        """Give the seconds until the next attempt, after one without an answer.

        Raises:
            UnavailableError: there is none.
        """
        wait = self._wait(None)
        if wait is None:
            self._give_up(
                UnavailableError(
                    0,
                    "unreachable",
                    f"expected an answer to {self._call.method} {self._call.path}, found "
                    f"{type(error).__name__}: {error}.",
                ),
                error,
            )
        return wait

    def wait_after_answer(self, status: int, headers: Mapping[str, str], body: bytes) -> float:
        """Give the seconds until the next attempt, after an answer that is none of 2xx.

        Raises:
            ServiceError: there is none.
        """
        wait = self._wait(headers.get("retry-after")) if may_pass_later(status) else None
        if wait is None:
            self._give_up(error_of(status, body, headers.get("x-request-id", "")))
        return wait

    def read(self, body: bytes) -> Reply:
        """Read a good answer.

        Raises:
            ServiceError: it is none of this service.
        """
        if self._call.answer is None:
            return body  # type: ignore[return-value]  # such a call is one of bytes
        try:
            return self._call.read(body)
        except msgspec.MsgspecError as error:
            raise ServiceError(
                200,
                "no-answer",
                f"expected the answer of {self._call.method} {self._call.path}, found "
                f"{body[:200].decode('utf-8', 'replace')!r}: {error}",
            ) from error

    def _wait(self, asked: str | None) -> float | None:
        self._n += 1
        if not self._call.again:
            return None
        return self._retries.wait(self._n, time.monotonic() - self._started, asked)

    def _give_up(self, error: ServiceError, cause: Exception | None = None) -> NoReturn:
        if self._n > 1:
            seconds = time.monotonic() - self._started
            error.add_note(f"Sent {self._n} times in {seconds:.1f} s.")
        raise error from cause


def request_of(call: Call[Any]) -> dict[str, Any]:
    """Give the arguments of httpx for a call."""
    arguments: dict[str, Any] = {"method": call.method, "url": call.path}
    if call.query:
        arguments["params"] = call.query
    if call.body is not None:
        arguments |= {"content": call.body, "headers": {"content-type": call.content_type}}
    return arguments


def settings_of(url: str, key: str | None, timeout: float) -> dict[str, Any]:
    """Give the arguments of httpx for a client; redirects are not followed, a key would leak."""
    headers = {"accept": "application/json"} | ({} if key is None else {"x-api-key": key})
    return {"base_url": url, "headers": headers, "timeout": timeout, "follow_redirects": False}


def with_httpx() -> ModuleType:
    """Import httpx.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import httpx
    except ImportError as error:
        raise ConfigError(
            f"the client needs httpx ({error}): pip install 'recency[client]'."
        ) from error
    return httpx
