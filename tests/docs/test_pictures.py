"""A part is worth the share of NDCG@10 that goes with it, and every log has its picture."""

import pytest

from benchmarks import pictures, record


def pair(model: str, question: str = "repeats no", reading: str = "reading warm") -> record.Row:
    told = {"ndcg@10": 0.02, "ndcg@10 low": -0.01, "ndcg@10 high": 0.05, "ndcg@10 share": 0.25}
    return {"data": "a log", "model": model, "protocol": f"{question} · {reading}", "metrics": told}


ROWS = [
    pair("tide − tide, own off"),
    pair("tide − tide, crowd off"),
    pair("tide − tide, pair off", reading="reading growing"),
    pair("tide − markov"),
    pair("tide, experts off − tide, time off", "repeats yes"),
]


def test_a_part_is_worth_the_share_that_goes_with_it():
    told = pictures.worths(ROWS, "tide", "repeats no")
    assert list(told) == ["the crowd", "one's own past"]
    # .02 more than .08 without the part, of .10 with it
    assert told["the crowd"] == pytest.approx((0.2, -0.1, 0.5))
    assert not pictures.worths(ROWS, "tide", "repeats yes")


def test_a_picture_names_its_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "IMAGES", tmp_path)
    pictures.draw("a log", ROWS)
    drawn = pictures.path_of("a log").read_text(encoding="utf-8")
    for words in (">the crowd<", ">one's own past<", ">the whole, experts mixed in<", ">time<"):
        assert words in drawn
    pictures.draw("a log", ROWS)
    assert pictures.path_of("a log").read_text(encoding="utf-8") == drawn


def test_every_log_with_ablations_has_its_picture():
    rows = record.load("accuracy_paired")
    for data in {row["data"] for row in rows}:
        of_data = [row for row in rows if row["data"] == data]
        if pictures.is_drawn(of_data):
            drawn = pictures.path_of(data).read_text(encoding="utf-8")
            parts = [*pictures.worths(of_data, "tide", "repeats no")]
            parts += pictures.worths(of_data, "tide, experts off", "repeats no")
            assert all(f">{part}<" in drawn for part in parts), "run `make results`"
