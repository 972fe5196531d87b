"""What every encoder promises, whoever wrote it.

Reading at once and step by step agree, the future stays out, only differences of times count, and
no gap is too long or too short.

Encoders are found: every public encoder of `recency.nn` is tested as ``Cls(dim=8)``. Further forms
stand in `VARIANTS`; an argument that none of them varies is reported.
"""

import inspect
import pkgutil
from importlib import import_module

import pytest
import safetensors.torch
import torch
from torch import Tensor

import recency.nn
from recency.data.histories import NO_GAP
from recency.errors import ConfigError
from recency.nn.encoder import Clock, Encoder, Setting


def encoders_of(package) -> dict[str, type[Encoder]]:
    """Find all public encoders that the modules of a package define."""
    modules = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    return {
        name: one
        for module in modules
        for name, one in vars(import_module(module.name)).items()
        if inspect.isclass(one) and issubclass(one, Encoder) and not inspect.isabstract(one)
        if one.__module__ == module.name and not name.startswith("_")
    }


ENCODERS = encoders_of(recency.nn)

VARIANTS: dict[str, list[dict[str, Setting]]] = {
    "RNN": [{"layers": 2, "dropout": 0.5}],
    "GRU": [{"layers": 3, "dropout": 0.5}],
    "LSTM": [{"layers": 2, "dropout": 0.5}],
    "TimeLSTM": [{"variant": 1}, {"variant": 2, "dropout": 0.5}],
    "LSTMAttention": [{"window": 5}, {"window": 2, "layers": 2, "dropout": 0.5}, {"window": 50}],
    "MemoryNetwork": [{"slots": 2}, {"slots": 5, "dropout": 0.5}],
    "Transformer": [
        {"window": 5, "dropout": 0.0},
        {"blocks": 1, "heads": 1, "time_bias": "none", "feed_forward": "plain"},
        {"window": 2, "blocks": 3, "heads": 4, "time_bias": "functional"},
        {"window": 50, "time_bias": "functional", "feed_forward": "plain", "dropout": 0.5},
    ],
    "Tide": [
        {"window": 5},
        {"blocks": 1, "window": 50, "dropout": 0.5},
        {"blocks": 3, "time": False},
        {"blocks": 1, "window": 2, "time": False},
        {"blocks": 1, "banks": "short"},
        {"blocks": 1, "banks": "long"},
        {"blocks": 1, "banks": "periodic"},
    ],
    "Hybrid": [
        {"memory": "lstm", "blocks": 2, "window": 5},
        {"memory": '{"name": "tide", "dim": 8, "dropout": 0.0}', "dropout": 0.0},
        {"memory": "transformer", "attention": "lstmattention", "window": 5, "dropout": 0.5},
    ],
}
FORMS = {
    f"{name}({', '.join(f'{key}={value!r}' for key, value in form.items())})": (name, form)
    for name in ENCODERS
    for form in [{}, *VARIANTS.get(name, [])]
}
BATCH, LENGTH = 5, 37
START = 1_767_225_600_000_000  # 2026-01-01T00:00Z in microseconds
YEAR = 365.25 * 86_400.0  # seconds

GAPS = {
    "bursts": [0.0],
    "years": [3 * YEAR],
    "beyond the longest": [40 * YEAR],
    "microseconds": [1e-6],
    "bursts between years": [0.0, 0.0, 0.0, 0.0, 5 * YEAR],
    "everything": [1.0, 0.0, 40 * YEAR, 1e-6, 60.0, 5 * YEAR, 0.0, 86_400.0],
}


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-5)


@pytest.fixture(params=FORMS)
def encoder(request: pytest.FixtureRequest) -> Encoder:
    name, form = FORMS[request.param]
    torch.manual_seed(0)
    return ENCODERS[name](dim=8, **form).eval()


