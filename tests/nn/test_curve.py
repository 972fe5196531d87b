"""The curve of a calibration: a line or a rising one, and itself until it is fitted."""

import numpy as np
import pytest
import torch

from recency.nn.curve import Curve


def drawn(scale: float, shift: float, n: int = 20_000) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that say too little or too much, and labels drawn from what is true."""
    generator = torch.Generator().manual_seed(1)
    logits = 2 * torch.randn(n, generator=generator)
    chances = torch.sigmoid(scale * logits + shift)
    return logits, (torch.rand(n, generator=generator) < chances).float()


def test_a_fresh_curve_changes_nothing():
    logits = torch.linspace(-20, 20, 101)
    assert torch.allclose(Curve()(logits), logits, atol=1e-5)


def test_a_line_finds_scale_and_shift():
    logits, labels = drawn(0.5, -1.0)
    curve = Curve()
    assert curve.fit("temperature", logits, labels)
    told = curve(torch.tensor([0.0, 2.0, 30.0]))
    assert told.tolist() == pytest.approx([-1.0, 0.0, 14.0], abs=0.15, rel=0.05)


@pytest.mark.parametrize("kind", ["temperature", "isotonic"])
def test_what_is_told_then_happens_as_often(kind):
    logits, labels = drawn(0.4, 0.7)
    curve = Curve()
    assert curve.fit(kind, logits, labels)
    told = torch.sigmoid(curve(logits)).numpy()
    for low in np.arange(0.2, 0.9, 0.1):
        inside = (told >= low) & (told < low + 0.1)
        if inside.sum() > 500:
            assert abs(told[inside].mean() - labels.numpy()[inside].mean()) < 0.04


def test_isotonic_never_falls_and_can_bend():
    generator = torch.Generator().manual_seed(2)
    logits = torch.rand(4_000, generator=generator) * 4 - 2
    chances = torch.where(logits < 0, 0.1, 0.8)  # a step, which no line is
    labels = (torch.rand(4_000, generator=generator) < chances).float()
    curve = Curve()
    curve.fit("isotonic", logits, labels)
    told = torch.sigmoid(curve(torch.linspace(-2, 2, 200)))
    assert (told.diff() >= -1e-6).all()
    assert told[20:80].mean() == pytest.approx(0.1, abs=0.03)
    assert told[120:180].mean() == pytest.approx(0.8, abs=0.03)


def test_too_few_answers_leave_the_curve_alone():
    curve = Curve()
    assert not curve.fit("temperature", torch.randn(100), (torch.arange(100) < 5).float())
    assert curve(torch.tensor([1.5])).item() == pytest.approx(1.5)
