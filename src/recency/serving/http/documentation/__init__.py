"""Documentation: every route with its parameters, bodies, answers and examples, for OpenAPI.

One file a noun; whoever adds a route adds it there.
"""

from recency.serving.http.documentation.events import EVENTS
from recency.serving.http.documentation.items import ITEMS
from recency.serving.http.documentation.models import MODELS
from recency.serving.http.documentation.recommendations import RECOMMENDATIONS
from recency.serving.http.documentation.route import Documented
from recency.serving.http.documentation.status import STATUS
from recency.serving.http.documentation.transfers import TRANSFERS
from recency.serving.http.documentation.users import USERS

__all__ = ["ROUTES", "Documented"]

ROUTES: tuple[Documented, ...] = (
    *EVENTS,
    *RECOMMENDATIONS,
    *ITEMS,
    *USERS,
    *TRANSFERS,
    *MODELS,
    *STATUS,
)
