"""What the server says while it runs: lines, request ids, metrics, traces, status."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from recency.errors import ConfigError
from recency.serving.http.metrics import Metrics
from recency.serving.http.traces import Traces
from recency.serving.logs import set_up_logs


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    names = ("recency", "recency.requests", "uvicorn")
    before = {
        name: (logger.handlers, logger.level, logger.propagate)
        for name in names
        for logger in [logging.getLogger(name)]
    }
    yield
    for name, (handlers, level, propagate) in before.items():
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def test_each_request_leaves_a_line_of_json(client):
    said = io.StringIO()
    set_up_logs("json", requests=True, stream=said)
    answer = client.get("/v1/users/ann/recommendations", headers={"X-Request-ID": "mine-1"})
    client.get("/v1/users/ann/recommendations?k=0")
    assert answer.headers["x-request-id"] == "mine-1"
    lines = [json.loads(line) for line in said.getvalue().splitlines()]
    good, bad = [one for one in lines if one["logger"] == "recency.requests"]
    assert good["route"] == "/v1/users/{user_id}/recommendations" and good["status"] == 200
    assert good["request_id"] == "mine-1" and good["ms"] >= 0 and good["level"] == "info"
    assert bad["status"] == 422 and bad["code"] == "invalid-request"
    assert bad["request_id"] != "mine-1"
    assert "ann" not in said.getvalue()


def test_unless_asked_for_only_trouble_leaves_lines(client, engine, monkeypatch):
    said = io.StringIO()
    set_up_logs("plain", stream=said)
    client.get("/v1/models")
    assert said.getvalue() == ""
    monkeypatch.setattr(type(engine), "models", lambda self: 1 / 0)
    assert client.get("/v1/models").status_code == 500
    text = said.getvalue()
    assert "ZeroDivisionError" in text
    assert "warning: GET /v1/models 500 method=GET route=/v1/models status=500" in text


def test_keys_are_masked_wherever_they_turn_up():
    said = io.StringIO()
    set_up_logs("plain", secrets=["chosen-key-12345", ""], stream=said)
    logger = logging.getLogger("recency.anything")
    logger.warning("given rcy_abcDEF123-_456 and %s", "chosen-key-12345")
    try:
        raise ValueError("rcy_abcDEF123-_456")
    except ValueError:
        logger.exception("failed")
    assert "abcDEF" not in said.getvalue() and "chosen-key" not in said.getvalue()
    assert said.getvalue().count("rcy_***") == 4  # the source line of the error has one


def test_nobody_writes_a_line_of_his_own():
    said = io.StringIO()
    set_up_logs("plain", stream=said)
    logging.getLogger("recency.x").warning("%s", "a\nerror: forged\r\n")
    assert said.getvalue() == "warning: a\\nerror: forged\\r\\n\n"


def test_a_form_that_is_none_is_told():
    with pytest.raises(ConfigError, match="expected a log format of plain or json, found 'xml'"):
        set_up_logs("xml")


def test_metrics_have_the_names_that_are_promised(client):
    client.post("/v1/events", json=[{"user_id": "u1", "item_id": "i1"},
                                    {"user_id": "u1", "item_id": "new"}])  # fmt: skip
    version = client.get("/v1/users/u1/recommendations").json()["model_version"]
    text = client.get("/metrics").text
    for name in (
        "event_commit_seconds_count 1.0", "event_visible_seconds_count 1.0", "log_seq 2.0",
        "applied_seq 2.0", "apply_lag_events 0.0", "state_users 1.0", "state_bytes ",
        "swap_seconds", "unseen_item_rate",
        'queue_depth{queue="events"} 0.0', 'queue_depth{queue="questions"}', "model_age_seconds",
        f'model_info{{role="champion",version="{version}"}} 1.0', "memory_bytes",
    ):  # fmt: skip
        assert f"recency_{name}" in text, name
    labels = f'code="200",model="{version}",route="/v1/users/{{user_id}}/recommendations"'
    assert f"recency_recommend_seconds_count{{{labels}}} 1.0" in text
    (rate,) = [line for line in text.splitlines() if line.startswith("recency_unseen_item_rate")]
    assert 0 < float(rate.split()[1]) < 1


def test_models_that_are_gone_leave_no_series_behind():
    metrics = Metrics()
    for n in range(40):
        metrics.count_question("/v1/recommendations", f"m{n}", 200, 0.01)
    text = metrics.text().decode()
    assert text.count("recency_recommend_seconds_count{") == 5
    assert 'model="m39"' in text and 'model="m34"' not in text


def test_the_status_says_what_is_promised(client, engine):
    client.post("/v1/events", json={"user_id": "u1", "item_id": "i1"})
    status = client.get("/v1/status").json()
    assert status["status"] == "ready"
    assert status["durability"] == {"mode": "sync", "loss_window_seconds": 0.0}
    assert (status["last_seq"], status["apply_lag_events"]) == (1, 0)
    assert status["memory_bytes"] > 10**7 and status["uptime_seconds"] >= 0
    assert status["models"][0]["role"] == "champion"
    assert {"recency", "python", "torch"} <= set(status["versions"])


def test_readiness_is_red_before_the_end(client):
    client.app.state.stopping = True
    answer = client.get("/ready")
    assert (answer.status_code, answer.json()["code"]) == (503, "stopping")
    assert client.get("/v1/status").json()["status"] == "stopping"
    assert client.get("/health").status_code == 200
    # Who has not noticed yet is served still.
    assert client.post("/v1/events", json={"user_id": "u1", "item_id": "i1"}).status_code == 200


def test_requests_and_groups_are_traced(engine, make_client):
    trace = pytest.importorskip("opentelemetry.sdk.trace")
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept, provider = InMemorySpanExporter(), trace.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    client = make_client(engine, tracer=Traces(provider))
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    client.post("/v1/events", json={"user_id": "u1", "item_id": "i1"},
                headers={"traceparent": parent})  # fmt: skip
    client.get("/v1/users/u1/recommendations")
    spans: dict[str, Any] = {}
    for span in kept.get_finished_spans():
        spans.setdefault(span.name, span)
    assert {"POST", "GET", "parse", "group", "commit", "apply", "answer"} <= set(spans)
    post, parse = spans["POST"], spans["parse"]
    assert f"{post.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert parse.parent.span_id == post.context.span_id
    assert post.attributes["http.route"] == "/v1/events"
    assert post.attributes["http.response.status_code"] == 200
    commit, apply, group = spans["commit"], spans["apply"], spans["group"]
    assert commit.start_time <= commit.end_time == apply.start_time <= apply.end_time
    assert commit.parent.span_id == apply.parent.span_id == group.context.span_id
    assert group.attributes["recency.events"] == 1
    assert spans["answer"].attributes["recency.questions"] == 1


def test_without_opentelemetry_it_says_what_to_install(monkeypatch):
    import sys

    with pytest.raises(ConfigError, match="expected an address such as"):
        Traces.to("localhost:4318")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ConfigError, match=r"pip install 'recency\[otel\]'"):
        Traces.to("http://127.0.0.1:4318/v1/traces")
