import hashlib
import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from zipfile import ZipFile

import pytest


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Stay quiet."""


@pytest.fixture
def mirror(tmp_path):
    """A server with a tiny ml-latest-small."""
    home = tmp_path / "mirror"
    home.mkdir()
    with ZipFile(home / "ml-latest-small.zip", "w") as packed:
        ratings = "userId,movieId,rating,timestamp\n1,10,4.0,1767225600\n"
        packed.writestr("ml-latest-small/ratings.csv", ratings)
        packed.writestr("ml-latest-small/movies.csv", "movieId,title,genres\n10,Tea,Drama\n")
    content = (home / "ml-latest-small.zip").read_bytes()
    (home / "ml-latest-small.zip.md5").write_text(hashlib.md5(content).hexdigest())
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(home)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("arguments", [["datasets"], ["datasets", "list"]])
def test_sets_are_listed(run, arguments):
    ran = run(*arguments)
    assert ran.code == 0
    assert "ml-100k " in ran.out and "Fetch one: recency datasets get" in ran.out
    ran = run(*arguments, "--json")
    assert "ml-1m" in [one["name"] for one in json.loads(ran.out)["datasets"]]


def test_a_set_is_fetched(run, tmp_path, mirror):
    ran = run(
        "datasets", "get", "ml-latest-small", "--out", tmp_path / "data", "--base-url", mirror
    )
    assert ran.code == 0
    events = tmp_path / "data" / "ml-latest-small" / "events.parquet"
    assert ran.out.startswith(f"1 events: {events}\n")
    assert "Checked: the archive has the MD5 that its publisher gives" in ran.out
    assert "terms  research use" in ran.err and "cite   Harper and Konstan" in ran.err
    assert run("inspect", events).code == 0


def test_json_names_the_files(run, tmp_path, mirror):
    ran = run(
        "datasets", "get", "ml-latest-small", "--out", tmp_path, "--base-url", mirror, "--json"
    )
    facts = json.loads(ran.out)
    assert facts["items"].endswith("items.parquet") and facts["checked_by"] == "md5"


def test_an_unknown_set_is_a_wrong_call(run, tmp_path):
    ran = run("datasets", "get", "ml-2m", "--out", tmp_path)
    assert ran.code == 2
    assert ran.err.startswith("ConfigError: no public set is called 'ml-2m'; known: ml-100k")


def test_a_publisher_that_does_not_answer_is_told(run, tmp_path, mirror):
    ran = run("datasets", "get", "ml-10m", "--out", tmp_path, "--base-url", mirror)
    assert ran.code == 1 and "answered 404" in ran.err
