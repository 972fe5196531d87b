"""The sequence model around any encoder: states, questions, scores, growth."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from recency.data.histories import Histories
from recency.errors import ConfigError
from recency.nn.inputs import SPECIAL, InputConfig, Tensors
from recency.nn.losses import Sample
from recency.nn.model import SequenceModel
from recency.nn.recurrent import GRU, LSTM, RNN
from recency.nn.time import CalendarEncoding

START = 1_767_225_600_000_000  # 2026-01-01T00:00Z
HOUR = 3_600_000_000
ENCODERS = [lambda: RNN(8), lambda: GRU(8, layers=2), lambda: LSTM(8, layers=2)]


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-5)


def some_histories(lengths: list[int], n_items: int = 20, seed: int = 0) -> Histories:
    generator = np.random.default_rng(seed)
    n = sum(lengths)
    steps = generator.choice([0, 1, 3_600, 86_400], n) * 1_000_000
    times = [START + np.cumsum(part) for part in np.split(steps, np.cumsum(lengths)[:-1])]
    return Histories(
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        items=generator.integers(0, n_items, n).astype(np.int32),
        times=np.concatenate(times),
        types=generator.integers(0, 2, n).astype(np.int16),
        values=generator.normal(size=n).astype(np.float32),
    )


def everything(histories: Histories) -> Tensors:
    return Tensors.from_batch(histories.gather(histories.offsets[:-1], histories.offsets[1:]))


def new_model(encoder=None, request_time="unknown", seed: int = 0, **inputs) -> SequenceModel:
    """A model whose every part says something, in evaluation mode."""
    torch.manual_seed(seed)
    model = SequenceModel(encoder or GRU(8), 20, 2, InputConfig(**inputs), request_time)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    return model.eval()


# --- parity --------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoder", ENCODERS)
@torch.no_grad()
def test_forward_equals_repeated_step(encoder):
    model = new_model(encoder())
    batch = everything(some_histories([30, 30, 30]))
    outputs, last = model(batch)
    state = model.initial_state(3)
    for at in range(30):
        state = model.step(batch.part(slice(None), slice(at, at + 1)), state)
        close(model.outputs_of(state), outputs[:, at])
    close(state, last)
    assert state.shape == (3, model.state_size) and state.dtype == torch.float32


@pytest.mark.parametrize("encoder", ENCODERS)
@torch.no_grad()
def test_advance_stops_each_user_at_the_last_event(encoder):
    model = new_model(encoder())
    histories = some_histories([5, 0, 30, 5, 1, 12])
    states = model.advance(everything(histories))
    for user in range(6):
        alone = everything(histories.select(np.array([user])))
        expected = model.initial_state(1) if user == 1 else model(alone)[1]
        close(states[user : user + 1], expected)


@torch.no_grad()
def test_advance_goes_on_from_states():
    model = new_model(LSTM(8))
    histories = some_histories([9, 4, 7])
    cuts = histories.offsets[:-1] + np.array([5, 4, 0])
    first = Tensors.from_batch(histories.gather(histories.offsets[:-1], cuts))
    rest = Tensors.from_batch(histories.gather(cuts, histories.offsets[1:]))
    before = model.advance(first)
    kept = before.clone()
    after = model.advance(rest, before)
    close(after, model.advance(everything(histories)))
    assert torch.equal(before, kept)  # states are never changed in place


@torch.no_grad()
def test_users_without_events_have_a_state_of_zeros():
    model = new_model()
    nobody = everything(some_histories([0, 0]))
    assert torch.equal(model.advance(nobody), torch.zeros(2, model.state_size))
    assert torch.equal(model.outputs_of(model.initial_state(2)), torch.zeros(2, model.dim))


# --- questions -----------------------------------------------------------------------------------


def at_hours(*hours: float) -> Tensor:
    return torch.tensor([START + int(hour * HOUR) for hour in hours])


@torch.no_grad()
def test_an_unknown_request_time_changes_nothing():
    model, outputs = new_model(), torch.randn(2, 8)
    assert torch.equal(model.ask(outputs, at_hours(0, 0), at_hours(1, 99)), outputs)


@torch.no_grad()
def test_a_known_request_time_counts_by_gap_and_by_calendar():
    model = new_model(request_time="known")
    outputs = torch.randn(1, 8).expand(4, 8)
    soon, late, morning, wrong = model.ask(outputs, at_hours(0, 0, 9, 0), at_hours(1, 50, 10, -1))
    assert not torch.allclose(soon, late)
    assert not torch.allclose(soon, morning)  # the same gap at another hour
    assert wrong.isfinite().all()  # a clock that runs behind is read as no gap


def test_an_untrained_question_changes_nothing():
    torch.manual_seed(0)
    model = SequenceModel(GRU(8), 20, request_time="known").eval()
    outputs = torch.randn(2, 8)
    assert torch.equal(model.ask(outputs, at_hours(0, 0), at_hours(1, 99)), outputs)


@torch.no_grad()
def test_in_training_the_request_time_is_jittered_and_sometimes_hidden():
    model = new_model(request_time="known").train()
    outputs = torch.randn(1, 8).expand(2_000, 8)
    hours = torch.full((2_000,), 3.0)
    torch.manual_seed(0)
    found = model.ask(outputs, at_hours(*[0.0] * 2_000), at_hours(*hours.tolist()))
    hidden = (found == outputs).all(dim=1)
    assert 0.07 < float(hidden.float().mean()) < 0.13
    assert len(found[~hidden].unique(dim=0)) > 1_000
    model.eval()
    calm = model.ask(outputs[:5], at_hours(*[0.0] * 5), at_hours(*[3.0] * 5))
    close(calm, calm[:1].expand(5, 8))


# --- scores --------------------------------------------------------------------------------------


@torch.no_grad()
def test_a_score_is_the_dot_product_with_the_input_vector_plus_the_bias():
    model, query = new_model(), torch.randn(3, 8)
    scores = model.scores(query)
    assert scores.shape == (3, model.n_items) == (3, 20)
    expected = query[1] @ model.items[7 + SPECIAL] + model.bias[7]
    torch.testing.assert_close(scores[1, 7], expected)


@torch.no_grad()
def test_the_loss_is_the_cross_entropy_of_the_scores():
    model, query, targets = new_model(), torch.randn(3, 8), torch.tensor([4, 0, 19])
    expected = torch.nn.functional.cross_entropy(model.scores(query), targets)
    torch.testing.assert_close(model.loss(query, targets), expected)


@torch.no_grad()
def test_with_a_temperature_a_score_is_the_cosine_over_it_plus_the_bias():
    model, query, targets = new_model(), torch.randn(3, 8), torch.tensor([4, 0, 19])
    model.temperature = 0.2
    scores = model.scores(query)
    cosine = torch.nn.functional.cosine_similarity(query[1], model.items[7 + SPECIAL], dim=0)
    torch.testing.assert_close(scores[1, 7], cosine / 0.2 + model.bias[7])
    expected = torch.nn.functional.cross_entropy(scores, targets)
    torch.testing.assert_close(model.loss(query, targets), expected)
    everything = Sample(torch.arange(20))
    torch.testing.assert_close(model.loss(query, targets, everything), expected)


@torch.no_grad()
def test_a_sample_is_read_by_the_rows_that_the_table_holds():
    """A model with some rows only loses as the whole one does, catalogue size included."""
    whole, part = new_model(), new_model()
    rows, query, targets = torch.tensor([2, 5, 11, 17]), torch.randn(3, 8), torch.tensor([5, 17, 2])
    part.items = torch.nn.Parameter(whole.items[[0, 1, *(rows + SPECIAL).tolist()]])
    part.bias = torch.nn.Parameter(whole.bias[rows])
    for calibration in (None, 0.5):
        sample = Sample(torch.tensor([11, 2, 11]), n_items=20, calibration=calibration)
        lent = replace(sample, rows=rows)
        close(part.loss(query, targets, lent), whole.loss(query, targets, sample))


def test_impossible_models_are_refused():
    with pytest.raises(
        ConfigError, match=r"SequenceModel\(temperature=0\): expected a number above"
    ):
        SequenceModel(GRU(4), 5, temperature=0)
    with pytest.raises(ConfigError, match=r"SequenceModel\(n_items=0\): expected at least one"):
        SequenceModel(GRU(4), 0)
    with pytest.raises(ConfigError, match="expected 'unknown' or 'known'"):
        SequenceModel(GRU(4), 5, request_time="now")  # type: ignore[arg-type]  # the point


# --- what no gradient teaches --------------------------------------------------------------------


def spanning(years: float) -> Histories:
    end = START + int(years * 365.25 * 24) * HOUR
    values = np.array([2.0, 4.0], np.float32)
    return Histories(
        np.array([0, 2]), np.array([0, 1], np.int32), np.array([START, end]), None, values
    )


@pytest.mark.parametrize(("years", "shown"), [(1.5, False), (2.5, True)])
def test_the_year_is_read_after_two_years_of_events(years: float, shown: bool):
    model = SequenceModel(GRU(4), 5, request_time="known")
    model.calibrate(spanning(years))
    calendars = [part for part in model.modules() if isinstance(part, CalendarEncoding)]
    assert [bool(calendar.year_shown) for calendar in calendars] == [shown] * 2


def test_only_the_first_calibration_counts_and_it_is_saved():
    model = SequenceModel(GRU(4), 5)
    model.calibrate(spanning(0.5))
    learned = model.state_dict()
    mean = float(learned["events.value.mean"])
    assert mean == pytest.approx(np.arcsinh([2.0, 4.0]).mean())
    twin = SequenceModel(GRU(4), 5)
    twin.load_state_dict(learned)
    twin.calibrate(replace(spanning(3.0), values=np.full(2, 99.0, np.float32)))
    assert float(twin.state_dict()["events.value.mean"]) == mean
    assert not bool(twin.state_dict()["events.calendar.year_shown"])


# --- growth --------------------------------------------------------------------------------------


@torch.no_grad()
def test_growing_keeps_old_rows_bit_by_bit_and_scores_new_items_like_average_ones():
    model = new_model()
    old = {name: weight.clone() for name, weight in model.state_dict().items()}
    batch = everything(some_histories([6, 6]))
    outputs, query = model(batch)[0], torch.randn(5, 8)
    before = model.scores(query)
    model.grow(23, 5, seed=1)
    new = model.state_dict()
    sizes = {"items": 23 + SPECIAL, "bias": 23, "events.types": 5 + SPECIAL}
    assert model.n_items == 23
    assert {n: len(w) for n, w in new.items() if w.shape != old[n].shape} == sizes
    assert all(torch.equal(w[: len(old[n])] if n in sizes else w, old[n]) for n, w in new.items())
    assert torch.equal(model(batch)[0], outputs)
    after = model.scores(query)
    close(after[:, :20], before)
    torch.testing.assert_close(
        after[:, 20:], before.mean(1, keepdim=True).expand(5, 3), rtol=0, atol=0.2
    )
    assert not torch.equal(model.items[22], model.items[23])


def test_growing_repeats_by_seed_and_learns():
    grown = []
    for seed in (1, 1, 2):
        model = new_model()
        model.grow(21, seed=seed)
        grown.append(model.items[-1].detach().clone())
    assert torch.equal(grown[0], grown[1]) and not torch.equal(grown[0], grown[2])
    assert model.items.requires_grad and model.items.is_leaf and model.bias.requires_grad
    assert "items" in dict(model.named_parameters())


def test_growing_by_nothing_is_allowed_and_shrinking_is_not():
    model = new_model()
    model.grow(20)
    assert model.n_items == 20
    with pytest.raises(ConfigError, match=r"grow\(n_items=19\): the model knows 20 items"):
        model.grow(19)
