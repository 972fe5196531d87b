"""Faults: what a service refuses, as errors that say status, code, detail and every fault.

ServiceError (RecencyError)
├── InvalidRequestError     the request is at fault                (also DataError)
├── NotFoundError           no such user, item, model or route     (also UnknownIdError)
├── NotAllowedError         no key, or one without the scope
├── UnavailableError        not reached, overloaded or failing; retries are used up
└── RejectedError           the service took the request and rejected the event or item
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from recency.errors import DataError, RecencyError, UnknownIdError


@dataclass(frozen=True)
class Fault:
    """Name one thing that is wrong with a request, and where."""

    field: str
    detail: str


class ServiceError(RecencyError):
    """Say what a service refused.

    Attributes:
        status: HTTP status; 0 where there was no answer.
        code: Stable, for programs: ``"overloaded"``, ``"unknown-id"`` ...
        detail: What was expected, what was found, what to do.
        faults: All that is wrong with the request.
        request_id: Names the request in the service's log; empty where there is none.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        faults: Sequence[Fault] = (),
        request_id: str = "",
    ) -> None:
        self.status, self.code, self.detail = status, code, detail
        self.faults, self.request_id = tuple(faults), request_id
        super().__init__(f"{detail} ({status} {code})" if status else f"{detail} ({code})")


class InvalidRequestError(ServiceError, DataError):
    """Say that the request is at fault: mend it before it is sent again."""


class NotFoundError(ServiceError, UnknownIdError):
    """Say that there is no such user, item, model or route."""


class NotAllowedError(ServiceError):
    """Say that the key is missing, wrong, or lacks the scope."""


class UnavailableError(ServiceError):
    """Say that the service could not be reached or could not answer, however often it was asked."""


class RejectedError(ServiceError):
    """Say that an event or an item was rejected."""


_BY_STATUS: dict[int, type[ServiceError]] = {
    401: NotAllowedError,
    403: NotAllowedError,
    421: NotAllowedError,
    404: NotFoundError,
}


def error_of(status: int, body: bytes, request_id: str = "") -> ServiceError:
    """Turn an answer that is none of 2xx into an error; whatever its body holds."""
    try:
        problem: Any = msgspec.json.decode(body)
        code, detail = str(problem["code"]), str(problem["detail"])
        faults = [
            Fault(str(one["field"]), str(one["detail"])) for one in problem.get("errors") or ()
        ]
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError, KeyError, AttributeError):
        code, faults = "no-problem", []
        detail = f"the service answered {body[:200].decode('utf-8', 'replace')!r}"
    kind = _BY_STATUS.get(status)
    if kind is None:
        kind = InvalidRequestError if 400 <= status < 500 and status != 429 else UnavailableError
    return kind(status, code, detail, faults, request_id)
