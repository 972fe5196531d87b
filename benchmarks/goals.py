"""Set what was measured beside the goals that were set before anything was.

The goals are numbers somebody chose; everything beside them is read from ``benchmarks/results/``.
A goal that lacks a row is told as not measured, never as met.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from benchmarks.accuracy.exams import QUESTIONS
from benchmarks.accuracy.ours import BASELINES
from benchmarks.record import Row, load
from benchmarks.seeds import averaged

CHANCE = 0.05  # p above which a gain is not beyond chance
NEURAL = ("rectools/", "recbole/")
# Of a log and a kind of cut: whose best counts, and the least hit rate and NDCG, both of ten items.
Least = tuple[float, float]
FIGURES: tuple[tuple[str, str, str, tuple[str, ...], Least], ...] = (
    ("ml-1m-order", "last", "GRU", ("gru",), (0.289, 0.168)),
    ("ml-1m-order", "last", "Transformer", ("transformer",), (0.317, 0.183)),
    ("ml-1m-order", "last", "best of ours", ("tide", "gru", "transformer"), (0.325, 0.190)),
    ("amazon-beauty", "last", "best of ours", ("tide", "transformer"), (0.098, 0.059)),
    ("amazon-beauty", "last", "Tide", ("tide",), (0.092, 0.054)),
    ("amazon-beauty", "time", "best of ours", ("tide",), (0.052, 0.030)),
)
# Logs cut by time, asked for new items and for any, with a fixed catalogue and a growing one.
BY_TIME = ("ml-100k", "ml-latest-2k", "deskdrop", "online-retail", "globo-news")
SHORT = ("globo-news",)  # whose histories last hours
AHEAD = 0.05  # of the best of all others
LONG_GAPS = 0.10  # with time over without, behind gaps of more than a week
BLIND = {"tide": "tide, all time off", "tide, experts off": "tide, time off"}
# Of items that speak: part, its words, the metric, the goal in words, and the least.
WORDS = (
    ("cold", "items that training never saw", "ratio_to_ids_only", "3 times ids only", 3.0),
    ("warm", "items that it saw", "gain_over_ids_only", "-1% at worst", -0.01),
    ("few", "items with one to five events", "gain_over_ids_only", "+20% over ids only", 0.20),
    ("all", "all items", "gain_over_ids_only", "+3% over ids only", 0.03),
)


@dataclass(frozen=True)
class Standing:
    """Tell how a goal stands.

    Attributes:
        what: Is asked of what.
        goal: In words.
        measured: In words; empty where nothing was measured.
        is_met: By what was measured.
        by_chance: Though met, it may be so by chance.
    """

    what: str
    goal: str
    measured: str = ""
    is_met: bool = False
    by_chance: bool = False

    def cells(self) -> list[str]:
        """Make the cells of a table's row."""
        return [self.what, self.goal, self.measured or "–", self.word]

    @property
    def word(self) -> str:
        """Say how it stands in a few words."""
        if self.is_met:
            return "met, not beyond chance" if self.by_chance else "met"
        return "missed" if self.measured else "not measured"


def standings(table: str) -> list[Standing]:
    """List the goals of a table of results and how they stand; none for most tables."""
    found = {"accuracy": _of_accuracy, "content": _of_content}.get(table)
    return list(found()) if found else []


def _of_accuracy() -> Iterator[Standing]:
    rows = [row for row in load("accuracy") if row["request_time"] != "known" or _is_peer(row)]
    for data, kind, who, models, least in FIGURES:
        reading = "reading warm" if kind == "time" else "reading misses"
        asked = _asked(rows, data, f"{kind} ·", "repeats no", reading)
        yield _figure(asked, data, kind, who, models, least)
    for data in BY_TIME:
        for kind, words in QUESTIONS.items():
            warm = _asked(rows, data, "time ·", kind, "reading warm")
            growing = _asked(rows, data, "time ·", kind, "reading growing")
            yield _lead(f"{data}, {words}: Tide over the best of all others", warm, growing)
    for data in BY_TIME:
        yield _alone(data, _asked(rows, data, "time ·", "repeats no", "reading warm"))
    for model, without in BLIND.items():
        for data in BY_TIME:
            ways = product(("reading warm", "reading growing"), QUESTIONS)
            questions = [_asked(rows, data, "time ·", *way) for way in ways]
            yield _long_gaps(data, questions, model, without)


def _figure(
    rows: list[Row], data: str, kind: str, who: str, models: Sequence[str], least: Least
) -> Standing:
    cut = "last event" if kind == "last" else "cut by time"
    what = f"{data}, {cut}: {who}, recall@10 and NDCG@10"
    goal = f"{least[0]:.3f}, {least[1]:.3f}"
    found = [_mean(rows, one, "recall@10", "ndcg@10") for one in models]
    best = max((one for one in found if one), key=lambda one: one[1], default=None)
    if best is None:
        return Standing(what, goal)
    met = best[0] >= least[0] and best[1] >= least[1]
    return Standing(what, goal, f"{best[0]:.4f}, {best[1]:.4f}", met)


def _lead(what: str, *questions: list[Row]) -> Standing:
    goal = f"{AHEAD:+.0%}, catalogue fixed and growing"
    return _shares(what, goal, [_ahead(rows) for rows in questions], AHEAD, ".1%")


