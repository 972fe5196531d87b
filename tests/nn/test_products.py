"""Quick products: they lose nothing unless told they may, and leave the machine as it was."""

from typing import Any

import pytest
import torch

from recency.nn import products
from recency.nn.products import exact, quick_products


def _setting() -> str:
    switch: Any = torch.backends.mkldnn
    return str(switch.matmul.fp32_precision)


def _error() -> float:
    left, right = torch.randn(2, 512, 512, generator=torch.Generator().manual_seed(1))
    return float((left @ right - left.double() @ right.double()).abs().max())


def test_products_keep_every_digit_of_float32() -> None:
    with quick_products():
        assert _error() < 2e-4


def test_where_products_are_not_exact_nothing_is_switched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "exact", lambda: False)
    before = _setting()
    with quick_products():
        assert _setting() == before


def test_exact_says_what_the_processor_does() -> None:
    with quick_products(rounded=True):
        assert exact() == (_error() < 2e-4)


@pytest.mark.parametrize("rounded", [False, True])
def test_the_setting_is_put_back(rounded: bool) -> None:
    before = _setting()
    with pytest.raises(KeyError), quick_products(rounded):
        raise KeyError
    assert _setting() == before


def test_a_torch_without_the_switch_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_backend", lambda: None)
    with quick_products(rounded=True):
        assert _error() < 2e-4
