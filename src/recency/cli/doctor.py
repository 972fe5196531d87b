"""``recency doctor``: what is installed, what the machine has, and whether it all works.

With ``--profile`` it measures instead: what the machine can do, and where training spends its time.
"""

import os
import platform
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer

from recency import __version__
from recency.cli import options, output
from recency.errors import ConfigError, RecencyError

_PACKAGES = ("torch", "polars", "numpy", "scipy", "fastapi", "uvicorn", "pydantic", "matplotlib")
_OPTIONAL = ("pandas", "pyarrow", "implicit", "tensorboard")


def doctor(
    profile: Annotated[
        bool, typer.Option("--profile", help="Tell where a training step's time goes instead.")
    ] = False,
    log: Annotated[str | None, typer.Option(help="Event file to profile; default: drawn.")] = None,
    config: Annotated[Path | None, typer.Option(help="run.toml of the profiled model.")] = None,
    encoder: options.EncoderName = None,
    dim: Annotated[int | None, typer.Option(help="Width of the encoder.")] = None,
    layers: Annotated[int | None, typer.Option(help="Layers or blocks of the encoder.")] = None,
    experts: Annotated[
        bool | None, typer.Option("--experts/--no-experts", help="Mix simple memories in.")
    ] = None,
    items: Annotated[int, typer.Option(min=2, help="Items of a drawn log.")] = 5_000,
    max_len: Annotated[int | None, typer.Option(help="Most events a window.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, bf16-loss or bf16.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Of the processor.")] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="Of training steps to profile.")] = 4.0,
    json: output.Json = False,
) -> None:
    """Show versions, device and threads, and run a test of a few seconds; or profile training."""
    model = {"encoder": encoder, "dim": dim, "layers": layers, "experts": experts}
    training = {"max_len": max_len, "precision": precision}
    if profile:
        changes = {"model": model, "training": training}
        _profile(config, changes, (log, items, seconds, threads), as_json=json)
        return
    given = {"log": log, "config": config, "threads": threads} | model | training
    if asked := [
        f"--{name.replace('_', '-')}" for name, value in given.items() if value is not None
    ]:
        raise ConfigError(f"expected --profile beside {', '.join(asked)}; nothing else reads them.")
    _examine(as_json=json)


def _profile(
    config: Path | None,
    changes: dict[str, dict[str, Any]],
    run: tuple[str | None, int, float, int | None],
    *,
    as_json: bool,
) -> None:
    """Measure one model as the settings say; ``run``: log, items, seconds, threads."""
    from recency.cli.profile import profile, text
    from recency.cli.run_config import read_run_config

    log, n_items, seconds, threads = run
    settings = read_run_config(config, changes)
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    output.result(profile(settings, log, n_items, seconds), as_json=as_json, text=text)


def _examine(*, as_json: bool) -> None:
    """Show versions, device and threads, and run the checks; exit code 1 where one fails."""
    checks = [_run(name, check) for name, check in _CHECKS.items()]
    facts = {
        "recency": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in (*_PACKAGES, *_OPTIONAL)},
        **_machine(),
        "checks": checks,
        "ok": all(one["ok"] for one in checks),
    }
    output.result(facts, as_json=as_json, text=_text)
    if not facts["ok"]:
        raise typer.Exit(1)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _machine() -> dict[str, Any]:
    facts: dict[str, Any] = {"cpus": os.cpu_count(), "memory_gb": _memory(), "device": "cpu"}
    try:
        import torch
    except ImportError:
        return facts
    facts["threads"] = torch.get_num_threads()
    if torch.cuda.is_available():
        facts["device"] = f"cuda ({torch.cuda.get_device_name(0)})"
    return facts


def _memory() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):  # not on this system
        return None


def _run(name: str, check: Callable[[], str]) -> dict[str, Any]:
    """Run one check; whatever it raises is its finding."""
    began = time.perf_counter()
    try:
        said, ok = check(), True
    except (RecencyError, ImportError, OSError, RuntimeError, AssertionError) as error:
        said, ok = f"{type(error).__name__}: {error}", False
    seconds = round(time.perf_counter() - began, 2)
    return {"name": name, "ok": ok, "said": said, "seconds": seconds}


def _check_python() -> str:
    missing = [name for name in _PACKAGES if _version(name) is None]
    if missing:
        raise RuntimeError(f"not installed: {', '.join(missing)}; pip install recency")
    return f"Python {platform.python_version()} and every package that is needed"


def _check_reading() -> str:
    from recency.data.reading import read_log

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.csv"
        path.write_text("user,item,time\nann,m,1767225600\nbob,n,1767225660\n")
        log = read_log(path, report=lambda _: None)
        log.write(Path(folder) / "events.parquet")
        again = read_log(Path(folder) / "events.parquet", report=lambda _: None)
    if not again.events.equals(log.events):
        raise RuntimeError("a log written as Parquet came back different")
    return "a log written and read back is the same"


def _check_learning() -> str:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a model this small learns faster so, above all on a busy machine
    try:
        return _learn_a_cycle()
    finally:
        torch.set_num_threads(threads)


def _learn_a_cycle() -> str:
    from recency.data.synthetic import cycle
    from recency.nn.recurrent import GRU
    from recency.recommender import SequenceRecommender
    from recency.training.config import TrainConfig

    log = cycle(n_users=20, n_items=5, length=12)
    settings = TrainConfig(epochs=15, lr=2e-2, tokens=128, valid_share=0)
    model = SequenceRecommender(GRU(dim=16), training=settings).fit(log)
    with tempfile.TemporaryDirectory() as folder:
        model.save(folder)
        again = SequenceRecommender.load(folder)
    users = log.events["user_id"].unique(maintain_order=True).to_list()[:20]
    last = {user: item for user, item in log.events.select("user_id", "item_id").iter_rows()}
    found = again.recommend(users, k=1).to_frame()
    expected = [f"i{(int(str(last[user])[1:]) + 1) % 5}" for user in users]
    hits = sum(a == b for a, b in zip(found["item_id"].to_list(), expected, strict=True))
    if hits < len(users):
        raise RuntimeError(f"a model of a plain cycle knew {hits} of {len(users)} next items")
    return f"a model learned a cycle, was saved and loaded, and knew {hits} of {len(users)}"


_CHECKS: dict[str, Callable[[], str]] = {
    "installed": _check_python,
    "reading": _check_reading,
    "learning": _check_learning,
}


def _text(facts: dict[str, Any]) -> str:
    lines = [
        f"recency  {facts['recency']}",
        f"python   {facts['python']} on {facts['system']}",
        f"machine  {facts['cpus']} CPUs, {facts['memory_gb']} GiB memory",
        f"device   {facts['device']}, {facts.get('threads', '?')} threads",
        "packages " + ", ".join(f"{name} {at}" for name, at in facts["packages"].items() if at),
    ]
    absent = [name for name in _OPTIONAL if facts["packages"][name] is None]
    lines += [f"without  {', '.join(absent)} (optional)"] if absent else []
    for one in facts["checks"]:
        mark = "ok  " if one["ok"] else "FAIL"
        lines.append(f"{mark}     {one['name']}: {one['said']} ({one['seconds']} s)")
    return "\n".join(lines)
