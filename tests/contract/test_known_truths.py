"""What encoders claim to read from a history: each is shown a log in which that alone decides.

An encoder that claims a cause finds it: trained on some users, it tells the events of others nearly
always. One that cannot see the cause stays at what chance gives, since nothing else in these logs
tells anything.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import polars as pl
import pytest
import torch

from recency.data import synthetic
from recency.data.histories import Histories
from recency.data.log import Log
from recency.data.vocab import Vocab
from recency.nn.attention import Transformer
from recency.nn.encoder import Encoder
from recency.nn.hybrid import Hybrid
from recency.nn.inputs import InputConfig, Tensors
from recency.nn.lstm_attention import LSTMAttention
from recency.nn.memory import MemoryNetwork
from recency.nn.model import RequestTime, SequenceModel
from recency.nn.recurrent import GRU, LSTM, RNN
from recency.nn.tide import Tide
from recency.nn.time_lstm import TimeLSTM
from recency.training.config import TrainConfig
from recency.training.loop import train

DIM = 16
FOUND, MISSED = 0.9, 0.1  # at least this share told; at most so much above chance
Maker = Callable[..., Log]  # takes n_users and seed
New = Callable[[], Encoder]

ALL: dict[str, New] = {
    "RNN": lambda: RNN(DIM),
    "GRU": lambda: GRU(DIM),
    "LSTM": lambda: LSTM(DIM),
    "TimeLSTM": lambda: TimeLSTM(DIM),
    "LSTMAttention": lambda: LSTMAttention(DIM),
    "MemoryNetwork": lambda: MemoryNetwork(DIM),
    "Transformer": lambda: Transformer(DIM),
    "Tide": lambda: Tide(DIM),
    "Hybrid": lambda: Hybrid(DIM),
}
# With inputs that leave time out, these see none at all.
BLIND: dict[str, New] = {
    "RNN": ALL["RNN"],
    "GRU": ALL["GRU"],
    "LSTM": ALL["LSTM"],
    "LSTMAttention": ALL["LSTMAttention"],
    "Transformer without bias": lambda: Transformer(DIM, time_bias="none"),
    "Tide without time": lambda: Tide(DIM, time=False),
}


@dataclass(frozen=True)
class Lesson:
    """Say what is learned from, and how long."""

    make: Maker
    n_users: int = 128
    epochs: int = 12
    tokens: int = 512


def inputs(*, gap: bool = False, calendar: bool = False) -> InputConfig:
    return InputConfig(value=False, gap=gap, calendar=calendar, dropout=0.0, hidden_items=0.0)


def histories(make: Maker, n_users: int, seed: int) -> Histories:
    """Make a log of users 0, 1, … and items 0, 1, … of the same rows."""
    log = make(n_users=n_users, seed=seed)
    names = sorted(log.events["item_id"].unique().to_list(), key=lambda name: int(name[1:]))
    users = Vocab.from_ids(pl.Series([f"u{row}" for row in range(n_users)]))
    return Histories.build(log, users, Vocab.from_ids(pl.Series(names)))


def told(
    new: New,
    *lessons: Lesson,
    reads: InputConfig,
    places: slice = slice(2, None),
    newest_only: bool = False,
    seed: int = 0,
) -> float:
    """Train an encoder, and give the share of other users' events at ``places`` that it tells."""
    known = [histories(one.make, one.n_users, seed=2 * seed) for one in lessons]
    torch.manual_seed(seed)
    model = SequenceModel(new(), int(known[0].items.max()) + 1, 0, reads)
    for one, history in zip(lessons, known, strict=True):
        config = TrainConfig(
            epochs=one.epochs, max_len=512, tokens=one.tokens, lr=1e-2, valid_share=0, device="cpu"
        )
        since = int(history.times[history.offsets[1:] - 1].min()) if newest_only else None
        train(model, history, config, seed=seed, since=since)
    return share_told(model, histories(lessons[-1].make, 256, seed=2 * seed + 1), places)


@torch.no_grad()
def share_told(model: SequenceModel, history: Histories, places: slice) -> float:
    batch = Tensors.from_batch(history.gather(history.offsets[:-1], history.offsets[1:]))
    outputs = model(batch)[0][:, :-1].flatten(0, 1)
    queries = model.ask(outputs, batch.times[:, :-1].flatten(), batch.times[:, 1:].flatten())
    best = model.scores(queries).argmax(dim=1).view(len(batch), -1)
    right = torch.cat((torch.zeros(len(batch), 1), best == batch.items[:, 1:]), dim=1)
    return float(right[:, places].mean())


def timed(by: synthetic.Cause, n_users: int, seed: int) -> Log:
    return synthetic.timed(by, n_users=n_users, seed=seed)


GAP, HOUR, WEEK, RHYTHM = (Lesson(partial(timed, by)) for by in ("gap", "hour", "week", "rhythm"))


# --- time as an input ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_with_gaps_among_its_inputs_every_encoder_finds_the_gap(name: str):
    assert told(ALL[name], GAP, reads=inputs(gap=True)) > FOUND


@pytest.mark.parametrize("name", ALL)
def test_with_the_calendar_among_its_inputs_every_encoder_finds_the_hour(name: str):
    assert told(ALL[name], HOUR, reads=inputs(calendar=True)) > FOUND


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_with_the_calendar_among_its_inputs_every_encoder_finds_the_week(name: str):
    assert told(ALL[name], WEEK, reads=inputs(calendar=True)) > FOUND


