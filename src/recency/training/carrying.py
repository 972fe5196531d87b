"""States that windows hand on: a long history is read piece by piece, and nothing of it twice.

The state after a window is where the next window of the same history begins, as in service. No
gradient goes back over the border (truncated back-propagation through time: Williams and Peng, An
Efficient Gradient-Based Algorithm for On-Line Training of Recurrent Network Trajectories, Neural
Computation 2, 1990), and a state is as old as the steps since it was computed. Encoders that look
back at a limited number of events have windows that overlap instead; see `recency.data.batches`.
"""

import torch
from torch import Tensor

from recency.data.batches import Epoch, TrainingBatch
from recency.nn.model import SequenceModel
from recency.training.config import TrainConfig


def carries(model: SequenceModel, config: TrainConfig) -> bool:
    """Tell whether windows can follow one another: the encoder allows it, and events stay as is."""
    varied = config.augmentation.on or config.contrast.weight > 0
    return config.carried and model.encoder.carries and not varied


class CarriedStates:
    """Keep encoder states between the windows of an epoch.

    Args:
        model: Whose encoder.
        epoch: Says how many there are.
    """

    def __init__(self, model: SequenceModel, epoch: Epoch) -> None:
        size = model.encoder.state_size
        self._states = torch.zeros(epoch.n_slots, size, device=model.bias.device)

    def before(self, part: TrainingBatch) -> Tensor | None:
        """Give the states [batch, size] in which rows begin; None where all begin afresh."""
        if part.slots is None or part.follows is None or not part.follows.any():
            return None
        slots, follows = (torch.from_numpy(cells) for cells in (part.slots, part.follows))
        states = self._states.new_zeros(len(slots), self._states.shape[1])
        states[follows] = self._states[slots[follows]]
        return states

    def keep(self, part: TrainingBatch, states: Tensor) -> None:
        """Keep the states [batch, size or more] in which rows ended, for those that are followed.

        Rows that are followed have no padding; what is kept of the others nobody reads.
        """
        if part.slots is None:
            return
        slots = torch.from_numpy(part.slots)
        long = slots >= 0
        size = self._states.shape[1]
        self._states[slots[long]] = states[long, :size].detach()
