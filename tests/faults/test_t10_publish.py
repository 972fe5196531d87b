"""T10, the publisher's half: killed at any step, a version is there whole or not at all.

The process is forked and kills itself with SIGKILL at its n-th step on the disk, for every n until
it comes through. What is left is read by another process, and published over.
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from recency.loading import load
from recency.serving.models.registry import Registry
from tests.serving.conftest import fitted, shop_log

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
_STEPS = (
    *((os, name) for name in ("fsync", "open", "rename", "replace", "unlink", "mkdir")),
    *((shutil, name) for name in ("copyfile", "rmtree")),
)


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do some work in a process that is killed just before its n-th step; tell if it was."""
    child = os.fork()
    if not child:
        try:
            _kill_before(step)
            work()
        except BaseException:
            os._exit(3)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the work failed, unkilled"
    return os.WIFSIGNALED(status)


def _kill_before(step: int) -> None:
    left = step

    def guarded(function: Callable[..., object]) -> Callable[..., object]:
        def run(*arguments: object, **named: object) -> object:
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return function(*arguments, **named)

        return run

    for module, name in _STEPS:
        setattr(module, name, guarded(getattr(module, name)))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("models")
    for n in (1, 2):
        fitted(shop_log(200 + n)).save(folder / str(n))
    return [folder / "1", folder / "2"]


def test_t10_a_killed_publisher_leaves_nothing_half(
    models: list[Path], tmp_path: Path, fault_row: Callable[..., None]
) -> None:
    registry = Registry(tmp_path)
    first = registry.publish(models[0])
    registry.promote(first)
    second = load(models[1]).model_version
    step = half = 0
    while killed_at(step, lambda: registry.publish(models[1])):
        for one in registry.versions():
            half += load(one.folder).model_version != one.version  # raises where a file is damaged
        assert registry.current().version == first
        assert {one.version for one in registry.versions()} <= {first, second}
        shutil.rmtree(registry.models / second, ignore_errors=True)  # where it came that far
        step += 1
    assert step > 20
    assert load(registry.version(second).folder).model_version == second
    assert list(registry.models.glob(".draft*")) == []  # those of the killed ones are gone
    assert half == 0
    fault_row("T10", runs=step, lost=0, doubled=half)


def test_t10_a_killed_promotion_points_to_the_old_or_to_the_new(
    models: list[Path], tmp_path: Path, fault_row: Callable[..., None]
) -> None:
    registry = Registry(tmp_path)
    first, second = (registry.publish(one) for one in models)
    registry.promote(first)
    step, seen = 0, set[str]()
    while killed_at(step, lambda: registry.promote(second, "by hand")):
        found = registry.current().version
        seen.add(found)
        assert found in (first, second)
        assert load(registry.current().folder).model_version == found
        registry.history.acts()  # a torn line would not stop anybody
        registry.promote(first)
        step += 1
    assert registry.current().version == second and registry.pointer().previous == first
    assert seen == {first, second} and step > 5
    fault_row("T10", runs=step, lost=0, doubled=0)


def test_the_trial_can_tell_a_failure_from_a_kill() -> None:
    assert killed_at(0, lambda: os.mkdir("/nowhere/at/all"))
    with pytest.raises(AssertionError, match="the work failed, unkilled"):
        killed_at(9, lambda: os.mkdir("/nowhere/at/all"))
    assert not killed_at(9, lambda: None)
