"""The short way to a route leads where the long way leads."""

import re

import pytest
from starlette.routing import Match

from recency.serving.http.direct import Direct
from recency.serving.http.documentation import ROUTES


def both(client, method, path):
    """Give the handler and the parameters by the table, and by the patterns one by one."""
    routes = client.app.router.routes
    found = Direct(client.app, routes)._found({"method": method, "path": path})
    short = None if found is None else (found[0].endpoint, found[1])
    scope = {"type": "http", "method": method, "path": path, "headers": []}
    for route in routes:
        match, child = route.matches(scope)
        if match is Match.FULL:
            return short, (child["endpoint"], child["path_params"])
    return short, None


def test_every_documented_route_is_in_the_table(client):
    for route in ROUTES:
        path = re.sub(r"\{.*?\}", "an%2Fid", route.path)
        short, long = both(client, route.method, path)
        assert short == long and short is not None, route.path
        assert short[0] is route.handler


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "HEAD", "BREW"])
@pytest.mark.parametrize(
    "path",
    ["/v1/users//recommendations", "/v1/users/", "/v1/items/a/b", "/v1/events/", "/v1//events",
     "/v1/recommendations/x", "/v1/users/{}", "/v1/users/{user_id}", "", "/", "//",
     "/v1/items/{}/similar", "/v1/items//similar", "/v1/items/ /similar"],
)  # fmt: skip
def test_odd_addresses_are_the_same_either_way(client, method, path):
    short, long = both(client, method, path)
    assert short == long


def test_wrong_methods_and_addresses_are_told_as_ever(client):
    assert client.get("/v1/events").json()["code"] == "wrong-method"
    assert client.get("/v1/nothing/a/b").json()["code"] == "no-such-route"
    assert client.request("HEAD", "/v1/models").status_code == 405
