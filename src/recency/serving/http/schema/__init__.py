"""Schema: the bodies of the service, as OpenAPI shows them.

These models document; they do not check. A request is checked by `event_checks`, `item_checks` and
`question_checks`, which report all faults at once and take one event while they reject its
neighbour. A test holds every real answer against the model that documents it.
"""

from recency.serving.http.schema.events import EventIn, EventOutcome, EventsAnswer
from recency.serving.http.schema.foretelling import ForetellAnswer, ForetellIn, ForetoldLine
from recency.serving.http.schema.items import (
    ItemAnswer,
    ItemIn,
    ItemLine,
    ItemListAnswer,
    ItemOutcome,
    ItemPartIn,
    ItemsAnswer,
    ItemTaken,
)
from recency.serving.http.schema.models import (
    FolderIn,
    ModelChanged,
    ModelComparison,
    ModelLine,
    ModelsAnswer,
    ModelScore,
    ShareIn,
)
from recency.serving.http.schema.questions import (
    Explanation,
    NextIn,
    QuestionIn,
    RecommendationsAnswer,
    Scored,
    SearchAnswer,
    SimilarAnswer,
    Visit,
    VisitIn,
)
from recency.serving.http.schema.status import (
    FaultLine,
    ProblemAnswer,
    StateAnswer,
    StatusAnswer,
)
from recency.serving.http.schema.transfers import FileIn, JobAnswer, JobsAnswer
from recency.serving.http.schema.users import (
    DescribeAnswer,
    EraseAnswer,
    HistoryEvent,
    MergeAnswer,
    MergeIn,
    ProfileIn,
    UserAnswer,
    UserLine,
    UsersAnswer,
)
from recency.serving.http.schema.values import AsOf

__all__ = [
    "AsOf",
    "DescribeAnswer",
    "EraseAnswer",
    "EventIn",
    "EventOutcome",
    "EventsAnswer",
    "Explanation",
    "FaultLine",
    "FileIn",
    "FolderIn",
    "ForetellAnswer",
    "ForetellIn",
    "ForetoldLine",
    "HistoryEvent",
    "ItemAnswer",
    "ItemIn",
    "ItemLine",
    "ItemListAnswer",
    "ItemOutcome",
    "ItemPartIn",
    "ItemTaken",
    "ItemsAnswer",
    "JobAnswer",
    "JobsAnswer",
    "MergeAnswer",
    "MergeIn",
    "ModelChanged",
    "ModelComparison",
    "ModelLine",
    "ModelScore",
    "ModelsAnswer",
    "NextIn",
    "ProblemAnswer",
    "ProfileIn",
    "QuestionIn",
    "RecommendationsAnswer",
    "Scored",
    "ShareIn",
    "SearchAnswer",
    "SimilarAnswer",
    "StateAnswer",
    "StatusAnswer",
    "UserAnswer",
    "UserLine",
    "UsersAnswer",
    "Visit",
    "VisitIn",
]
