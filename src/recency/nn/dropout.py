"""Dropout with masks from random bytes: on a CPU, torch draws them one by one.

A mask takes torch longer than the sigmoid of as many numbers. Eight bytes of one random word decide
on eight numbers here. The share dropped is rounded to a 256th, and what is kept is scaled by just
this share.
"""

import torch
from torch import Tensor, nn

_STEPS = 256  # values of a byte
_WORD = 8  # bytes


class Dropout(nn.Module):
    """Drop a share of the numbers in training, and scale the others so that the mean stays.

    Args:
        share: Dropped, in [0, 1); on a CPU to the nearest 256th.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """Drop numbers of x, of any shape; in evaluation mode give x itself."""
        if not self.training or not self.share:
            return x
        dropped = min(round(self.share * _STEPS), _STEPS - 1)
        if x.device.type != "cpu" or not dropped:
            return nn.functional.dropout(x, self.share)
        return x * kept(x, dropped)

    def extra_repr(self) -> str:
        """Show the share."""
        return f"share={self.share}"


def kept(x: Tensor, dropped: int) -> Tensor:
    """Draw a mask for x: 0 with a chance of ``dropped`` / 256, and else what scales the mean back.

    Randomness is torch's, so that a seed repeats it.
    """
    words = torch.empty(-(-x.numel() // _WORD), dtype=torch.int64).random_(-(2**63), None)
    drawn = words.view(torch.uint8)[: x.numel()].view(x.shape)
    return (drawn >= dropped).to(x.dtype).mul_(_STEPS / (_STEPS - dropped))
