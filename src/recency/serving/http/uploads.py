"""Uploads: files that clients send, written to a folder of the server while they arrive.

A file gets a name of the server's own. Where a client may name a file, it is one in a folder that
the server was started with, and nothing outside it.
"""

import asyncio
import shutil
from pathlib import Path

from starlette.requests import ClientDisconnect, Request

from recency.serving.http.bodies import read_object
from recency.serving.http.problems import Fault, Problem
from recency.serving.http.time_ids import time_id
from recency.serving.intake.tables import KINDS, Kind
from recency.serving.intake.values import shown
from recency.serving.limits import Limits

UPLOADED: dict[str, Kind] = {
    "application/x-ndjson": "jsonl",
    "application/ndjson": "jsonl",
    "application/jsonl": "jsonl",
    "text/csv": "csv",
    "application/vnd.apache.parquet": "parquet",
}
FILE_FIELDS = ("file",)


async def received(request: Request, folder: Path, limits: Limits) -> tuple[Path, Kind]:
    """Write the body of a request to a file.

    Args:
        request: To read from; its type says the kind of file.
        folder: Made where it is missing.
        limits: How large, and how slow.

    Raises:
        Problem: 413, 415, 408 or 400; then no file is left.
    """
    kind = UPLOADED.get(kind_of(request))
    if kind is None or request.headers.get("content-encoding", "identity") != "identity":
        raise Problem(
            415,
            "wrong-content-type",
            f"expected an unpacked body of Content-Type application/json (which names a file) or "
            f"{' or '.join(sorted(UPLOADED))}, found {kind_of(request)[:80]!r}.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / time_id()
    try:
        await _write(request, path, limits)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path, kind


def cleared(folder: Path) -> Path:
    """Remove what a server that was killed left of the files sent to it."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder


async def named_file(request: Request, folder: Path | None, limits: Limits) -> tuple[Path, Kind]:
    """Find the file that a body names, in the folder from which imports are allowed.

    Raises:
        Problem: 403 when there is no such folder, 404 when it lacks the file, 422.
    """
    raw = await read_object(request, limits)
    if set(raw) != set(FILE_FIELDS):
        raise Problem(
            422, "invalid-request", f"expected an object with 'file' alone, found {shown(raw)}."
        )
    if folder is None:
        raise Problem(
            403,
            "no-import-folder",
            "this server imports no files of its own; send the file as the body, or start the "
            "server with a folder to import from.",
        )
    path = _within(folder, raw["file"])
    if not path.is_file():
        raise Problem(404, "no-such-file", f"there is no file {shown(raw['file'])} to import.")
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        detail = f"expected a file ending in {', '.join(KINDS)}, found {path.suffix[:20]!r}."
        raise Problem(422, "invalid-request", f"file: {detail}", [Fault("file", detail)])
    return path, kind


def kind_of(request: Request) -> str:
    """Give the type of a body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _within(folder: Path, name: object) -> Path:
    """Give the path of a file in a folder, links followed, and refuse what lies elsewhere."""
    if isinstance(name, str) and name and "\0" not in name and len(name) <= 1000:
        path = (folder / name).resolve()
        if path.is_relative_to(folder.resolve()):
            return path
    detail = f"expected the name of a file in the folder of imports, found {shown(name)}."
    raise Problem(422, "invalid-request", f"file: {detail}", [Fault("file", detail)])


async def _write(request: Request, path: Path, limits: Limits) -> None:
    size, chunks = 0, aiter(request.stream())
    with path.open("xb") as file:
        while True:
            try:
                chunk = await asyncio.wait_for(anext(chunks), limits.body_seconds)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise Problem(
                    408,
                    "too-slow",
                    f"nothing of the file came for {limits.body_seconds:g} s; send it again.",
                ) from None
            except ClientDisconnect:
                raise Problem(
                    400, "gone", "the connection closed before the file was complete."
                ) from None
            size += len(chunk)
            if size > limits.upload_bytes:
                raise Problem(
                    413,
                    "too-large",
                    f"expected a file of at most {limits.upload_bytes:,} bytes, found more; send "
                    f"it in parts. Nothing was taken.",
                )
            await asyncio.to_thread(file.write, chunk)
