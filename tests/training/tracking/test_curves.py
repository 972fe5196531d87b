"""Curves: the table holds every epoch; the picture says which one was best."""

import io

import pytest
from matplotlib.image import imread
from PIL import Image

from recency.training.config import EpochRecord
from recency.training.tracking.curves import curves_picture, curves_table

SEARCH = [
    (EpochRecord("search", 1, 5.0, 0.10, 2.0, 1_000, chosen=True), 0.01),
    (EpochRecord("search", 2, 4.0, 0.20, 4.0, 1_000, chosen=True), 0.02),
    (EpochRecord("search", 3, 3.5, 0.15, 0.0, 1_000), 0.01),
]
REFIT = [(EpochRecord("refit", 1, 4.8, None, 2.0, 1_100), 0.01)]


def test_the_table_has_a_row_an_epoch():
    table = curves_table([*SEARCH, *REFIT])
    assert table.columns == [
        "stage", "epoch", "loss", "ndcg@10", "lr", "seconds", "n_targets", "targets_per_second",
    ]  # fmt: skip
    assert table["stage"].to_list() == ["search", "search", "search", "refit"]
    assert table["ndcg@10"].to_list() == [0.10, 0.20, 0.15, None]
    assert table["targets_per_second"].to_list() == [500.0, 250.0, 0.0, 550.0]
    assert curves_table([]).schema == table.schema


@pytest.fixture
def texts(monkeypatch):
    """Give the words of every picture that is drawn."""
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    found: list[str] = []
    save = Figure.savefig

    def read(figure, *args, **named):
        found.extend(one.get_text() for one in figure.findobj(Text))
        return save(figure, *args, **named)

    monkeypatch.setattr(Figure, "savefig", read)
    return found


def test_the_picture_tells_stages_apart_and_marks_the_best_epoch(texts):
    picture = curves_picture([*SEARCH, *REFIT], "Tide, 64 wide", "9 events")
    assert Image.open(io.BytesIO(picture)).size == (1320, 552)
    for said in ("Tide, 64 wide", "9 events", "Loss", "NDCG@10", "chosen: epoch 2", "0.2000"):
        assert said in texts
    assert "search, on the older part" in texts and "refit, on all" in texts
    colors = {tuple(pixel) for row in imread(io.BytesIO(picture))[:, :, :3] for pixel in row}
    assert len(colors) > 100  # ink, accent, grey, and their edges


def test_cooling_leaves_the_search_at_its_best(monkeypatch):
    from matplotlib.axes import Axes

    drawn = []
    plot = Axes.plot

    def noted(axes, x, y, **style):
        drawn.append((list(x), list(y), style.get("linestyle")))
        return plot(axes, x, y, **style)

    monkeypatch.setattr(Axes, "plot", noted)
    cooling = [
        (EpochRecord("cooling", 3, 3.4, 0.25, 1.0, 1_000), 0.01),
        (EpochRecord("cooling", 4, 3.3, 0.19, 1.0, 1_000, chosen=True), 0.01),
    ]
    curves_picture([*SEARCH, *cooling, *REFIT], "Tide", "")
    search, broken, refit, judged, cooled, chosen = drawn
    assert [line[2] == "-" for line in drawn[:5]] == [True, False, True, True, False]
    assert broken[:2] == ([2, 3, 4], [4.0, 3.4, 3.3])
    assert judged[:2] == ([1, 2, 3], [0.10, 0.20, 0.15])
    assert cooled[:2] == ([2, 3, 4], [0.20, 0.25, 0.19])
    assert search[0] == [1, 2, 3] and refit[0] == [1] and chosen[:2] == ([4], [0.19])


def test_a_run_without_a_judgement_shows_its_loss_alone(texts):
    picture = curves_picture([(EpochRecord("train", 1, 5.0, None, 1.0, 10), 0.01)], "GRU", "")
    assert Image.open(io.BytesIO(picture)).size == (1320, 552)
    assert "NDCG@10" not in texts and "train" in texts


def test_a_judgement_that_is_the_same_in_all_epochs_is_drawn_too(texts):
    same = [
        (EpochRecord("search", at, 1.0, 0.0, 1.0, 10, chosen=at == 1), 0.01) for at in range(1, 60)
    ]
    curves_picture(same, "Tide", "")
    assert "chosen: epoch 1" in texts and "0.0000" in texts
