"""Public: well-known event logs, fetched from their official addresses and checked.

Decisions: nothing is bundled, because most licences forbid it; a set is fetched from the people who
publish it, and its terms are shown. A checksum is written here only where it was verified;
otherwise the one that GroupLens publishes beside its archive is fetched with it, and where there is
none the SHA-256 found is told. A file appears under its name only when it is whole: it is written
beside it first, then renamed.
"""

import hashlib
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recency.errors import ConfigError, DataError, FormatError

Layout = Literal["movielens-tab", "movielens-dat", "movielens-csv", "checkins"]
Progress = Callable[[int, int | None], None]

_MOVIELENS = "https://files.grouplens.org/datasets/movielens"
_SNAP = "https://snap.stanford.edu/data"
_MOVIELENS_TERMS = (
    "research use with acknowledgement; no commercial use and no redistribution without "
    "permission (see the README inside)"
)
_MOVIELENS_CITE = "Harper and Konstan, The MovieLens Datasets, TiiS 2015"
_CHECKINS_TERMS = "no licence stated; cite the paper"
_CHECKINS_CITE = "Cho, Myers and Leskovec, Friendship and Mobility, KDD 2011"
_CHUNK = 1 << 18
_TIMEOUT = 60  # seconds without a byte


@dataclass(frozen=True)
class PublicSet:
    """Name a public event log.

    Attributes:
        name: What ``recency datasets get`` calls it.
        about: One line on what is in it.
        address: Official address of the archive.
        folder: Folder inside the archive.
        layout: How the files inside are written.
        terms: The licence in short; the publisher's own text counts.
        cite: What to cite.
        size: Bytes of the archive, None where it changes or was not verified.
        sha256: Verified checksum of the archive, or None.
        md5_address: Where the publisher gives an MD5 checksum, or None.
    """

    name: str
    about: str
    address: str
    folder: str
    layout: Layout
    terms: str
    cite: str
    size: int | None = None
    sha256: str | None = None
    md5_address: str | None = None

    @property
    def file_name(self) -> str:
        """Give the archive's own name."""
        return self.address.rpartition("/")[2]


def _movielens(
    name: str,
    about: str,
    layout: Layout,
    folder: str = "",
    size: int | None = None,
    sha256: str | None = None,
) -> PublicSet:
    return PublicSet(
        name=name,
        about=about,
        address=f"{_MOVIELENS}/{name}.zip",
        folder=folder or name,
        layout=layout,
        terms=_MOVIELENS_TERMS,
        cite=_MOVIELENS_CITE,
        size=size,
        sha256=sha256,
        md5_address=f"{_MOVIELENS}/{name}.zip.md5",
    )


def _checkins(name: str, about: str) -> PublicSet:
    return PublicSet(
        name=name,
        about=about,
        address=f"{_SNAP}/loc-{name}_totalCheckins.txt.gz",
        folder="",
        layout="checkins",
        terms=_CHECKINS_TERMS,
        cite=_CHECKINS_CITE,
    )


PUBLIC_SETS: dict[str, PublicSet] = {
    one.name: one
    for one in (
        _movielens(
            "ml-100k",
            "100,000 film ratings, 943 users, 1997 to 1998",
            "movielens-tab",
            size=4_924_029,
            sha256="50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
        ),
        _movielens(
            "ml-1m",
            "1,000,209 film ratings, 6,040 users, 2000 to 2003",
            "movielens-dat",
            size=5_917_549,
            sha256="a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
        ),
        _movielens(
            "ml-10m",
            "10 million film ratings, 72,000 users, 1995 to 2009",
            "movielens-dat",
            folder="ml-10M100K",
        ),
        _movielens(
            "ml-20m",
            "20 million film ratings, 138,493 users, 1995 to 2015",
            "movielens-csv",
            size=198_702_078,
            sha256="96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
        ),
        _movielens(
            "ml-25m",
            "25 million film ratings, 162,541 users, 1995 to 2019",
            "movielens-csv",
            size=261_978_986,
            sha256="8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa",
        ),
        _movielens(
            "ml-32m",
            "32 million film ratings, 200,948 users, 1995 to 2023",
            "movielens-csv",
        ),
        _movielens(
            "ml-latest-small",
            "about 100,000 film ratings, 610 users; changes over time",
            "movielens-csv",
        ),
        _movielens(
            "ml-latest",
            "about 33 million film ratings, 330,975 users; changes over time",
            "movielens-csv",
        ),
        _checkins("gowalla", "6.4 million check-ins at places, 2009 to 2010"),
        _checkins("brightkite", "4.5 million check-ins at places, 2008 to 2010"),
    )
}


