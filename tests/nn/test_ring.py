"""The ring of newest vectors: order, count, and reading at once as one by one."""

import pytest
import torch

from recency.errors import ConfigError
from recency.nn.ring import Ring


def test_impossible_sizes_are_refused_together():
    with pytest.raises(ConfigError) as caught:
        Ring(window=0, width=1.5)  # type: ignore[arg-type]  # the fault under test
    told = str(caught.value)
    assert "2 faults" in told
    assert "Ring(window=0): expected a whole number from 1 to 2048." in told
    assert "Ring(width=1.5): expected a whole number from 1." in told
    with pytest.raises(ConfigError, match="window=2049"):
        Ring(window=2049, width=1)
    with pytest.raises(ConfigError, match="width=True"):
        Ring(window=1, width=True)


def test_a_ring_worked_by_hand():
    ring = Ring(window=2, width=2)
    assert ring.size == 5
    state = ring.empty(1, like=torch.zeros(1))
    assert state.tolist() == [[0.0] * 5]
    assert ring.read(state)[1].tolist() == [[False, False]]

    state = ring.push(state, torch.tensor([[1.0, 2.0]]))
    assert state.tolist() == [[0.0, 0.0, 1.0, 2.0, 1.0]]
    vectors, filled = ring.read(state)
    assert vectors.tolist() == [[[0.0, 0.0], [1.0, 2.0]]]
    assert filled.tolist() == [[False, True]]

    state = ring.push(state, torch.tensor([[3.0, 4.0]]))
    state = ring.push(state, torch.tensor([[0.0, 0.0]]))  # zeros are a vector like any other
    assert state.tolist() == [[3.0, 4.0, 0.0, 0.0, 2.0]]
    assert ring.read(state)[1].tolist() == [[True, True]]


@pytest.mark.parametrize("before", [0, 1, 3, 7])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 9])
def test_many_at_once_are_many_one_by_one(before: int, length: int):
    ring = Ring(window=3, width=2)
    old, new = torch.randn(4, before, 2), torch.randn(4, length, 2)
    start = ring.extend(ring.empty(4, like=old), old)
    state = start
    for vector in new.unbind(1):
        state = ring.push(state, vector)
    assert torch.equal(ring.extend(start, new), state)
    assert state[:, -1].tolist() == [min(3, before + length)] * 4


def test_joined_places_are_the_band_of_each_event():
    ring = Ring(window=2, width=1)
    start = ring.push(ring.empty(1, like=torch.zeros(1)), torch.tensor([[5.0]]))
    band, filled = ring.join(start, torch.tensor([[[6.0], [7.0], [8.0]]]))
    assert band.flatten().tolist() == [0.0, 5.0, 6.0, 7.0, 8.0]
    assert filled.tolist() == [[False, True, True, True, True]]
    state = start
    for t in range(3):
        state = ring.push(state, band[:, 2 + t])
        assert torch.equal(ring.read(state)[0], band[:, t + 1 : t + 3])


def test_the_largest_count_survives_half_precision():
    ring = Ring(window=2048, width=1)
    state = ring.extend(ring.empty(1, like=torch.zeros(1)), torch.ones(1, 5000, 1))
    back = state.half().float()
    assert torch.equal(back, state) and bool(ring.read(back)[1].all())


def test_gradients_pass_through_to_what_is_kept():
    ring = Ring(window=2, width=1)
    vectors = torch.ones(1, 3, 1, requires_grad=True)
    state = ring.extend(ring.empty(1, like=vectors), vectors)
    state[:, :-1].sum().backward()
    assert vectors.grad is not None and vectors.grad.flatten().tolist() == [0.0, 1.0, 1.0]
