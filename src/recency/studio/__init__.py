"""The studio: a page on which a person watches recommendations follow clicks and the clock.

Plain HTML, CSS and JavaScript modules in ``static/``, without a build step and without any address
but the service's own. It uses the service's public routes only, so everything it shows can be had
with ``curl``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recency.errors import ConfigError

if TYPE_CHECKING:
    from fastapi import FastAPI

STATIC = Path(__file__).parent / "static"


def mount(app: "FastAPI", report: Mapping[str, Any] | None = None) -> None:
    """Serve the page at ``/studio/``, and lead there from ``/``.

    Args:
        app: The service.
        report: What the page's table of results shows; see `recency.studio.report.page_report`.
            None: the page says that there is none.

    Raises:
        ConfigError: the installed package lacks the page.
    """
    from starlette.responses import JSONResponse, RedirectResponse
    from starlette.staticfiles import StaticFiles

    if not (STATIC / "index.html").is_file():
        raise ConfigError(f"expected the studio's page in {STATIC}, found none; install it again.")

    async def results() -> JSONResponse:
        return JSONResponse(report)

    async def front() -> RedirectResponse:
        return RedirectResponse("/studio/")

    app.add_api_route("/", front, include_in_schema=False)
    app.add_api_route("/studio/report.json", results, include_in_schema=False)
    app.mount("/studio", StaticFiles(directory=STATIC, html=True), name="studio")
