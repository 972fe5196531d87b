import json

import pytest

from recency.cli import doctor
from recency.errors import DataError


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


@pytest.mark.slow
def test_the_whole_test_passes(run):
    ran = run("doctor")
    assert ran.code == 0, ran.out
    assert "a model learned a cycle, was saved and loaded, and knew 20 of 20" in ran.out