def histories(encoder: Encoder, seed: int = 1) -> tuple[Tensor, Clock]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(BATCH, LENGTH, encoder.dim, generator=generator)
    gaps = torch.exp(4 * torch.randn(BATCH, LENGTH, generator=generator))
    gaps[:, ::5] = 0.0  # bursts at one instant
    gaps[:, 0] = NO_GAP
    return x, clock_of(gaps)


def regular(encoder: Encoder, gaps: list[float]) -> tuple[Tensor, Clock]:
    """Histories whose gaps are a few given ones in turn."""
    x, _ = histories(encoder)
    turns = torch.tensor(gaps).repeat(LENGTH)[: LENGTH - 1]
    return x, clock_of(torch.cat((torch.tensor([NO_GAP]), turns)).repeat(BATCH, 1))


def clock_of(gaps: Tensor) -> Clock:
    passed = torch.cumsum((gaps.double().clamp(min=0) * 1e6).long(), dim=1)
    return Clock(gaps, START + passed)


def part(clock: Clock, rows: slice | Tensor, columns: slice) -> Clock:
    return Clock(clock.gaps[rows, columns], clock.times[rows, columns])


def stepped(encoder: Encoder, x: Tensor, clock: Clock) -> tuple[Tensor, Tensor]:
    """Read a history event by event."""
    state, outputs = encoder.initial_state(len(x)), []
    for at in range(x.shape[1]):
        output, state = encoder.step(x[:, at], part(clock, slice(None), slice(at, at + 1)), state)
        outputs.append(output)
    return torch.stack(outputs, dim=1), state


# --- the list ------------------------------------------------------------------------------------


def test_the_encoders_are_found():
    assert {"RNN", "GRU", "LSTM"} <= set(ENCODERS)
    assert set(VARIANTS) <= set(ENCODERS), "VARIANTS names an encoder that is not there"


@pytest.mark.parametrize("name", ENCODERS)
def test_every_argument_is_varied_and_kept(name: str):
    arguments = inspect.signature(ENCODERS[name]).parameters
    for form in ({}, *VARIANTS.get(name, [])):
        defaults = {key: argument.default for key, argument in arguments.items()}
        assert ENCODERS[name](dim=8, **form).config() == {**defaults, "dim": 8, **form}
    for key in set(arguments) - {"dim"}:
        values = [form[key] for form in VARIANTS.get(name, []) if key in form]
        assert set(values) - {arguments[key].default}, f"no variant of {name} varies {key!r}"


@pytest.mark.parametrize("name", ENCODERS)
def test_impossible_sizes_are_refused_together(name: str):
    with pytest.raises(ConfigError) as error:
        ENCODERS[name](dim=0, dropout=1.0)
    assert f"{name}(dim=0): expected a whole number" in str(error.value)
    assert f"{name}(dropout=1.0): expected a share in [0, 1)" in str(error.value)


# --- one answer, however it is read --------------------------------------------------------------


def test_shapes_types_and_scale(encoder: Encoder):
    outputs, state = encoder(*histories(encoder))
    assert outputs.shape == (BATCH, LENGTH, encoder.dim) and outputs.dtype == torch.float32
    assert state.shape == (BATCH, encoder.state_size) and state.dtype == torch.float32
    assert 0.05 < outputs.square().mean().sqrt() < 5.0  # they meet vectors of length about 1


def test_forward_equals_repeated_step(encoder: Encoder):
    x, clock = histories(encoder)
    outputs, last = encoder(x, clock)
    found, state = stepped(encoder, x, clock)
    close(found, outputs)
    close(state, last)


@pytest.mark.parametrize("cuts", [(1,), (10, 11, 30), (36,)])
def test_a_history_read_in_segments_is_the_same_history(encoder: Encoder, cuts: tuple[int, ...]):
    x, clock = histories(encoder)
    outputs, last = encoder(x, clock)
    state: Tensor | None = None
    parts = []
    for start, stop in zip((0, *cuts), (*cuts, LENGTH), strict=True):
        columns = slice(start, stop)
        found, state = encoder(x[:, columns], part(clock, slice(None), columns), state)
        parts.append(found)
    assert state is not None
    close(torch.cat(parts, dim=1), outputs)
    close(state, last)


