"""The dashboard and the guide name metrics that the service has."""

import json
import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
_PART = re.compile(r"_(bucket|count|sum)$")


def exported(client) -> set[str]:
    text = client.get("/metrics").text
    return {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}


def test_every_panel_asks_for_a_metric_that_there_is(client):
    board = json.loads((DOCS / "grafana" / "recency.json").read_text())
    asked = {
        _PART.sub("", name)
        for panel in board["panels"]
        for target in panel.get("targets", ())
        for name in re.findall(r"recency_\w+", target["expr"])
    }
    assert len(asked) > 20
    assert asked - exported(client) <= {"recency_snapshot_age_seconds"}  # once one was taken
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))


def test_every_metric_of_the_guide_is_there(client):
    text = (DOCS / "operations.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(recency_\w+)`", text))
    assert named - exported(client) <= {"recency_snapshot_age_seconds"}
    silent = {name for name in exported(client) if not name.endswith("_created")} - named
    assert silent <= {"recency_event_apply_seconds", "recency_degraded_total", "recency_users",
                      "recency_items", "recency_events_refused"}, silent  # fmt: skip
