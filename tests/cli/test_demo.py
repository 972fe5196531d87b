"""``recency demo`` as a process, from the command to the page, and its small decisions."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

from recency.cli import demo
from recency.data import synthetic
from recency.errors import ConfigError


def run(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "recency", "demo", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "NO_COLOR": "1", **environment},
    )


@pytest.mark.slow
def test_the_made_up_shop_is_trained_judged_and_served() -> None:
    ended = run("--quick", "--users", 60, "--port", 0, "--no-browser", "--exit-after-ready")
    assert ended.returncode == 0, ended.stderr
    assert "Made a shop:" in ended.stderr
    assert " events of 60 users on " in ended.stderr
    assert "Training" in ended.stderr
    for name in ("* GRU (this demo)", "Last item (Markov)", "Popularity", "The truth itself"):
        assert name in ended.stdout
    assert "The shop is open: http://127.0.0.1:" in ended.stdout


@pytest.mark.slow
def test_an_own_log_is_served_with_its_clock_going_on(tmp_path: Path) -> None:
    shop = synthetic.shop(n_users=30, n_items=30, days=30, end="2019-05-01")
    shop.log.write(tmp_path / "events.parquet")
    shop.items.write_parquet(tmp_path / "items.parquet")
    command = [sys.executable, "-m", "recency", "demo", "--quick", "--port", "0", "--no-browser"]
    command += ["--log", str(tmp_path / "events.parquet")]
    command += ["--items", str(tmp_path / "items.parquet")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "is open" in line)
        address = line.split()[-1]
        with urllib.request.urlopen(address, timeout=30) as page:
            assert b"Recency Studio" in page.read()
        with urllib.request.urlopen(f"{address}report.json", timeout=30) as report:
            assert b"ceiling" not in report.read()
        one = address.replace("/studio/", "/v1/users/u01/recommendations?k=3&details=true")
        with urllib.request.urlopen(one, timeout=30) as answer:
            told = answer.read()
        assert b'"at":"2019-' in told
        assert b'"title":' in told
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_items_without_a_log_are_refused() -> None:
    ended = run("--items", "items.csv")
    assert ended.returncode == 2
    assert "--items describes the items of --log FILE" in ended.stderr


def test_a_port_in_use_is_told_before_anything_is_trained() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run("--port", taken.getsockname()[1])
    assert ended.returncode == 2
    assert "is in use by another program" in ended.stderr
    assert "Made a shop" not in ended.stderr


def test_without_a_wish_another_port_is_taken_when_the_usual_one_is_in_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        used = taken.getsockname()[1]
        monkeypatch.setattr(demo, "_PORT", used)
        with closing(demo._bind(None)) as found:
            assert found.getsockname()[1] not in (0, used)
        with pytest.raises(ConfigError, match="in use"):
            demo._bind(used)


def test_the_clock_goes_on_from_an_old_log_and_is_the_wall_clock_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1_800_000_000_000_000
    monkeypatch.setattr(demo, "_now", lambda: now)
    day = 86_400_000_000
    fresh, old, ahead = (demo._clock(newest) for newest in (now - day // 48, now - day, now + day))
    monkeypatch.setattr(demo, "_now", lambda: now + 7)
    assert fresh() == now + 7
    assert old() == now - day + 7
    assert ahead() == now + day + 7


def test_a_browser_is_opened_only_where_it_can_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not demo._has_display()
    monkeypatch.setenv("DISPLAY", ":0")
    assert demo._has_display()
    monkeypatch.delenv("DISPLAY")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert demo._has_display()


def test_of_a_very_long_log_the_newest_events_are_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = synthetic.cycle(n_users=10, length=20)
    log.write(tmp_path / "events.parquet")
    monkeypatch.setattr(demo, "_MOST_EVENTS_QUICK", 50)
    scene = demo._own_log(str(tmp_path / "events.parquet"), None, quick=True)
    assert scene.log.n_events == 50
    assert scene.log.times.tolist() == log.times[-50:].tolist()
    assert "The demo takes the newest 50 of 200 events" in capsys.readouterr().err


def test_the_table_is_sorted_and_marks_the_model() -> None:
    def row(title: str, kind: str, value: float) -> dict[str, object]:
        numbers = {"value": value, "low": value - 0.01, "high": value + 0.01}
        return {"title": title, "kind": kind, "metrics": {"ndcg@10": numbers, "mrr@10": numbers}}

    table = {
        "metrics": ["ndcg@10", "mrr@10"],
        "rows": [row("Old", "baseline", 0.1), row("Ours", "model", 0.3)],
        "notes": ["A note."],
        "protocol": "How.",
    }
    lines = demo._text(table).splitlines()
    assert lines[2].split() == ["*", "Ours", "0.300", "0.290", "to", "0.310", "0.300"]
    assert lines[3].startswith("  Old")
    assert lines[-2:] == ["A note.", "How."]