def test_a_window_that_starts_inside_a_history_reads_as_it_steps(encoder: Encoder):
    """Training reads such windows: the first event has a gap, and there is no state."""
    x, clock = histories(encoder)
    inside = clock.gaps.clone()
    inside[::2, 0] = torch.tensor([3_600.0, 0.0, YEAR])
    outputs, last = encoder(x, Clock(inside, clock.times))
    found, state = stepped(encoder, x, Clock(inside, clock.times))
    close(found, outputs)
    close(state, last)


def test_no_state_is_the_initial_state(encoder: Encoder):
    x, clock = histories(encoder)
    outputs, last = encoder(x, clock)
    zeros = torch.zeros(BATCH, encoder.state_size)
    again, state = encoder(x, clock, zeros)
    assert torch.equal(outputs, again) and torch.equal(last, state)
    assert torch.equal(encoder.initial_state(BATCH), zeros)


def test_reading_changes_neither_inputs_nor_states(encoder: Encoder):
    x, clock = histories(encoder)
    _, state = encoder(x, clock)
    given = [x, clock.gaps, clock.times, state]
    kept = [cells.clone() for cells in given]
    encoder(x, clock, state)
    encoder.step(x[:, 0], part(clock, slice(None), slice(1, 2)), state)
    assert all(torch.equal(a, b) for a, b in zip(given, kept, strict=True))


def test_later_events_never_change_earlier_outputs(encoder: Encoder):
    x, clock = histories(encoder)
    other_x, other_clock = histories(encoder, seed=2)
    cut = 20
    mixed = torch.cat((x[:, :cut], other_x[:, cut:]), dim=1)
    gaps = torch.cat((clock.gaps[:, :cut], other_clock.gaps[:, cut:]), dim=1)
    times = torch.cat((clock.times[:, :cut], other_clock.times[:, cut:]), dim=1)
    before, after = encoder(x, clock)[0], encoder(mixed, Clock(gaps, times))[0]
    close(after[:, :cut], before[:, :cut])
    assert (after[:, cut:] - before[:, cut:]).abs().max() > 1e-2  # the change was one


def test_padding_on_the_right_changes_nothing(encoder: Encoder):
    x, clock = histories(encoder)
    x.requires_grad_()
    real = encoder(x, clock)[0]
    (slope,) = torch.autograd.grad(real.square().sum(), x)
    padded_x = torch.cat((x, torch.full((BATCH, 9, encoder.dim), 7.0)), dim=1)
    gaps = torch.cat((clock.gaps, torch.full((BATCH, 9), NO_GAP)), dim=1)
    times = torch.cat((clock.times, torch.zeros(BATCH, 9, dtype=torch.int64)), dim=1)
    padded = encoder(padded_x, Clock(gaps, times))[0]
    assert padded.isfinite().all()
    close(padded[:, :LENGTH], real)
    (found,) = torch.autograd.grad(padded[:, :LENGTH].square().sum(), x)
    torch.testing.assert_close(found, slope, rtol=1e-4, atol=1e-4)


def test_the_order_and_company_of_users_change_nothing(encoder: Encoder):
    x, clock = histories(encoder)
    outputs, last = encoder(x, clock)
    order = torch.arange(BATCH).roll(2)
    shuffled, state = encoder(x[order], part(clock, order, slice(None)))
    close(shuffled, outputs[order])
    close(state, last[order])


def test_a_batch_of_one_is_a_row_of_the_batch(encoder: Encoder):
    x, clock = histories(encoder)
    outputs, last = encoder(x, clock)
    for row in (slice(0, 1), slice(2, 3)):
        alone, state = encoder(x[row], part(clock, row, slice(None)))
        close(alone, outputs[row])
        close(state, last[row])
        again = part(clock, slice(None), slice(9, 10))
        together, _ = encoder.step(x[:, 9], again, last)
        close(encoder.step(x[row, 9], part(again, row, slice(None)), last[row])[0], together[row])


