"""Content is part of an item's vector: read and scored, learned with the model, kept by a fold."""

import pytest
import torch

from recency.errors import ConfigError
from recency.nn.inputs import SPECIAL
from recency.nn.item_content import PULL, ItemContent, describe, fold, follow
from recency.nn.model import SequenceModel
from recency.nn.recurrent import GRU

N_ITEMS = 6


def features() -> torch.Tensor:
    """Seven numbers of each item, of two features; nothing is known of item 2."""
    found = torch.randn(N_ITEMS, 7, generator=torch.Generator().manual_seed(0))
    found[2] = 0
    return found


def made(hidden: float = 0.2) -> tuple[SequenceModel, ItemContent]:
    torch.manual_seed(0)
    model, content = SequenceModel(GRU(8), N_ITEMS), ItemContent(8, {"text": 4, "categories": 3})
    describe(model, content, features(), hidden)
    return model, content


def test_a_vector_is_its_row_and_its_content() -> None:
    model, content = made()
    model.eval()
    vectors, biases = content(features())
    torch.testing.assert_close(model.vectors, model.items[SPECIAL:] + vectors)
    torch.testing.assert_close(model.biases, model.bias + biases)
    torch.testing.assert_close(model.table[:SPECIAL], model.items[:SPECIAL])
    torch.testing.assert_close(vectors[2], torch.zeros(8))


def test_a_feature_adds_what_its_gate_lets_through() -> None:
    model, content = made()
    gates = torch.sigmoid(content.gates(features()))
    text, categories = content.projections
    wanted = gates[:, :1] * text(features()[:, :4]) + gates[:, 1:] * categories(features()[:, 4:])
    torch.testing.assert_close(content(features())[0], wanted)


def test_hidden_rows_leave_content_alone() -> None:
    model, content = made(hidden=0.999999)
    model.train()
    assert model.described is not None
    model.described.draw()
    vectors = content(features())[0]
    vectors[2] = model.items[SPECIAL + 2]  # of which nothing is known: it keeps its row
    torch.testing.assert_close(model.vectors, vectors)


def test_a_fold_changes_no_score() -> None:
    model, _ = made()
    model.eval()
    queries = torch.randn(3, 8)
    before = model.scores(queries)
    names = {name for name, _ in model.named_parameters()}
    assert "described.content.lift.weight" in names
    fold(model)
    torch.testing.assert_close(model.scores(queries), before)
    assert not any(name.startswith("described") for name, _ in model.named_parameters())
    fold(model)  # nothing is left to fold
    torch.testing.assert_close(model.scores(queries), before)


def test_content_tells_items_apart_that_were_never_seen() -> None:
    """Items of odd and even features, learned on the first four; the last two are told apart."""
    torch.manual_seed(0)
    given = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat(3, 1)
    content = ItemContent(4, {"kind": 2})
    model = SequenceModel(GRU(4), 4)
    describe(model, content, given[:4], hidden=0.5)
    model.train()
    queries = torch.eye(4)[:2].repeat(2, 1)  # one query wants odd items, the other even ones
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        model.loss(queries, torch.arange(4)).backward()
        optimizer.step()
    scores = queries[:2] @ content(given)[0].T
    assert (scores[0, 4] > scores[0, 5] + 1) and (scores[1, 5] > scores[1, 4] + 1)


def test_faults() -> None:
    model, content = SequenceModel(GRU(8), N_ITEMS), ItemContent(8, {"text": 7})
    with pytest.raises(ConfigError, match="the model's 6 items, found 5 rows"):
        describe(model, content, features()[:5])
    with pytest.raises(
        ConfigError, match=r"expected features of 7 numbers an item, found \[6, 3\]"
    ):
        describe(model, content, features()[:, :3])
    with pytest.raises(ConfigError, match=r"hidden: expected a share in \[0, 1\), found 1"):
        describe(model, content, features(), hidden=1)


def test_content_follows_rows_that_were_learned_without_it() -> None:
    """Rows that are a linear function of content are told exactly, where nothing is held back."""
    torch.manual_seed(0)
    model, content = SequenceModel(GRU(8), N_ITEMS), ItemContent(8, {"text": 2, "categories": 1})
    given = torch.randn(N_ITEMS, 3)
    law, middle = torch.randn(3, 9), torch.randn(9)
    with torch.no_grad():
        rows = given @ law + middle
        model.items[SPECIAL:], model.bias[:] = rows[:, :8], rows[:, 8]
    follow(model, content, given, torch.full((N_ITEMS,), 10**7))
    vectors, biases = content(given)
    torch.testing.assert_close(vectors, rows[:, :8], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(biases, rows[:, 8], rtol=1e-3, atol=1e-3)
    later = torch.randn(2, 3)  # items of which there is nothing but content
    wanted = later @ law + middle
    torch.testing.assert_close(content(later)[0], wanted[:, :8], rtol=1e-2, atol=1e-2)


def test_items_of_few_events_are_drawn_towards_their_content() -> None:
    torch.manual_seed(0)
    model, content = SequenceModel(GRU(8), N_ITEMS), ItemContent(8, {"text": 7})
    rows = model.items.detach()[SPECIAL:].clone()
    counts = torch.tensor([0, 1, 1, 3, 1_000, 10**6])
    follow(model, content, features(), counts)
    vectors = content(features())[0]
    share = (counts / (counts + PULL))[:, None]
    wanted = share * rows + (1 - share) * vectors
    wanted[2] = rows[2]  # of which nothing is known
    torch.testing.assert_close(model.items[SPECIAL:], wanted)
