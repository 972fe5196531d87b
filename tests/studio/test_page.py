"""The page in a real browser: clicks are stored, lists follow, the clock moves, errors speak."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.studio.conftest import HOSTILE, Service
from tests.studio.devtools import Browser, Page

READY = "document.body && document.body.dataset.ready === 'true'"
ASKED = "performance.getEntriesByType('resource').map((one) => one.name)"

Open = Callable[..., Page]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(browser: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests of this file."""
    with Browser(browser, tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def open_page(running: Browser, service: Service) -> Iterator[Open]:
    """Open the page on a user of the shop, on its regular visitor unless told."""
    pages: list[Page] = []

    def opened(user: str = service.user, **settings: Any) -> Page:
        page = running.page(**settings)
        pages.append(page)
        page.open(f"{service.address}/studio/?user={user}")
        page.wait_for(READY)
        return page

    yield opened
    for page in pages:
        page.close()


def stored(service: Service) -> int:
    found: int = service.get(f"/v1/users/{service.user}")["n_events"]
    return found


def listed(page: Page) -> list[str]:
    """Give the ids of the items in the list."""
    rows = "[...document.querySelectorAll('.pick')]"
    return list(page.run(f"{rows}.map((row) => row.dataset.item)"))


def pick(page: Page, place: int) -> None:
    """Click the item at a place, 1 for the first."""
    page.click(f".pick:nth-child({place}) .pick-main")


def test_a_click_is_stored_and_the_list_follows(open_page: Open, service: Service) -> None:
    page = open_page()
    before, n_events = listed(page), stored(service)
    assert len(before) == 10
    assert page.count(".dot") == n_events
    pick(page, 3)
    page.wait_until(lambda: "new list in" in page.text("#latency"))
    assert stored(service) == n_events + 1
    newest = service.get(f"/v1/users/{service.user}")["events"][-1]
    assert (newest["item_id"], newest["event_type"]) == (before[2], "view")
    served = service.get(f"/v1/users/{service.user}/recommendations?k=10")["items"]
    assert listed(page) == [one["item_id"] for one in served]
    assert listed(page) != before
    assert page.count(".move.up, .move.down, .move.new") > 0
    assert page.count(".dot") == n_events + 1
    assert page.text("#who-note").startswith(f"{n_events + 1} events")
    assert page.count(".seen") == min(9, n_events + 1)
    assert not page.told


def test_a_click_can_be_a_purchase(open_page: Open, service: Service) -> None:
    page = open_page()
    n_events = stored(service)
    place = page.texts("#types button").index("purchase") + 1
    page.click(f"#types button:nth-child({place})")
    pick(page, 1)
    page.wait_until(lambda: "new list in" in page.text("#latency"))
    assert stored(service) == n_events + 1
    newest = service.get(f"/v1/users/{service.user}")["events"][-1]
    assert newest["event_type"] == "purchase"


def test_the_clock_shows_the_list_as_of_then(open_page: Open, service: Service) -> None:
    page = open_page()
    page.run("document.getElementById('slider').focus()")
    for _ in range(6):
        page.press("ArrowLeft", 37)
    page.wait_until(lambda: page.text("#next-note").startswith("As of then"))
    assert page.text("#next-title") == "Next, as of then"
    assert page.count(".dot.late") == 6
    at = page.wait_for(f"({ASKED}.at(-1).match(/at=([^&]+)/) || [])[1]")
    path = f"/v1/users/{service.user}/recommendations?k=10&at={at}"
    served = [one["item_id"] for one in service.get(path)["items"]]
    page.wait_until(lambda: listed(page) == served)
    page.click("#to-now")
    page.wait_until(lambda: page.count("#clock.live") == 1)
    assert page.count(".dot.late") == 0
    assert not page.told


def test_a_click_in_the_past_is_tried_out_and_not_stored(open_page: Open, service: Service) -> None:
    page = open_page()
    n_events = stored(service)
    page.click("#step-back")
    page.wait_until(lambda: page.text("#next-note").startswith("As of then"))
    then = listed(page)
    pick(page, 4)
    page.wait_until(lambda: "1 tried-out click," in page.text("#next-note"))
    page.wait_until(lambda: listed(page) != then)
    assert page.count(".seen.trial") == 1
    assert stored(service) == n_events, "the past is not rewritten"
    page.click("#next-note button")
    page.wait_until(lambda: listed(page) == then)
    assert not page.told


def test_a_new_visitor_gets_what_is_popular_and_leaves_no_trace(
    open_page: Open, service: Service
) -> None:
    page = open_page()
    n_users = service.get("/v1/users?limit=1")["n_users"]
    seq = service.get("/v1/models")["models"][0]["as_of"]["seq"]
    page.click("#new-visitor")
    page.wait_until(lambda: "what is popular" in page.text("#next-note"))
    before = listed(page)
    pick(page, 2)
    page.wait_until(lambda: "this visit alone" in page.text("#next-note"))
    assert listed(page) != before
    assert page.count(".seen") == 1
    assert service.get("/v1/users?limit=1")["n_users"] == n_users
    assert service.get("/v1/models")["models"][0]["as_of"]["seq"] == seq
    assert not page.told


def test_similar_items_open_on_a_press_and_close_on_escape(
    open_page: Open, service: Service
) -> None:
    page = open_page()
    path = f"/v1/items/{listed(page)[0]}/similar?k=6&details=true"
    page.click(".pick:nth-child(1) .pick-like")
    page.wait_until(lambda: page.count("#similar:not([hidden])") == 1)
    assert page.texts("#similar .title") == [one["title"] for one in service.get(path)["items"]]
    page.press("Escape", 27)
    page.wait_until(lambda: page.count("#similar[hidden]") == 1)
    assert page.run("document.activeElement.className") == "pick-like", "the focus comes back"


def test_replay_walks_through_the_history_by_itself(open_page: Open) -> None:
    page = open_page()
    page.click("#play")
    page.wait_until(lambda: page.count(".dot.late") > 3)
    late = page.count(".dot.late")
    page.wait_until(lambda: page.count(".dot.late") < late)
    page.click("#play")
    assert page.text("#play-label") == "Replay"


def test_zoom_takes_towers_apart(open_page: Open, service: Service) -> None:
    hour, now = 3_600_000_000, time.time_ns() // 1_000
    item = service.get("/v1/items?limit=1")["items"][0]["item_id"]
    ago = (
        24 * 60,
        2,
        1,
    )  # hours: two stand on the same pixels of two months, not on those of a day
    sent = [{"user_id": "zoe", "item_id": item, "timestamp": now - hours * hour} for hours in ago]
    httpx.post(f"{service.address}/v1/events", json=sent).raise_for_status()
    page = open_page("zoe")
    places = "[...document.querySelectorAll('.dot')].map((dot) => dot.getBoundingClientRect().x)"
    far = page.run(places)
    assert len(far) == 3
    assert far[1] == far[2]
    page.click("#zoom [data-span=day]")
    near = page.run(places)
    assert near[-1] - near[-2] > 20
    assert page.count(".night") > 0
    assert page.count("#zoom [data-span=day][aria-pressed=true]") == 1


def test_an_unknown_id_is_told_in_words(open_page: Open) -> None:
    page = open_page()
    page.run("document.getElementById('query').value = 'nobody'")
    page.run("document.getElementById('search').requestSubmit()")
    page.wait_until(lambda: page.count("#notice:not([hidden])") == 1)
    assert "user 'nobody' is unknown" in page.text("#notice")


def test_titles_are_text_and_never_markup(open_page: Open) -> None:
    page = open_page()
    page.click("#new-visitor")
    page.wait_until(lambda: HOSTILE in page.texts(".pick .title"))
    assert page.run("document.images.length") == 0
    assert page.run("document.title") == "New visitor · Recency Studio"


def test_the_table_of_results_is_drawn_from_the_report(open_page: Open, service: Service) -> None:
    page = open_page()
    page.wait_until(lambda: page.count("#results tbody tr") > 3)
    table = service.get("/studio/report.json")
    best = max(table["rows"], key=lambda row: row["metrics"]["ndcg@10"]["value"])
    first = page.text("#results tbody tr")
    assert first.startswith(best["title"])
    assert f"{best['metrics']['ndcg@10']['value']:.3f}" in first
    assert page.text("#results tr.model th") == "Ours"
    assert page.count("#results .interval") == len(table["rows"])
    assert table["notes"][0] in page.text("#results")


def test_nothing_is_asked_of_any_other_server(open_page: Open, service: Service) -> None:
    asked = open_page().run(ASKED)
    assert len(asked) > 10
    assert all(one.startswith(service.address) for one in asked)


@pytest.mark.parametrize(("width", "dark"), [(420, True), (900, False), (1400, True)])
def test_it_fits_every_width_and_both_schemes(open_page: Open, width: int, dark: bool) -> None:
    page = open_page(width=width, dark=dark, calm=True)
    assert page.run("document.documentElement.scrollWidth") <= width
    paper = page.run("getComputedStyle(document.body).backgroundColor")
    light = sum(int(part) for part in paper[4:-1].split(",")) / 3
    assert (light < 60) == dark
    assert not page.told


def test_every_control_has_a_name_and_the_keyboard_reaches_it(open_page: Open) -> None:
    page = open_page()
    named = "e.textContent.trim() || e.getAttribute('aria-label') || e.title"
    controls = "[...document.querySelectorAll('button, input, a')]"
    assert page.run(f"{controls}.filter((e) => !({named})).map((e) => e.outerHTML)") == []
    page.press("Tab", 9)
    assert page.run("document.activeElement.className") == "skip"


def test_a_service_that_went_away_is_told_in_words(open_page: Open) -> None:
    page = open_page()
    # What a stopped server looks like from here.
    page.run("window.fetch = () => Promise.reject(new TypeError('Failed to fetch'))")
    pick(page, 1)
    page.wait_until(lambda: page.count("#notice:not([hidden])") == 1)
    assert "Is it still running?" in page.text("#notice")
    assert page.count(".pick") == 10, "what was shown stays"


def test_a_service_with_a_key_is_asked_again_with_the_key(open_page: Open) -> None:
    page = open_page()
    page.run(
        "window.real = window.fetch; window.fetch = (address, given) =>"
        " given.headers['x-api-key'] === 'open sesame' ? window.real(address, given) :"
        " Promise.resolve(new Response('{}', { status: 401 }))"
    )
    pick(page, 1)
    page.wait_until(lambda: page.count("#notice input") == 1)
    assert "asks for its API key" in page.text("#notice")
    page.run("document.querySelector('#notice input').value = 'open sesame'")
    page.click("#notice button")
    page.wait_until(lambda: page.count("#notice[hidden]") == 1)
    assert page.count(".pick") == 10
