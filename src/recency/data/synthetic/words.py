"""Words for a small outdoor, kitchen and book shop: names, prices and habits of its shelves.

Everything here is made up. A title is a maker and a thing ("Alder two-person tent") or, for a book,
two halves ("The Salt Road"); when a shelf needs more titles than that gives, editions are numbered.
"""

import itertools
import re
from dataclasses import dataclass

import numpy as np

MAKERS: tuple[str, ...] = (
    "Alder",
    "Bracken",
    "Cairn",
    "Dunlin",
    "Eider",
    "Fernhill",
    "Gannet",
    "Heron",
)
MAKERS += ("Islay", "Juniper", "Kestrel", "Larch", "Marram", "Nettle", "Oriel", "Plover")
MAKERS += ("Quill", "Rowan", "Saltmarsh", "Tern", "Umber", "Vesper", "Wren", "Yarrow")


@dataclass(frozen=True)
class Shelf:
    """Describe one category of the shop.

    Attributes:
        department: The wider category it belongs to.
        name: The category.
        first, second: Halves of titles; every pair makes one.
        cheapest, dearest: Range of the prices.
        hour: Hour of the day (UTC) at which people look here most.
        weekday: Day of the week at which they do, 0 = Monday.
        consumable: Whether things here are used up and bought again.
    """

    department: str
    name: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    cheapest: float
    dearest: float
    hour: int
    weekday: int
    consumable: bool = False


def _goods(
    department: str, name: str, things: str, prices: tuple[float, float], peak: tuple[int, int]
) -> Shelf:
    second = tuple(thing.strip() for thing in things.split(","))
    consumable = name in ("Trail food", "Coffee and tea", "Spices")
    return Shelf(department, name, MAKERS, second, *prices, *peak, consumable)


def _books(name: str, first: str, second: str, peak: tuple[int, int]) -> Shelf:
    halves = [tuple(half.strip() for half in text.split(",")) for text in (first, second)]
    return Shelf("Books", name, halves[0], halves[1], 8.5, 38.0, *peak)


# The order matters: a shop with fewer shelves takes the first ones, so departments alternate.
SHELVES = (
    _goods(
        "Outdoor",
        "Tents",
        "one-person tent, two-person tent, family tent, tarp, bivvy bag, hammock, groundsheet",
        (28.0, 520.0),
        (20, 3),
    ),
    _goods(
        "Kitchen",
        "Coffee and tea",
        "house espresso, filter roast, smoked black tea, green tea, peppermint tea, cold brew",
        (5.5, 26.0),
        (8, 0),
    ),
    _books(
        "Novels",
        "The Salt, The Quiet, The Last, A Borrowed, The Winter, A Distant, The Glass, An Honest",
        "Road, Harbour, Orchard, Summer, Letter, Ferry, Lighthouse, Season, Garden, House",
        (22, 6),
    ),
    _goods(
        "Outdoor",
        "Packs",
        "day pack, trekking pack, hip pack, dry bag, duffel, climbing pack, bottle sling",
        (19.0, 260.0),
        (19, 4),
    ),
    _goods(
        "Kitchen",
        "Pans",
        "frying pan, saucepan, casserole, wok, griddle, stockpot, milk pan",
        (18.0, 210.0),
        (18, 5),
    ),
    _books(
        "Field guides",
        "Birds, Trees, Mosses, Stars, Clouds, Seashells, Wild Flowers, Mushrooms",
        "of the Coast, of the Uplands, in Winter, at a Glance, for Walkers, by Night, of the North",
        (10, 5),
    ),
    _goods(
        "Outdoor",
        "Trail food",
        "oat bar, lentil stew, berry mix, noodle soup, nut butter, porridge pot, dried apple",
        (2.2, 14.0),
        (12, 3),
    ),
    _goods(
        "Kitchen",
        "Knives",
        "paring knife, chef's knife, bread knife, whetstone, cleaver, oyster knife, chopping board",
        (12.0, 180.0),
        (17, 6),
    ),
    _books(
        "Cookbooks",
        "One-Pot, Sunday, Slow, Bright, Campfire, Market, Winter, Ten-Minute",
        "Suppers, Baking, Vegetables, Broths, Breads, Breakfasts, Pickles",
        (16, 6),
    ),
    _goods(
        "Outdoor",
        "Lights",
        "head torch, lantern, candle lamp, bike light, string lights, pocket torch",
        (9.0, 95.0),
        (21, 2),
    ),
    _goods(
        "Kitchen",
        "Spices",
        "smoked paprika, black pepper, cumin, sea salt, chilli flakes, cinnamon, saffron",
        (2.8, 16.0),
        (11, 5),
    ),
    _books(
        "Travel writing",
        "Slow Trains to, A Month in, Walking, Letters from, The Long Way to, Small Boats off",
        "the Fens, Patagonia, the Hebrides, Anatolia, the Black Sea, Lapland, the Azores, Kyoto",
        (21, 0),
    ),
)


def compose_titles(shelf: Shelf, n_titles: int, rng: np.random.Generator) -> list[str]:
    """Compose different titles for one shelf, in random order, with editions if needed."""
    pairs = [f"{a} {b}" for a, b in itertools.product(shelf.first, shelf.second)]
    rng.shuffle(pairs)
    editions = -(-n_titles // len(pairs))
    titles = [
        title if edition == 1 else f"{title}, No. {edition}"
        for edition in range(1, editions + 1)
        for title in pairs
    ]
    return titles[:n_titles]


def slug(title: str) -> str:
    """Turn a title into an id for use in addresses: ``alder-two-person-tent``."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower().replace("'", "")).strip("-")
