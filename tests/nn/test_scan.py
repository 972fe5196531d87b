"""The linear recurrence: numbers by hand, gradients, and both forms alike."""

import pytest
import torch
from torch import Tensor

from recency.nn.scan import adjoint, doubling, loop, scan


def steps(length: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> list[Tensor]:
    """Draw decays of at most 1, inputs and a start."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((length, 2, 3), (length, 2, 3), (2, 3))
    decays, inputs, start = (torch.randn(s, generator=generator, dtype=dtype) for s in shapes)
    return [decays / decays.abs().clamp(min=1), inputs, start]


def test_three_steps_by_hand():
    # h_1 = 0.5 * 8 + 1 = 5,  h_2 = 0.1 * 5 + 2 = 2.5,  h_3 = 0 * 2.5 + 3 = 3
    decays = torch.tensor([0.5, 0.1, 0.0]).view(3, 1, 1)
    inputs = torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1)
    found = scan(decays, inputs, torch.tensor([[8.0]]))
    assert found.flatten().tolist() == [5.0, 2.5, 3.0]
    # Without a start: 1, 0.1 * 1 + 2 = 2.1, 3.
    torch.testing.assert_close(scan(decays, inputs).flatten(), torch.tensor([1.0, 2.1, 3.0]))


def test_the_gradient_of_three_steps_by_hand():
    """L = h_3 with a = (0.5, 0.1, 0.2) and b = (1, 2, 3), from h_0 = 8: h = (5, 2.5, 3.5).

    dL/dh = (0.02, 0.2, 1) backwards through a_3 and a_2; dL/db is the same, and
    dL/da_t = dL/dh_t h_(t-1) = (0.02 * 8, 0.2 * 5, 1 * 2.5); dL/dh_0 = 0.5 * 0.02.
    """
    decays = torch.tensor([0.5, 0.1, 0.2], dtype=torch.float64).view(3, 1, 1).requires_grad_()
    inputs = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64).view(3, 1, 1).requires_grad_()
    start = torch.tensor([[8.0]], dtype=torch.float64, requires_grad=True)
    scan(decays, inputs, start)[-1].sum().backward()
    assert decays.grad is not None and inputs.grad is not None and start.grad is not None
    assert decays.grad.flatten().tolist() == pytest.approx([0.16, 1.0, 2.5])
    assert inputs.grad.flatten().tolist() == pytest.approx([0.02, 0.2, 1.0])
    assert start.grad.item() == pytest.approx(0.01)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("length", [1, 2, 6])
def test_gradients_are_exact(length: int, dtype: torch.dtype):
    arguments = [part.requires_grad_() for part in steps(length, dtype)]
    assert torch.autograd.gradcheck(scan, arguments)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9, 100])
def test_the_loop_and_the_rounds_of_doubling_agree(length: int, dtype: torch.dtype):
    arguments = steps(length, dtype)
    torch.testing.assert_close(doubling(*arguments), loop(*arguments))


@pytest.mark.parametrize("length", [1, 2, 9, 64])
def test_both_forms_of_the_backward_pass_agree(length: int, monkeypatch: pytest.MonkeyPatch):
    decays, grads, _ = steps(length, torch.complex128)
    found = adjoint(decays, grads)
    monkeypatch.setattr("recency.nn.scan._steps_are_cheap", lambda _: False)
    torch.testing.assert_close(adjoint(decays, grads), found)


def test_on_a_device_where_steps_are_dear_the_scan_is_the_same(monkeypatch: pytest.MonkeyPatch):
    arguments = [part.requires_grad_() for part in steps(11)]
    found = scan(*arguments)
    monkeypatch.setattr("recency.nn.scan._steps_are_cheap", lambda _: False)
    torch.testing.assert_close(scan(*arguments), found)
    assert torch.autograd.gradcheck(scan, arguments)


def test_a_history_in_two_parts_is_the_same_history():
    decays, inputs, start = steps(20)
    whole = scan(decays, inputs, start)
    first = scan(decays[:7], inputs[:7], start)
    second = scan(decays[7:], inputs[7:], first[-1])
    torch.testing.assert_close(torch.cat((first, second)), whole)


def test_arguments_are_left_as_they_are_and_may_lie_anywhere():
    decays, inputs, start = steps(6)
    kept = [part.clone() for part in (decays, inputs, start)]
    found = scan(decays, inputs, start)
    for part, copy in zip((decays, inputs, start), kept, strict=True):
        assert torch.equal(part, copy)
    strided = [part.transpose(0, 1).contiguous().transpose(0, 1) for part in (decays, inputs)]
    assert torch.equal(scan(strided[0], strided[1], start), found)


def test_a_thousand_steps_stay_finite():
    decays, inputs, start = (part.float() for part in steps(1_000))
    inputs.requires_grad_()
    found = scan(decays.abs(), inputs, start)
    found.square().sum().backward()
    assert found.isfinite().all() and inputs.grad is not None and inputs.grad.isfinite().all()
