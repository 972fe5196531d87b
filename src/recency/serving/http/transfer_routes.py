"""Routes that move much at once: imports and backups, as jobs, and the export of the event log."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from recency.serving.engine import Engine
from recency.serving.http.answers import json_answer
from recency.serving.http.paths import path_text
from recency.serving.http.problems import Problem
from recency.serving.http.question_checks import Reader, query_reader
from recency.serving.http.time_ids import time_id
from recency.serving.http.uploads import kind_of, named_file, received
from recency.serving.intake.importing import Import, What, import_file
from recency.serving.intake.jobs import Job, Jobs
from recency.serving.intake.values import shown
from recency.serving.log.events import Event
from recency.serving.snapshots.backup import back_up
from recency.units import format_instant

_KINDS = ("events", "items")
_MOST_JOBS = 200
_READ_AT_ONCE = 2000  # events
_lines = msgspec.json.Encoder().encode_lines


async def post_import(request: Request) -> Response:
    """Take a file of events or items; the job that is begun tells what became of it."""
    engine: Engine = request.app.state.engine
    jobs: Jobs = request.app.state.jobs
    reader = query_reader(request.query_params, engine.checks)
    reader.known_only(("kind", "validate_only", "unit"))
    what, unit = _what(reader), reader.unit()
    validate_only = reader.flag("validate_only", False)
    reader.finish()
    from_folder = kind_of(request) == "application/json"
    if from_folder:
        path, kind = await named_file(request, request.app.state.imports, engine.limits)
    else:
        path, kind = await received(request, request.app.state.uploads, engine.limits)
    order = Import(path, kind, what, unit, validate_only, discard=not from_folder)
    try:
        job = jobs.begin(time_id(), "import", partial(import_file, engine, order))
    except BaseException:
        if order.discard:
            path.unlink(missing_ok=True)
        raise
    return json_answer(_job_json(job), 202)


async def post_backup(request: Request) -> Response:
    """Copy the models and the log into a folder of the server; a job, taken while it serves."""
    engine: Engine = request.app.state.engine
    jobs: Jobs = request.app.state.jobs
    reader = query_reader(request.query_params, engine.checks)
    reader.known_only(())
    reader.finish()
    registry, name = engine.registry, time_id()
    if registry is None:
        raise Problem(
            409,
            "no-folder",
            "this server was not started from a folder, so there is nothing to copy but its log; "
            "GET /v1/export gives that.",
        )
    source = registry.path if registry.home is None else registry.home
    to = engine.store.path.parent / "backups" / name
    job = jobs.begin(name, "backup", partial(_back_up, source, to, engine.store.path))
    return json_answer(_job_json(job), 202)


async def get_job(request: Request) -> Response:
    """Say how a job stands."""
    jobs: Jobs = request.app.state.jobs
    name = path_text(request, "job_id")
    job = jobs.get(name)
    if job is None:
        raise Problem(
            404,
            "no-such-job",
            f"no job {shown(name)} is known: the newest are kept, and none over a restart.",
        )
    return json_answer(_job_json(job))


async def get_jobs(request: Request) -> Response:
    """List the jobs, the newest first."""
    engine: Engine = request.app.state.engine
    jobs: Jobs = request.app.state.jobs
    reader = query_reader(request.query_params, engine.checks)
    reader.known_only(("limit",))
    limit = reader.integer("limit", 50, 1, _MOST_JOBS)
    reader.finish()
    return json_answer({"jobs": [_job_json(one) for one in jobs.newest(limit)]})


async def get_export(request: Request) -> Response:
    """Give the events of the log, one JSON object a line, oldest first."""
    engine: Engine = request.app.state.engine
    reader = query_reader(request.query_params, engine.checks)
    reader.known_only(("after", "limit"))
    after = reader.integer("after", 0, 0, 2**53)
    limit = reader.integer("limit", 0, 1, 2**53)
    reader.finish()
    await asyncio.to_thread(engine.store.read, after, 1)  # an error now is an answer, later none
    return StreamingResponse(
        _exported(engine, after, limit or 2**53), media_type="application/x-ndjson"
    )


async def _exported(engine: Engine, after: int, limit: int) -> AsyncIterator[bytes]:
    """Read the log up to where it ends now."""
    end = engine.last_seq
    while limit > 0 and after < end:
        page = await asyncio.to_thread(engine.store.read, after, min(limit, _READ_AT_ONCE))
        page = [(seq, event) for seq, event in page if seq <= end]
        if not page:
            return
        yield _lines([event_json(seq, event) for seq, event in page])
        after, limit = page[-1][0], limit - len(page)


def event_json(seq: int, event: Event) -> dict[str, Any]:
    """Give an event as it would be sent, with its place in the log."""
    found = msgspec.structs.asdict(event)
    found["timestamp"] = format_instant(found.pop("time"))
    for name in ("context", "impression"):
        if found[name] is not None:
            found[name] = msgspec.Raw(found[name].encode())
    return {"seq": seq} | {name: one for name, one in found.items() if one is not None}


def _back_up(source: Path, to: Path, events: Path, job: Job) -> None:
    done = asdict(back_up(source, to, events))
    job.facts = done | {"folder": to.name}


def _what(reader: Reader) -> What:
    found = reader.raw.get("kind", "events")
    if found not in _KINDS:
        reader.fault("kind", f"expected {' or '.join(_KINDS)}, found {shown(found)}.")
        return "events"
    return cast(What, found)


def _job_json(job: Job) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "kind": job.kind,
        "state": job.state,
        "begun": None if job.begun is None else format_instant(job.begun),
        "ended": None if job.ended is None else format_instant(job.ended),
        "facts": job.facts,
        "error": job.error,
    }
