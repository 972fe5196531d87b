"""Every route answers whatever its own documentation allows, as the documentation says.

Schemathesis makes the requests from the OpenAPI document, and holds status, type and body of each
answer against it. Nothing here listens on a port, and every run sends the same.
"""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi import checks

from recency.serving.app import create_app
from recency.serving.engine import Engine
from recency.serving.http import terms
from recency.serving.http.documentation import ROUTES
from recency.serving.intake.jobs import Jobs

HELD = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]
# What a busy server may say: a question about an entry of the log that does not come.
_MAY_WAIT = {"not-seen-yet", "timeout"}


@pytest.fixture(scope="module")
def api(_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The OpenAPI document of a shop, with the shop behind it."""
    folder = tmp_path_factory.mktemp("fuzzed") / "shop"
    engine = Engine.open(shutil.copytree(_shop, folder))
    app = create_app(engine)
    app.state.jobs = Jobs(most_waiting=10_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(terms, "_LONGEST", 0.001)
        yield schemathesis.openapi.from_asgi("/openapi.json", app)
    engine.close()


def test_the_document_names_every_route(api):
    described = {(one.ok().method.upper(), one.ok().path) for one in api.get_all_operations()}
    assert described == {(route.method, route.path) for route in ROUTES}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_route_does_what_its_documentation_says(api, route, caplog):
    caplog.set_level(logging.ERROR, logger="recency")

    @settings(
        max_examples=12,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=api[route.path][route.method].as_strategy())
    def ask(case: Any) -> None:
        answer = case.call()
        if answer.status_code >= 500:
            assert answer.json()["code"] in _MAY_WAIT, (case, answer.text)
        assert "Traceback" not in answer.text
        case.validate_response(answer, checks=HELD)

    ask()
    assert not [one for one in caplog.records if one.exc_info], "something unforeseen was logged"