# --- time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [1, -7_200_000_000, round(10 * YEAR * 1e6)])
def test_a_shift_of_all_times_changes_nothing(encoder: Encoder, shift: int):
    x, clock = histories(encoder)
    outputs, last = encoder(x, clock)
    shifted, state = encoder(x, Clock(clock.gaps, clock.times + shift))
    close(shifted, outputs)
    close(state, last)


@pytest.mark.parametrize("name", GAPS)
def test_no_gap_is_too_long_or_too_short(encoder: Encoder, name: str):
    x, clock = regular(encoder, GAPS[name])
    x.requires_grad_()
    outputs, last = encoder(x, clock)
    assert outputs.isfinite().all() and last.half().isfinite().all()
    outputs.square().sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()
    for weight in encoder.parameters():
        assert weight.grad is None or weight.grad.isfinite().all()
    with torch.no_grad():
        found, state = stepped(encoder, x, clock)
    close(found, outputs.detach())
    close(state, last.detach())


@pytest.mark.parametrize("name", ["as they come", "everything"])
def test_a_state_kept_in_half_precision_is_good_enough(encoder: Encoder, name: str):
    x, clock = regular(encoder, GAPS[name]) if name in GAPS else histories(encoder)
    exact = encoder(x, clock)[0]
    _, state = encoder(x[:, :20], part(clock, slice(None), slice(0, 20)))
    later = part(clock, slice(None), slice(20, LENGTH))
    rounded, last = encoder(x[:, 20:], later, state.half().float())
    assert last.isfinite().all()
    torch.testing.assert_close(rounded, exact[:, 20:], rtol=0.0, atol=2e-2)


# --- weights -------------------------------------------------------------------------------------


def test_evaluation_repeats_and_training_drops_out(encoder: Encoder):
    x, clock = histories(encoder)
    assert torch.equal(encoder(x, clock)[0], encoder(x, clock)[0])
    drops = bool(encoder.train().config()["dropout"])
    assert torch.equal(encoder(x, clock)[0], encoder(x, clock)[0]) is not drops


def test_a_clone_has_the_configuration_and_weights_of_its_own(encoder: Encoder):
    twin = encoder.clone()
    assert type(twin) is type(encoder) and twin.config() == encoder.config()
    assert twin.state_size == encoder.state_size
    shapes = [(name, w.shape) for name, w in encoder.state_dict().items()]
    assert shapes == [(name, w.shape) for name, w in twin.state_dict().items()]
    own = {w.data_ptr() for w in encoder.parameters()}
    assert not own & {w.data_ptr() for w in twin.parameters()}


def test_weights_saved_and_loaded_give_the_same_bits(encoder: Encoder):
    x, clock = histories(encoder)
    kept = safetensors.torch.save(encoder.state_dict())
    torch.manual_seed(7)
    twin = encoder.clone().eval()
    assert not torch.equal(twin(x, clock)[0], encoder(x, clock)[0])
    twin.load_state_dict(safetensors.torch.load(kept))
    assert torch.equal(twin(x, clock)[0], encoder(x, clock)[0])


def test_every_weight_learns(encoder: Encoder):
    x, clock = histories(encoder)
    encoder(x, clock)[0].square().sum().backward()
    for name, weight in encoder.named_parameters():
        assert weight.grad is not None and weight.grad.abs().sum() > 0, name
        assert weight.grad.isfinite().all(), name


def test_training_in_bfloat16_works(encoder: Encoder):
    x, clock = histories(encoder)
    exact = encoder(x, clock)[0]
    with torch.autocast("cpu", torch.bfloat16):
        outputs, state = encoder(x, clock)
    assert state.isfinite().all()
    torch.testing.assert_close(outputs.float(), exact, rtol=0.0, atol=0.2)
    outputs.float().square().sum().backward()
    for name, weight in encoder.named_parameters():
        assert weight.grad is not None and weight.grad.isfinite().all(), name
