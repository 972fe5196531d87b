"""What ``recency fit`` does where ``run.toml`` has a section ``[ensemble]``."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recency.cli import output
from recency.cli.progress import training_bar
from recency.cli.run_config import RunConfig
from recency.errors import ConfigError, raise_all

if TYPE_CHECKING:
    from recency.data.catalogue import Catalogue
    from recency.data.log import Log
    from recency.data.prepared import Prepared
    from recency.ensemble import Ensemble


def ensemble_of(settings: RunConfig) -> "Ensemble":
    """Make the ensemble that the file describes, not yet fitted: each encoder under each seed.

    Raises:
        ConfigError: the section asks for what cannot be; all faults at once.
    """
    from recency.ensemble import Ensemble
    from recency.ensemble.members import BASELINES

    section, model = settings.ensemble, settings.model
    assert section is not None
    encoders = section.encoders or [model.encoder]
    faults = [
        f"ensemble.baselines: expected some of {', '.join(BASELINES)}, found {name!r}."
        for name in section.baselines
        if name not in BASELINES
    ]
    if section.seeds < 1:
        faults.append(f"ensemble.seeds={section.seeds}: expected at least 1.")
    if settings.encoder and encoders != [model.encoder]:
        faults.append(
            f"[encoder] holds arguments of one encoder, but [ensemble] has "
            f"{', '.join(encoders)}; leave [encoder] out, or encoders at {model.encoder!r} alone."
        )
    raise_all(faults, ConfigError)
    models = [
        replace(settings, model=replace(model, encoder=name, seed=model.seed + n)).recommender()
        for name in encoders
        for n in range(section.seeds)
    ]
    others = [BASELINES[name]() for name in section.baselines]
    return Ensemble([*models, *others], section.fusion, valid_share=section.valid_share)


def refuse_beside_ensemble(
    settings: RunConfig, *, init_from: Path | None, users: str | None, tracked: bool
) -> None:
    """Refuse what is for one model alone.

    Raises:
        ConfigError: some of it was asked for; all faults at once.
    """
    asked = {
        "--init-from starts": init_from is not None,
        "--users and [profiles] describe people to": bool(users or settings.profiles),
        "--tracker and --run-dir follow the training of": tracked,
        "--text, --vectors and [content] are for": settings.content is not None,
        "[[model.heads]] tell things of": bool(settings.model.heads),
    }
    faults = [
        f"{what} one model, but run.toml has a section [ensemble]; leave one of both out."
        for what, is_asked in asked.items()
        if is_asked
    ]
    raise_all(faults, ConfigError)


def fit_ensemble(
    settings: RunConfig,
    log: "Log | Prepared",
    catalogue: "Catalogue | None",
    out: Path,
    *,
    as_json: bool,
) -> None:
    """Fit the ensemble that the file describes, save it, and print what it gains and costs."""
    ensemble = ensemble_of(settings)
    with training_bar() as progress:
        ensemble.fit(log, catalogue, progress)
    ensemble.save(out)
    assert ensemble.cut is not None
    facts = {
        "folder": str(out),
        "model_version": ensemble.model_version,
        "n_events": log.n_events,
        "n_users": log.n_users,
        "n_items": log.n_items,
        "cut": output.instant(ensemble.cut),
        **ensemble.report.to_dict(),
    }
    output.result(facts, as_json=as_json, text=lambda _: _text(ensemble, facts))


def _text(ensemble: "Ensemble", facts: dict[str, Any]) -> str:
    return "\n".join(
        [
            str(ensemble.report),
            f"Ensemble {facts['model_version']} learned {facts['n_events']:,} events of "
            f"{facts['n_users']:,} users and {facts['n_items']:,} items before {facts['cut']}.",
            f"Saved in {facts['folder']}. Next: recency evaluate {facts['folder']} FILE, "
            f"recency serve {facts['folder']}",
        ]
    )
