"""The client: a service from another program, with retries that are safe.

`Client` waits for its answers, `AsyncClient` is awaited; both have the same methods. Calls are
described in `calls`, answers are frozen structs of `answers`, errors are those of `faults`. Needs
httpx, which is imported when the first client is made: ``pip install 'recency[client]'``.
"""

from recency.client.asynchronous import AsyncClient
from recency.client.faults import (
    InvalidRequestError,
    NotAllowedError,
    NotFoundError,
    RejectedError,
    ServiceError,
    UnavailableError,
)
from recency.client.retries import Retries
from recency.client.synchronous import Client

__all__ = [
    "AsyncClient",
    "Client",
    "InvalidRequestError",
    "NotAllowedError",
    "NotFoundError",
    "RejectedError",
    "Retries",
    "ServiceError",
    "UnavailableError",
]
