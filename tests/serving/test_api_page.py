"""The page of the API names every route there is, in the words of the routes themselves."""

from pathlib import Path

from recency.serving.http.documentation import ROUTES
from recency.serving.intake.event_aliases import ALIASES

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


def test_its_table_is_that_of_the_routes():
    shown = PAGE.read_text().partition("## Routes\n")[2].partition("\n## ")[0].strip().splitlines()
    expected = [
        f"| `{one.method}` | `{one.path}` | {(one.handler.__doc__ or '').partition('.')[0]} |"
        for one in ROUTES
    ]
    assert shown[2:] == expected, "paste:\n" + "\n".join(expected)


def test_it_names_every_other_name_of_a_field():
    text = PAGE.read_text().partition("## Events\n")[2].partition("```")[0]
    assert not [one for one in ALIASES if f"`{one}`" not in text]
