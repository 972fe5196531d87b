import json
from functools import partial

import pytest

from recency.cli import doctor, profile
from recency.data.synthetic import cycle
from recency.errors import DataError
from recency.training import ceiling


@pytest.fixture
def tiny(monkeypatch):
    """Measure the machine with matrices and logs that take no time."""
    measure = partial(ceiling.measure_ceiling, sizes=(64,), cells=10_000)
    monkeypatch.setattr(ceiling, "measure_ceiling", measure)
    monkeypatch.setattr(profile, "DRAWN_EVENTS", 2_000)


def test_a_sound_installation_is_told(run, monkeypatch):
    monkeypatch.setattr(doctor, "_CHECKS", {"reading": doctor._check_reading})
    ran = run("doctor")
    assert ran.code == 0
    assert "ok       reading: a log written and read back is the same" in ran.out
    assert "packages torch 2" in ran.out
    facts = json.loads(run("doctor", "--json").out)
    assert facts["ok"] and facts["packages"]["polars"] and facts["cpus"] >= 1


def test_a_failed_check_is_told_and_is_exit_code_1(run, monkeypatch):
    def fail() -> str:
        raise DataError("nothing works")

    monkeypatch.setattr(doctor, "_CHECKS", {"reading": fail})
    ran = run("doctor")
    assert ran.code == 1
    assert "FAIL     reading: DataError: nothing works" in ran.out


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(doctor, "_PACKAGES", ("polars", "no-such-package"))
    with pytest.raises(RuntimeError, match="not installed: no-such-package; pip install recency"):
        doctor._check_python()


def test_a_profile_tells_the_ceiling_and_the_parts_of_a_step(run, tiny):
    asked = ("--encoder", "gru", "--dim", "8", "--max-len", "16", "--items", "40", "--no-experts")
    ran = run("doctor", "--profile", *asked, "--seconds", "0.1")
    assert ran.code == 0, ran.err
    assert "float32 products" in ran.out and "GFLOP/s" in ran.out and "% of the measured" in ran.out
    for part in ("reading the batch", "encoder forward", "backward", "optimiser", "whole step"):
        assert part in ran.out
    assert "judging it" in ran.out and "experts: what was known" not in ran.out


def test_a_profile_of_a_log_is_json_too(run, tiny, tmp_path):
    path = tmp_path / "events.parquet"
    cycle(n_users=30, n_items=5, length=20).write(path)
    ran = run(
        *("doctor", "--profile", "--log", str(path), "--encoder", "lstm", "--dim", "8"),
        *("--seconds", "0.1", "--json"),
    )
    assert ran.code == 0, ran.err
    facts = json.loads(ran.out)
    assert facts["data"] == "600 events, 5 items" and facts["experts"]
    assert facts["encoder"]["name"] == "lstm" and facts["encoder"]["dim"] == 8
    assert facts["step_ms"]["encoder"] > 0 and facts["step_ms"]["evidence"] > 0
    rate = facts["flops_per_target"] * facts["targets_per_second"] / 1e9
    assert facts["share_of_ceiling"] == pytest.approx(rate / facts["ceiling"]["gflops"])


def test_what_only_a_profile_reads_is_refused_without_it(run):
    ran = run("doctor", "--encoder", "gru", "--max-len", "16")
    assert ran.code == 2
    assert "expected --profile beside --encoder, --max-len" in ran.err


@pytest.mark.slow
def test_the_whole_test_passes(run):
    ran = run("doctor")
    assert ran.code == 0, ran.out
    assert "a model learned a cycle, was saved and loaded, and knew 20 of 20" in ran.out
