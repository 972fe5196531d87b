import gzip
import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recency.data import public
from recency.data.catalogue import Catalogue
from recency.data.public import PUBLIC_SETS, download, public_set
from recency.data.reading import read_log
from recency.data.unpacking import prepare
from recency.errors import ConfigError, DataError, FormatError

START = 1_767_225_600


class Mirror(BaseHTTPRequestHandler):
    """Serve files from memory; a path that ends in ``!`` breaks off half-way."""

    def __init__(self, files: dict[str, bytes], seen: list[str], *args: Any) -> None:
        self.files, self.seen = files, seen
        super().__init__(*args)

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        self.seen.append(name)
        if name not in self.files:
            self.send_error(404)
            return
        content = self.files[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if "broken" in self.path else content)

    def log_message(self, *args: Any) -> None:
        """Stay quiet."""


@pytest.fixture
def mirror() -> Iterator[tuple[str, dict[str, bytes], list[str]]]:
    files: dict[str, bytes] = {}
    seen: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Mirror, files, seen))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", files, seen
    server.shutdown()
    thread.join()
    server.server_close()


def archive(folder: str, files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files.items():
            opened.writestr(f"{folder}/{name}", content)
    return packed.getvalue()


def md5_line(name: str, content: bytes) -> bytes:
    return f"MD5 ({name}) = {hashlib.md5(content).hexdigest()}\n".encode()


RATINGS_CSV = f"userId,movieId,rating,timestamp\n1,10,4.0,{START}\n2,11,3.5,{START + 5}\n".encode()
MOVIES_CSV = b'movieId,title,genres\n10,"Tea, the film",Comedy|Drama\n11,Cup,(no genres listed)\n'
SMALL = archive("ml-latest-small", {"ratings.csv": RATINGS_CSV, "movies.csv": MOVIES_CSV})
DOTS = archive(
    "ml-1m",
    {
        "ratings.dat": f"1::10::5::{START}\n1::11::3::{START + 1}\n".encode(),
        "movies.dat": "10::Caf\xe9 (1999)::Comedy|War\n11::Cup (2000)::Drama\n".encode("latin-1"),
    },
)
TABS = archive(
    "ml-100k",
    {
        "u.data": f"196\t10\t3\t{START}\n186\t11\t4\t{START + 9}\n".encode(),
        "u.item": "\n".join(
            f"{item}|{title}|01-Jan-1995||http://film|"
            + "|".join(str(int(at in on)) for at in range(19))
            for item, title, on in ((10, "Caf\xe9 (1999)", (5, 17)), (11, "Cup (2000)", ()))
        ).encode("latin-1"),
    },
)  # fmt: skip


def as_known(monkeypatch: pytest.MonkeyPatch, name: str, content: bytes) -> None:
    """Let the set's known checksum be that of the test's own archive."""
    known = replace(PUBLIC_SETS[name], sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(public.PUBLIC_SETS, name, known)


def test_a_set_is_fetched_checked_and_kept(
    tmp_path: Path, mirror: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    base_url, files, seen = mirror
    as_known(monkeypatch, "ml-100k", TABS)
    files["ml-100k.zip"] = TABS
    steps: list[tuple[int, int | None]] = []
    done = download(
        "ml-100k", tmp_path / "new", base_url=base_url, progress=lambda *at: steps.append(at)
    )
    assert done.path.read_bytes() == TABS
    assert (done.checked_by, done.is_new) == ("sha256", True)
    assert steps[-1] == (len(TABS), len(TABS))
    again = download("ml-100k", tmp_path / "new", base_url=base_url)
    assert not again.is_new and seen == ["ml-100k.zip"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["ml-100k.zip"]


def test_another_file_than_the_published_one_is_not_kept(tmp_path: Path, mirror: Any) -> None:
    base_url, files, _ = mirror
    files["ml-100k.zip"] = b"something else"
    with pytest.raises(FormatError) as error:
        download("ml-100k", tmp_path, base_url=base_url)
    found = hashlib.sha256(b"something else").hexdigest()
    assert str(error.value) == (
        f"ml-100k.zip is not the published file: expected SHA-256 "
        f"{PUBLIC_SETS['ml-100k'].sha256}, found {found}. It was not kept. Try again; if it stays "
        f"so, the publisher has changed it."
    )
    assert list(tmp_path.iterdir()) == []


def test_a_bad_copy_is_fetched_again(
    tmp_path: Path, mirror: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    base_url, files, _ = mirror
    as_known(monkeypatch, "ml-100k", TABS)
    files["ml-100k.zip"] = TABS
    (tmp_path / "ml-100k.zip").write_bytes(TABS[:50])
    assert download("ml-100k", tmp_path, base_url=base_url).is_new
    assert (tmp_path / "ml-100k.zip").read_bytes() == TABS


def test_the_publishers_md5_is_fetched_where_no_checksum_is_known(
    tmp_path: Path, mirror: Any
) -> None:
    base_url, files, seen = mirror
    files["ml-latest-small.zip"] = SMALL
    files["ml-latest-small.zip.md5"] = md5_line("ml-latest-small.zip", SMALL)
    done = download("ml-latest-small", tmp_path, base_url=base_url)
    assert done.checked_by == "md5" and seen[-1] == "ml-latest-small.zip.md5"
    assert done.sha256 == hashlib.sha256(SMALL).hexdigest()
    files["ml-latest-small.zip.md5"] = md5_line("ml-latest-small.zip", b"other")
    with pytest.raises(FormatError, match="is not the published file: expected MD5"):
        download("ml-latest-small", tmp_path, base_url=base_url)
    files["ml-latest-small.zip.md5"] = b"<html>moved</html>"
    with pytest.raises(FormatError, match="expected an MD5 checksum at .*, found '<html>moved"):
        download("ml-latest-small", tmp_path, base_url=base_url)


def test_a_broken_transfer_leaves_nothing(tmp_path: Path, mirror: Any) -> None:
    base_url, files, _ = mirror
    files["ml-100k.zip"] = TABS * 100
    with pytest.raises(DataError, match=r"the transfer of http.*ml-100k.zip broke off"):
        download("ml-100k", tmp_path, base_url=f"{base_url}/broken")
    assert list(tmp_path.iterdir()) == []


def test_addresses_that_do_not_answer(tmp_path: Path, mirror: Any) -> None:
    base_url, _, _ = mirror
    with pytest.raises(DataError, match="answered 404 Not Found; the publisher may have moved it"):
        download("ml-100k", tmp_path, base_url=base_url)
    with pytest.raises(DataError, match="cannot reach http://127.0.0.1:9/.*Check the connection"):
        download("ml-100k", tmp_path, base_url="http://127.0.0.1:9")
    with pytest.raises(ConfigError, match="expected an address with https:// or http://"):
        download("ml-100k", tmp_path, base_url="file:///etc")


def test_a_folder_that_cannot_be_written(tmp_path: Path, mirror: Any) -> None:
    base_url, files, _ = mirror
    files["ml-100k.zip"] = TABS
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(DataError, match="cannot write .*taken.* choose another folder"):
        download("ml-100k", tmp_path / "taken", base_url=base_url)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no public set is called 'ml-2m'; known: ml-100k, ml-1m"):
        public_set("ml-2m")


def test_every_set_says_what_it_is() -> None:
    for name, one in PUBLIC_SETS.items():
        assert name == one.name and one.about and one.terms and one.cite
        assert one.address.startswith("https://")
        assert one.sha256 is None or len(one.sha256) == 64


def test_a_tabbed_set_becomes_events_and_items(
    tmp_path: Path, mirror: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    base_url, files, _ = mirror
    as_known(monkeypatch, "ml-100k", TABS)
    files["ml-100k.zip"] = TABS
    done = prepare("ml-100k", tmp_path, base_url=base_url)
    log = read_log(done.events, report=lambda _: None)
    assert log.events.drop("timestamp").rows() == [(196, 10, 3.0), (186, 11, 4.0)]
    assert log.start == START * 1_000_000
    assert done.items is not None
    items = Catalogue.read(done.items)
    assert items.describe(10) == {
        "item_id": 10, "title": "Café (1999)", "categories": ["Comedy", "War"],
    }  # fmt: skip
    assert items.describe(11) == {"item_id": 11, "title": "Cup (2000)"}
    assert sorted(path.name for path in (tmp_path / "ml-100k").iterdir()) == [
        "events.parquet", "items.parquet", "ml-100k.zip",
    ]  # fmt: skip


def test_a_dotted_set_becomes_events_and_items(
    tmp_path: Path, mirror: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    base_url, files, _ = mirror
    as_known(monkeypatch, "ml-1m", DOTS)
    files["ml-1m.zip"] = DOTS
    done = prepare("ml-1m", tmp_path, base_url=base_url)
    assert pl.read_parquet(done.events)["item_id"].to_list() == [10, 11]
    assert done.items is not None
    assert Catalogue.read(done.items).describe(10)["title"] == "Café (1999)"


def test_a_csv_set_becomes_events_and_items(tmp_path: Path, mirror: Any) -> None:
    base_url, files, _ = mirror
    files["ml-latest-small.zip"] = SMALL
    files["ml-latest-small.zip.md5"] = md5_line("ml-latest-small.zip", SMALL)
    done = prepare("ml-latest-small", tmp_path, base_url=base_url)
    assert pl.read_parquet(done.events)["value"].to_list() == [4.0, 3.5]
    assert done.items is not None
    items = Catalogue.read(done.items)
    assert items.describe(10)["title"] == "Tea, the film"
    assert items.categories == ("Comedy", "Drama")


def test_checkins_drop_and_count_rows_without_a_place(tmp_path: Path, mirror: Any) -> None:
    base_url, files, _ = mirror
    text = "0\t2010-10-19T23:55:27Z\t30.2\t-97.7\t22847\n1\t\t\t\t\n"
    files["loc-gowalla_totalCheckins.txt.gz"] = gzip.compress(text.encode())
    done = prepare("gowalla", tmp_path, base_url=base_url)
    assert done.checked_by == "nothing" and done.items is None and done.n_events == 1
    assert done.report.dropped == {"item_id is missing": 1, "timestamp is missing": 1}


def test_an_archive_without_its_files_is_refused(tmp_path: Path, mirror: Any) -> None:
    base_url, files, _ = mirror
    for content in (archive("ml-latest-small", {"README": b""}), b"no zip at all"):
        files["ml-latest-small.zip"] = content
        files["ml-latest-small.zip.md5"] = md5_line("ml-latest-small.zip", content)
        with pytest.raises(FormatError, match="is not the archive expected: .* fetch it again"):
            prepare("ml-latest-small", tmp_path, base_url=base_url)