@pytest.mark.parametrize("name", BLIND)
def test_without_time_nobody_finds_the_gap(name: str):
    assert told(BLIND[name], GAP, reads=inputs()) < 1 / 4 + MISSED


@pytest.mark.parametrize(("request_time", "finds"), [("known", True), ("unknown", False)])
def test_the_instant_of_the_question_tells_what_belongs_to_an_hour(
    request_time: RequestTime, finds: bool
):
    """The item is that of its own hour, not of the hour of the event before."""
    make = partial(synthetic.periodic, n_items=4, weeks=6, by="hour")
    history = histories(make, 128, seed=0)
    torch.manual_seed(0)
    model = SequenceModel(GRU(DIM), 4, 0, inputs(gap=True, calendar=True), request_time)
    train(model, history, TrainConfig(epochs=8, lr=1e-2, valid_share=0, device="cpu"))
    other = histories(make, 64, seed=1)
    shortest = int(other.lengths.min())
    other = other.cut(other.offsets[:-1] + shortest)
    found = share_told(model, other, slice(2, None))
    assert found > FOUND if finds else found < 1 / 4 + MISSED


# --- time inside the encoder ---------------------------------------------------------------------

TIMED: dict[str, New] = {
    "TimeLSTM 1": lambda: TimeLSTM(DIM, variant=1),
    "TimeLSTM 2": lambda: TimeLSTM(DIM, variant=2),
    "TimeLSTM 3": lambda: TimeLSTM(DIM, variant=3),
    "Tide": lambda: Tide(DIM),
}
# The claim of attention: not to name a gap, but to look back as far as the gap says.
CHOOSING: dict[str, New] = {
    **TIMED,
    "Transformer, buckets": lambda: Transformer(DIM, blocks=1, time_bias="buckets", dropout=0.0),
    "Transformer, function": lambda: Transformer(
        DIM, blocks=1, time_bias="functional", dropout=0.0
    ),
}
CHOICE = Lesson(synthetic.chosen, n_users=512, epochs=20, tokens=1024)


@pytest.mark.parametrize("name", TIMED)
def test_an_encoder_with_time_inside_finds_the_gap_without_being_shown_it(name: str):
    assert told(TIMED[name], GAP, reads=inputs()) > FOUND


@pytest.mark.slow
@pytest.mark.parametrize("name", CHOOSING)
def test_a_gap_inside_the_encoder_chooses_between_two_items(name: str):
    assert told(CHOOSING[name], CHOICE, reads=inputs(), places=slice(2, None, 3)) > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("name", ["GRU", "Transformer without bias", "Tide without time"])
def test_without_time_it_is_one_or_the_other(name: str):
    found = told(BLIND[name], CHOICE, reads=inputs(), places=slice(2, None, 3))
    assert 0.4 < found < 1 / 2 + MISSED


@pytest.mark.slow
@pytest.mark.parametrize(
    ("new", "least", "most"),
    [
        pytest.param(lambda: Tide(DIM), FOUND, 1.0, id="Tide"),
        # A gap tells how far the phase has moved: halfway is as far as that goes.
        pytest.param(lambda: Tide(DIM, banks="short,long"), 0.0, 0.75, id="Tide without periods"),
        pytest.param(lambda: Tide(DIM, time=False), 0.0, 1 / 4 + MISSED, id="Tide without time"),
    ],
)
def test_the_periodic_memory_finds_a_week_that_is_the_users_own(
    new: New, least: float, most: float
):
    lesson = Lesson(RHYTHM.make, n_users=512, epochs=20, tokens=1024)
    assert least <= told(new, lesson, reads=inputs()) <= most


# --- order, and what was long ago ----------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        name if name in ("GRU", "Tide") else pytest.param(name, marks=pytest.mark.slow)
        for name in ALL
    ],
)
def test_every_encoder_finds_the_order_of_two_items(name: str):
    lesson = Lesson(synthetic.paired, n_users=256, epochs=12)
    assert told(ALL[name], lesson, reads=inputs()) > FOUND


def recalled(lag: int, n_users: int, seed: int) -> Log:
    return synthetic.recalled(n_users=n_users, lag=lag, seed=seed)


LONG: dict[str, tuple[New, bool]] = {
    "Tide": (lambda: Tide(DIM), True),
    "MemoryNetwork": (lambda: MemoryNetwork(DIM), True),
    "LSTMAttention": (lambda: LSTMAttention(DIM, window=256), True),
    "Transformer": (
        lambda: Transformer(DIM, 1, window=256, feed_forward="plain", time_bias="none"),
        True,
    ),
    "Transformer of 100 events": (
        lambda: Transformer(DIM, 1, window=100, feed_forward="plain", time_bias="none"),
        False,
    ),
    "RNN": (lambda: RNN(DIM), False),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_an_item_of_200_events_ago_is_remembered(name: str):
    """Learned at shorter lags first, since one event in 200 teaches slowly."""
    new, finds = LONG[name]
    lessons = (
        Lesson(partial(recalled, 20), n_users=512, epochs=10, tokens=1024),
        Lesson(partial(recalled, 60), n_users=512, epochs=4, tokens=2048),
        Lesson(partial(recalled, 200), n_users=256, epochs=5, tokens=2048),
    )
    found = told(new, *lessons, reads=inputs(), places=slice(-1, None), newest_only=True)
    assert found > FOUND if finds else found < 1 / 4 + MISSED