@dataclass(frozen=True)
class Download:
    """Tell what was fetched.

    Attributes:
        path: The archive.
        sha256: Its checksum, as found.
        checked_by: What it was compared with: ``sha256``, ``md5`` or ``nothing``.
        is_new: False where a checked copy was there already.
    """

    path: Path
    sha256: str
    checked_by: Literal["sha256", "md5", "nothing"]
    is_new: bool


def public_set(name: str) -> PublicSet:
    """Find a public set by name.

    Raises:
        ConfigError: there is no such set.
    """
    if name not in PUBLIC_SETS:
        raise ConfigError(f"no public set is called {name!r}; known: {', '.join(PUBLIC_SETS)}.")
    return PUBLIC_SETS[name]


def download(
    name: str,
    folder: str | Path,
    *,
    base_url: str | None = None,
    progress: Progress | None = None,
) -> Download:
    """Fetch the archive of a public set into a folder, unless a good copy is there.

    Args:
        name: Key of `PUBLIC_SETS`.
        folder: Is made if need be.
        base_url: A mirror that holds the file under its own name; None is the official address.
        progress: Called with the bytes so far and the bytes in all (None: unknown).

    Raises:
        ConfigError: an unknown name.
        DataError: the address cannot be reached, or the transfer breaks off.
        FormatError: the file is not the published one.
    """
    wanted = public_set(name)
    target = Path(folder) / wanted.file_name
    address = f"{base_url.rstrip('/')}/{wanted.file_name}" if base_url else wanted.address
    md5_address = f"{address}.md5" if wanted.md5_address else None
    if target.exists() and wanted.sha256 is not None and _sha256(target) == wanted.sha256:
        return Download(target, wanted.sha256, "sha256", is_new=False)
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        found = _fetch(address, part, progress)
        checked_by = _check(wanted, found, md5_address)
        part.replace(target)
    except OSError as error:
        raise DataError(
            f"cannot write {target}: {error}. Free space, or choose another folder."
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return Download(target, found["sha256"], checked_by, is_new=True)


def _fetch(address: str, part: Path, progress: Progress | None) -> dict[str, str]:
    """Write what an address gives to a file; return its checksums."""
    sums = {"sha256": hashlib.sha256(), "md5": hashlib.md5(usedforsecurity=False)}
    done = 0
    with _open(address) as answer, part.open("wb") as file:
        length = answer.headers.get("Content-Length")
        total = int(length) if length is not None else None
        while chunk := _read(answer, address):
            file.write(chunk)
            for one in sums.values():
                one.update(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done, total)
    if total is not None and done != total:
        raise DataError(
            f"the transfer of {address} broke off after {done:,} of {total:,} bytes; try again."
        )
    return {name: one.hexdigest() for name, one in sums.items()}


def _open(address: str) -> http.client.HTTPResponse:
    if not address.startswith(("https://", "http://")):
        raise ConfigError(f"expected an address with https:// or http://, found {address!r}.")
    request = urllib.request.Request(address, headers={"User-Agent": "recency"})
    try:
        answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        raise DataError(
            f"{address} answered {error.code} {error.reason}; "
            f"the publisher may have moved it: see its page, or pass base_url."
        ) from error
    except (urllib.error.URLError, TimeoutError) as error:
        said = getattr(error, "reason", error)
        raise DataError(f"cannot reach {address}: {said}. Check the connection.") from error
    return answer


def _read(answer: http.client.HTTPResponse, address: str) -> bytes:
    try:
        return answer.read(_CHUNK)
    except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise DataError(f"the transfer of {address} broke off: {error}; try again.") from error


def _check(
    wanted: PublicSet, found: dict[str, str], md5_address: str | None
) -> Literal["sha256", "md5", "nothing"]:
    if wanted.sha256 is not None:
        _compare(wanted, "SHA-256", wanted.sha256, found["sha256"])
        return "sha256"
    if md5_address is None:
        return "nothing"
    with _open(md5_address) as answer:
        text = answer.read(4_096).decode("utf-8", "replace")
    published = re.search(r"\b[0-9a-fA-F]{32}\b", text)
    if published is None:
        raise FormatError(
            f"expected an MD5 checksum at {md5_address}, found {text[:80]!r}; "
            f"the publisher may have moved it."
        )
    _compare(wanted, "MD5", published[0].lower(), found["md5"])
    return "md5"


def _compare(wanted: PublicSet, kind: str, expected: str, found: str) -> None:
    if expected != found:
        raise FormatError(
            f"{wanted.file_name} is not the published file: expected {kind} {expected}, "
            f"found {found}. It was not kept. Try again; if it stays so, the publisher has "
            f"changed it."
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
