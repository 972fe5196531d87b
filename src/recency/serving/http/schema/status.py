"""Bodies about the server itself, and every error."""

from pydantic import Field

from recency.serving.http.schema.values import AsOf, Body


class StateAnswer(Body):
    """How the server is."""

    status: str
    version: str


class DurabilityLine(Body):
    """What an acknowledgement means."""

    mode: str = Field(description="sync, interval:50ms or memory")
    loss_window_seconds: float | None = Field(
        description="How far back a power loss may reach; null for no bound"
    )


class SnapshotLine(Body):
    """How far back a start would begin."""

    seq: int = Field(description="Place in the event log; 0 where there is none")
    age_seconds: float | None = Field(description="null where this process took none yet")


class ModelStanding(Body):
    """One model that is in step with the event log."""

    model_version: str
    role: str = Field(description="champion, challenger, trial or previous")
    share: float = Field(description="Of the users that it answers, 0 to 1")
    ndcg_at_10: float | None = Field(
        alias="ndcg@10", description="On the newest events, each judged before it was applied"
    )
    n_judged: int = Field(description="Those events")


class StatusAnswer(Body):
    """How the service stands."""

    status: str = Field(description="ready, or the code of what is wrong")
    durability: DurabilityLine
    last_seq: int = Field(description="Newest entry of the event log")
    snapshot: SnapshotLine | None = Field(description="The newest; null where none are taken")
    erase_pending: int = Field(description="Erased ids that files may hold until the next start")
    apply_lag_events: int = Field(description="Entries that the model has not seen")
    events_underway: int = Field(description="Handed in, not yet acknowledged")
    questions_waiting: int
    n_users: int
    n_items: int
    state_users: int = Field(description="Users whose state is in memory")
    state_bytes: int
    memory_bytes: int
    uptime_seconds: float
    models: list[ModelStanding]
    versions: dict[str, str]
    as_of: AsOf
    model_version: str


class FaultLine(Body):
    """One thing that is wrong."""

    field: str
    detail: str


class ProblemAnswer(Body):
    """Any error, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    code: str = Field(description="Stable, for programs")
    detail: str = Field(description="What was expected, what was found, what to do")
    instance: str
    errors: list[FaultLine] | None = None
