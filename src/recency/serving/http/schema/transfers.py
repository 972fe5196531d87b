"""Bodies about imports and other jobs."""

from typing import Any, Literal

from pydantic import Field

from recency.serving.http.schema.values import Body, Text


class FileIn(Body):
    """A file in the folder that the server was told to import from."""

    file: str = Field(examples=["events.parquet"])


class JobAnswer(Body):
    """How a job stands."""

    job_id: str
    kind: str
    state: Literal["waiting", "running", "done", "failed"]
    begun: Text | None
    ended: Text | None
    facts: dict[str, Any] = Field(description="What it has done so far")
    error: str | None = Field(description="Why it failed")


class JobsAnswer(Body):
    """The newest jobs, the newest first."""

    jobs: list[JobAnswer]
