from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from recency.data.catalogue import Catalogue
from recency.data.reading import read_items
from recency.data.vocab import Vocab
from recency.errors import ConfigError, DataError, FormatError, UnitError
from recency.units import parse_instant


def shop() -> Catalogue:
    return Catalogue.from_frame(
        pl.DataFrame(
            {
                "item_id": ["tea", "cup", "ice"],
                "title": ["Green tea", "A cup", None],
                "categories": ["Drinks|Hot", "Kitchen", None],
                "price": [3, 5, None],
                "available_from": ["2026-01-10", None, "2026-06-01T00:00:00Z"],
                "expires_at": [None, "2026-02-01", "2026-09-01"],
                "shelf": [1, 2, 3],
            }
        )
    )


ITEMS = Vocab.from_ids(pl.Series(["cup", "unheard", "tea", "ice"]))


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-01-01", [True, True, False, False]),
        ("2026-01-09T23:59:59.999999Z", [True, True, False, False]),
        ("2026-01-10", [True, True, True, False]),
        ("2026-01-31T23:59:59.999999Z", [True, True, True, False]),
        ("2026-02-01", [False, True, True, False]),
        ("2026-06-01", [False, True, True, True]),
        ("2026-09-01", [False, True, True, False]),
    ],
)
def test_availability_is_half_open_and_unknown_items_are_available(
    at: str, expected: list[bool]
) -> None:
    assert shop().available(ITEMS, at).tolist() == expected
    assert shop().available(ITEMS, parse_instant(at)).tolist() == expected


def test_masks_follow_a_vocabulary_that_grows() -> None:
    items = shop()
    vocab = Vocab.from_ids(pl.Series(["cup"]))
    assert items.available(vocab, "2026-07-01").tolist() == [False]
    vocab.extend(["ice", "other"])
    assert items.available(vocab, "2026-07-01").tolist() == [False, True, True]
    other = Vocab.from_ids(pl.Series(["ice", "cup"]))
    assert items.available(other, "2026-07-01").tolist() == [True, False]


def test_categories_select_items() -> None:
    items = shop()
    assert items.categories == ("Drinks", "Hot", "Kitchen")
    assert items.in_categories(ITEMS, ["Hot", "Kitchen"]).tolist() == [True, False, True, False]
    assert items.in_categories(ITEMS, "Hot").tolist() == [False, False, True, False]
    with pytest.raises(ConfigError, match=r"no item has the category 'Hott'; did you mean 'Hot'\?"):
        items.in_categories(ITEMS, ["Hott"])


def test_ids_of_another_type_are_matched_by_what_they_say() -> None:
    items = Catalogue.from_frame(
        pl.DataFrame({"item_id": [7, 8], "expires_at": ["2026-01-01"] * 2})
    )
    texts = Vocab.from_ids(pl.Series(["8", "x", "7"]))
    assert items.available(texts, "2026-02-01").tolist() == [False, True, False]


def test_a_catalogue_without_times_or_categories() -> None:
    items = Catalogue.from_frame(pl.DataFrame({"item_id": ["tea"]}))
    assert items.available(ITEMS, 0).all()
    assert items.categories == ()
    assert items.titles(["tea"]) == [None]
    with pytest.raises(ConfigError, match="no item has the category 'Hot'. Known: none"):
        items.in_categories(ITEMS, ["Hot"])
    empty = Catalogue.from_frame(pl.DataFrame({"item_id": []}, schema={"item_id": pl.String}))
    assert empty.available(ITEMS, 0).all() and len(empty) == 0


def test_items_are_described() -> None:
    items = shop()
    assert items.describe("cup") == {
        "item_id": "cup",
        "title": "A cup",
        "categories": ["Kitchen"],
        "price": 5.0,
        "expires_at": datetime(2026, 2, 1, tzinfo=UTC),
        "shelf": 2,
    }
    assert items.describe("unheard") == {}
    assert items.titles(["ice", "tea", "unheard"]) == [None, "Green tea", None]
    assert "tea" in items and "unheard" not in items and len(items) == 3


def test_items_are_added_and_replaced_whole() -> None:
    items = shop()
    more = items.upsert(
        [{"item_id": "cup", "title": "Big cup", "colour": "red"}, {"item_id": "jar"}]
    )
    assert len(items) == 3 and len(more) == 4
    assert items.describe("cup")["title"] == "A cup"
    assert more.describe("cup") == {"item_id": "cup", "title": "Big cup", "colour": "red"}
    assert more.describe("tea") == items.describe("tea")
    assert more.available(ITEMS, "2026-03-01").tolist() == [True, True, True, False]
    assert items.upsert([]) is items
    with pytest.raises(DataError, match="item ids of this catalogue are String, found Int64"):
        items.upsert([{"item_id": 5}])
    with pytest.raises(DataError, match="found 1 items with several"):
        items.upsert([{"item_id": "jar"}, {"item_id": "jar"}])


