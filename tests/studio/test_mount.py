"""The page as files: served whole, and asking nothing of the world."""

import asyncio
import re
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from recency import studio
from recency.errors import ConfigError

FILES = sorted(path for path in studio.STATIC.iterdir() if path.is_file())


class Client:
    """Asks an app without a server."""

    def __init__(self, app: FastAPI) -> None:
        self._transport = httpx.ASGITransport(app)

    def get(self, path: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport) as http:
                return await http.get(f"http://shop{path}")

        return asyncio.run(ask())


@pytest.fixture
def client() -> Client:
    app = FastAPI()
    studio.mount(app, {"rows": [], "protocol": "as told"})
    return Client(app)


def test_the_page_and_all_its_files_are_served(client: Client) -> None:
    page = client.get("/studio/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    for name in re.findall(r'(?:href|src)="([\w.]+\.\w+)"', page.text):
        assert client.get(f"/studio/{name}").status_code == 200, name
    for path in FILES:
        for name in re.findall(r'from "\./([\w.]+)"', path.read_text()):
            found = client.get(f"/studio/{name}")
            assert found.status_code == 200, name
            assert "javascript" in found.headers["content-type"]


def test_the_front_door_leads_to_the_page(client: Client) -> None:
    answer = client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/studio/")


def test_the_report_is_served_as_given(client: Client) -> None:
    assert client.get("/studio/report.json").json() == {"rows": [], "protocol": "as told"}


def test_without_a_report_the_page_gets_null() -> None:
    app = FastAPI()
    studio.mount(app)
    assert Client(app).get("/studio/report.json").json() is None


def test_the_page_names_no_other_address() -> None:
    namespace = "http://www.w3.org/2000/svg"
    for path in FILES:
        assert "//" not in re.sub(
            r"^\s*//.*$|(?<=\s)// .*$", "", path.read_text(), flags=re.M
        ).replace(namespace, ""), path.name
    policy = (studio.STATIC / "index.html").read_text()
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy


def test_text_of_others_cannot_become_markup() -> None:
    for path in FILES:
        text = path.read_text()
        for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert way not in text, f"{way} in {path.name}"


def test_a_package_without_its_page_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(studio, "STATIC", tmp_path)
    with pytest.raises(ConfigError, match=r"expected the studio's page in .*, found none"):
        studio.mount(FastAPI())