def _shares(
    what: str, goal: str, found: Sequence[float | None], least: float, digits: str
) -> Standing:
    """Tell shares, all of which a goal asks for."""
    shares = [one for one in found if one is not None]
    if len(shares) < len(found):
        return Standing(what, goal)
    said = ", ".join(f"{one:+{digits}}" for one in shares)
    return Standing(what, goal, said, min(shares) >= least)


def _ahead(rows: list[Row]) -> float | None:
    """Give the share by which Tide is ahead of the best baseline or peer."""
    others = {row["model"] for row in rows if row["model"] in BASELINES or _is_peer(row)}
    return _over(rows, "tide", others, "ndcg@10")


def _alone(data: str, rows: list[Row]) -> Standing:
    what = f"{data}, items new to the user: the encoder alone over the neural peers"
    peers = {row["model"] for row in rows if row["model"].startswith(NEURAL)}
    share = _over(rows, "tide, experts off", peers, "ndcg@10")
    return _shares(what, "ahead, on three logs", [share], 0.0, ".1%")


def _long_gaps(data: str, questions: list[list[Row]], model: str, without: str) -> Standing:
    """Compare with time and without, behind long gaps: of an hour where histories are short."""
    long = "1h" if data in SHORT else "7d"
    words = {"1h": "an hour", "7d": "a week"}[long]
    named = "encoder alone" if model.endswith("experts off") else "Tide"
    what = f"{data}, gaps over {words}: {named} over the same without time"
    goal = f"{LONG_GAPS:+.0%}, new and any items, fixed; growing"
    name = f"ndcg@10 gap>{long}"
    found = [_over(rows, model, {without}, name) for rows in questions]
    return _shares(what, goal, found, LONG_GAPS, ".0%")


def _of_content() -> Iterator[Standing]:
    rows = load("content")
    for data in ("ml-latest-2k", "online-retail"):
        for words, mark in (("the encoder alone", ", encoder alone"), ("with experts", "")):
            for part, items, metric, goal, least in WORDS:
                says = (data, f"{part} ·", f"tide, ids and content{mark}")
                yield _gain(rows, f"{data}, {items}, {words}", goal, says, metric, least)
    for data in ("amazon-instruments", "ml-latest-2k", "online-retail"):
        what = f"{data}: the hybrid over the better of its parts"
        says = (data, "hybrid ·", "hybrid of tide")
        yield _gain(rows, what, "not behind", says, "gain_over_best_part", 0.0)
    says = ("amazon-beauty-electronics", "into either", "domains, seeds averaged")
    for words, metric, least in (
        ("a model of the domain alone", "gain_over_single_domain", 0.15),
        ("a model that ignores domains", "gain_over_ignoring", 0.03),
    ):
        what = f"several domains: users with few events there, over {words}"
        yield _gain(rows, what, f"{least:+.0%}", says, metric, least)
    what = "100,000 titles on two threads, times plain sentence-transformers"
    says = ("generated titles", "100,000", "Recency, bfloat16")
    yield _gain(rows, what, "1.5 times", says, "speedup", 1.5)


def _gain(
    rows: list[Row], what: str, goal: str, says: tuple[str, str, str], metric: str, least: float
) -> Standing:
    """Read a metric of a row named by its data, part of its protocol, beginning of its model."""
    data, protocol, model = says
    found = [
        row
        for row in rows
        if row["data"] == data and protocol in row["protocol"] and _is_of(row, model)
    ]
    # The mean over seeds, where there is one, is recorded last.
    metrics = next((row["metrics"] for row in reversed(found)), None)
    if metrics is None:
        return Standing(what, goal)
    value, p = metrics.get(metric), metrics.get(f"{metric} p", metrics.get("p"))
    if value is None:  # a ratio to nothing
        own = metrics["ndcg@10"]
        return Standing(what, goal, f"{own:.4f} where ids only have 0", own > 0)
    said = f"{value:+.1%}" if metric.startswith("gain") else f"{value:.2f} times"
    said += f" (p {p:.3f})" if p is not None else ""
    by_chance = least > 0 and p is not None and p > CHANCE
    return Standing(what, goal, said, value >= least, by_chance)


def _is_of(row: Row, model: str) -> bool:
    """Tell whether a row is of a model or of its mean over seeds."""
    rest = row["model"].removeprefix(model)
    return rest == "" or rest.startswith(", mean of")


def _asked(rows: list[Row], data: str, *words: str) -> list[Row]:
    return [
        row for row in rows if row["data"] == data and all(one in row["protocol"] for one in words)
    ]


def _is_peer(row: Row) -> bool:
    return "/" in row["model"]


def _mean(rows: list[Row], model: str, *names: str) -> list[float] | None:
    """Give metrics of a model, averaged over its seeds."""
    found = [row["metrics"] for row in averaged(rows) if row["model"] == model]
    if not found or not all(name in found[0] for name in names):
        return None
    return [found[0][name] for name in names]


def _over(rows: list[Row], model: str, others: set[str], name: str) -> float | None:
    """Give the share by which a model is ahead of the best of others."""
    own = _mean(rows, model, name)
    theirs = [found[0] for one in others if (found := _mean(rows, one, name))]
    return None if own is None or not theirs else own[0] / max(theirs) - 1
