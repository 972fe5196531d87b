"""Admin: what runs a service rather than asks it; `Client.admin` and `AsyncClient.admin`."""

from collections.abc import Awaitable
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import quote

import msgspec

from recency.client import answers
from recency.client.answers import Json
from recency.client.calls import Call, lines
from recency.errors import ConfigError

Reply = TypeVar("Reply")
_TYPES = {
    ".csv": "text/csv",
    ".jsonl": "application/x-ndjson",
    ".ndjson": "application/x-ndjson",
    ".parquet": "application/vnd.apache.parquet",
}


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Say how a job stands.

    Attributes:
        state: ``"waiting"``, ``"running"``, ``"done"`` or ``"failed"``.
        facts: What it has done so far.
        error: Why it failed.
    """

    job_id: str
    kind: str
    state: str
    begun: str | None = None
    ended: str | None = None
    facts: Json = {}
    error: str | None = None


class Jobs(msgspec.Struct, frozen=True, kw_only=True):
    """List jobs, the newest first."""

    jobs: list[Job]


class Doing(Protocol):
    """Send a call and wait for its answer."""

    def __call__(self, call: Call[Reply]) -> Reply:
        """Give the answer."""
        ...


class DoingLater(Protocol):
    """Send a call; its answer is awaited."""

    def __call__(self, call: Call[Reply]) -> Awaitable[Reply]:
        """Give what is awaited."""
        ...


class Admin:
    """Publish models, move files of events, and watch a service.

    Args:
        do: Sends a call.
    """

    def __init__(self, do: Doing) -> None:
        self._do = do

    def publish(self, folder: str) -> Json:
        """Publish a folder of the registry's incoming/ as a version, which does not serve yet."""
        return self._do(_publish(folder))

    def challenge(self, version: str, share: float) -> Json:
        """Let a version answer a share of the users, in [0, 1), beside the one that serves."""
        return self._do(_challenge(version, share))

    def import_file(
        self, file: str | Path, *, kind: str = "events", validate_only: bool = False
    ) -> Job:
        """Have a file of events or items taken in, and give the job that does it. Sent once.

        Args:
            file: A path of this machine, whose content is sent: CSV, JSON lines or Parquet by its
                ending. Text that names no such file here is the name of one in the server's own
                folder for imports.
            kind: ``"events"`` or ``"items"``.
            validate_only: Whether rows are only checked.
        """
        return self._do(_import_file(file, kind, validate_only))

    def backup(self) -> Job:
        """Have models and log copied into a folder of the server, and give the job. Sent once."""
        return self._do(_backup())

    def jobs(self, limit: int = 50) -> list[Job]:
        """List the jobs, the newest first."""
        return self._do(_jobs(limit)).jobs

    def job(self, job_id: str) -> Job:
        """Ask how a job stands."""
        return self._do(_job(job_id))

    def export(self, after: int = 0, limit: int | None = None) -> list[Json]:
        """Ask for the events of the log, oldest first.

        Args:
            after: ``seq`` of the last event that is not wanted.
            limit: Most events; None: all, which may be many.
        """
        return lines(self._do(_export(after, limit)))

    def health(self) -> answers.Ready:
        """Ask whether the process runs."""
        return self._do(_health())

    def metrics(self) -> str:
        """Ask for all counters, in the text format of Prometheus."""
        return self._do(_metrics()).decode()


class AsyncAdmin:
    """Do from coroutines what `Admin` does: each method is the one of that name, awaited.

    Args:
        do: Sends a call.
    """

    def __init__(self, do: DoingLater) -> None:
        self._do = do

    async def publish(self, folder: str) -> Json:
        """Publish a folder of the registry's incoming/ as a version, which does not serve yet."""
        return await self._do(_publish(folder))

    async def challenge(self, version: str, share: float) -> Json:
        """Let a version answer a share of the users, in [0, 1), beside the one that serves."""
        return await self._do(_challenge(version, share))

    async def import_file(
        self, file: str | Path, *, kind: str = "events", validate_only: bool = False
    ) -> Job:
        """Have a file of events or items taken in; see `Admin.import_file`."""
        return await self._do(_import_file(file, kind, validate_only))

    async def backup(self) -> Job:
        """Have models and log copied into a folder of the server, and give the job. Sent once."""
        return await self._do(_backup())

    async def jobs(self, limit: int = 50) -> list[Job]:
        """List the jobs, the newest first."""
        return (await self._do(_jobs(limit))).jobs

    async def job(self, job_id: str) -> Job:
        """Ask how a job stands."""
        return await self._do(_job(job_id))

    async def export(self, after: int = 0, limit: int | None = None) -> list[Json]:
        """Ask for the events of the log, oldest first; see `Admin.export`."""
        return lines(await self._do(_export(after, limit)))

    async def health(self) -> answers.Ready:
        """Ask whether the process runs."""
        return await self._do(_health())

    async def metrics(self) -> str:
        """Ask for all counters, in the text format of Prometheus."""
        return (await self._do(_metrics())).decode()


def _publish(folder: str) -> Call[Json]:
    body = msgspec.json.encode({"folder": folder})
    return Call("POST", "/v1/models", dict, body=body, again=False)


def _challenge(version: str, share: float) -> Call[Json]:
    path = f"/v1/models/{quote(version, safe='')}/challenge"
    return Call("POST", path, dict, body=msgspec.json.encode({"share": share}), again=False)


def _import_file(file: str | Path, kind: str, validate_only: bool) -> Call[Job]:
    """Send a file's content, or the name of one that the server has.

    Raises:
        ConfigError: the file has an ending of none of the kinds read, or is not there.
    """
    query: Json = {"kind": kind} | ({"validate_only": "true"} if validate_only else {})
    path = Path(file)
    if isinstance(file, str) and not path.is_file():
        body, content_type = msgspec.json.encode({"file": file}), "application/json"
    else:
        if path.suffix not in _TYPES or not path.is_file():
            raise ConfigError(
                f"expected a file that ends in {', '.join(_TYPES)}, found {str(file)!r}."
            )
        body, content_type = path.read_bytes(), _TYPES[path.suffix]
    return Call("POST", "/v1/import", Job, query, body, False, content_type)


def _backup() -> Call[Job]:
    return Call("POST", "/v1/backup", Job, again=False)


def _jobs(limit: int) -> Call[Jobs]:
    return Call("GET", "/v1/jobs", Jobs, {"limit": limit})


def _job(job_id: str) -> Call[Job]:
    return Call("GET", f"/v1/jobs/{quote(job_id, safe='')}", Job)


def _export(after: int, limit: int | None) -> Call[bytes]:
    query: Json = {"after": after} | ({} if limit is None else {"limit": limit})
    return Call("GET", "/v1/export", None, query)


def _health() -> Call[answers.Ready]:
    return Call("GET", "/health", answers.Ready)


def _metrics() -> Call[bytes]:
    return Call("GET", "/metrics", None)