def test_a_catalogue_is_written_and_read(tmp_path: Path) -> None:
    items = shop()
    items.write(tmp_path / "items.parquet")
    again = Catalogue.read(tmp_path / "items.parquet")
    assert again.frame.equals(items.frame)
    (tmp_path / "items.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(FormatError, match=r"cannot read the catalogue .*items.parquet"):
        Catalogue.read(tmp_path / "items.parquet")


def test_all_faults_of_a_frame_are_told_together() -> None:
    frame = pl.DataFrame(
        {"item_id": ["a", "a", None], "price": ["cheap", None, None], "categories": [1.5, 2, 3]}
    )
    with pytest.raises(DataError) as error:
        Catalogue.from_frame(frame)
    message = str(error.value)
    assert message.startswith("4 faults:")
    assert "item_id is null in 1 of 3 rows" in message
    assert "found 1 items with several, such as ['a']" in message
    assert "price: " in message and "categories: expected categories as text or lists" in message


def test_frames_without_usable_ids_are_refused() -> None:
    with pytest.raises(DataError, match=r"expected a column item_id; found: sku. Use read_items"):
        Catalogue.from_frame(pl.DataFrame({"sku": [1]}))
    with pytest.raises(DataError, match="expected item_id as Int64 or String, found Float64"):
        Catalogue.from_frame(pl.DataFrame({"item_id": [1.5]}))


def test_impossible_times_are_refused() -> None:
    frame = pl.DataFrame(
        {"item_id": ["a"], "available_from": ["2026-02-01"], "expires_at": ["2026-01-01"]}
    )
    with pytest.raises(DataError, match="1 items expire before they are available, such as 'a'"):
        Catalogue.from_frame(frame)
    with pytest.raises(DataError, match="expires_at: expected an ISO 8601 instant"):
        Catalogue.from_frame(pl.DataFrame({"item_id": ["a"], "expires_at": ["soon"]}))
    with pytest.raises((DataError, UnitError), match="looks like seconds"):
        Catalogue.from_frame(pl.DataFrame({"item_id": ["a"], "expires_at": [1_767_225_600]}))


def test_only_what_is_named_changes() -> None:
    items = shop()
    more = items.merge(
        [
            {"item_id": "cup", "price": 4},
            {"item_id": "tea", "categories": None, "is_hidden": True},
            {"item_id": "jar", "title": "A jar"},
        ]
    )
    assert more.describe("cup") == items.describe("cup") | {"price": 4.0}
    assert more.describe("tea")["title"] == "Green tea" and more.describe("tea")["is_hidden"]
    assert "categories" not in more.describe("tea")
    assert more.describe("jar") == {"item_id": "jar", "title": "A jar"}
    assert items.merge([]) is items
    with pytest.raises(DataError, match="items expire before they are available, such as 'ice'"):
        items.merge([{"item_id": "ice", "expires_at": "2026-05-01"}])
    with pytest.raises(DataError, match="price: "):
        items.merge([{"item_id": "cup", "price": "cheap"}])


def offered(items: Catalogue, at: str) -> list[bool]:
    mask = items.shelf(ITEMS).offered(parse_instant(at))
    return [True] * len(ITEMS) if mask is None else mask.tolist()


def test_removed_items_stay_hidden() -> None:
    items = shop().remove(["cup", "unheard"])
    assert items.describe("cup") == {"item_id": "cup", "is_hidden": True}
    assert offered(items, "2026-01-20") == [
        False, False, True, False,
    ]  # fmt: skip
    back = items.upsert([{"item_id": "cup"}])
    assert offered(back, "2026-01-20")[0]


def test_flags_are_read_as_people_write_them() -> None:
    items = Catalogue.from_frame(
        pl.DataFrame(
            {
                "item_id": ["a", "b", "c"],
                "in_stock": [0, 7, None],
                "is_hidden": ["no", "TRUE", None],
            }
        )
    )
    assert items.frame["in_stock"].to_list() == [False, True, None]
    assert items.frame["is_hidden"].to_list() == [False, True, None]
    texts = pl.DataFrame({"item_id": ["a", "b", "c", "d"], "in_stock": ["0", "7.0", "", "yes"]})
    assert Catalogue.from_frame(texts).frame["in_stock"].to_list() == [False, True, None, True]
    with pytest.raises(DataError, match="is_hidden: expected true or false, found 'perhaps'"):
        Catalogue.from_frame(pl.DataFrame({"item_id": ["a"], "is_hidden": ["perhaps"]}))


def test_a_large_upsert_and_many_small_ones_end_alike() -> None:
    rows = [{"item_id": f"n{n}", "price": float(n), "colour": "red"} for n in range(1_500)]
    whole, step = shop().upsert(rows), shop()
    for row in rows:
        step = step.upsert([row])
    assert len(step) == len(whole) == 1_503
    assert (
        step.frame.sort("item_id").select(whole.frame.columns).equals(whole.frame.sort("item_id"))
    )


def test_a_category_that_nobody_has_any_more_is_unknown() -> None:
    items = shop().upsert([{"item_id": "cup", "categories": ["Pots"]}])
    assert items.categories == ("Drinks", "Hot", "Pots")
    assert items.in_categories(ITEMS, ["Pots"]).tolist() == [True, False, False, False]
    with pytest.raises(ConfigError, match="no item has the category 'Kitchen'"):
        items.in_categories(ITEMS, ["Kitchen"])


def test_rules_columns_are_read_from_files(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text(
        "item_id,is_hidden,in_stock,domain\ntea,,4,de\ncup,true,0,\n", encoding="utf-8"
    )
    items = read_items(tmp_path / "items.csv")
    assert items.describe("tea") == {"item_id": "tea", "in_stock": True, "domain": "de"}
    assert items.describe("cup") == {"item_id": "cup", "is_hidden": True, "in_stock": False}
