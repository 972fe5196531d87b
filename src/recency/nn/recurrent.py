"""Plain recurrent encoders: RNN, GRU and LSTM of ``torch.nn``, one or several layers.

`forward` hands whole padded batches to ``torch.nn``: its LSTM then runs on the fast dense path of
the CPU, which packed sequences would leave (measured about four times slower). `step` computes the
same gates once, cell by cell. Time enters these encoders as part of their inputs
(`recency.nn.inputs`), not inside the cells.
"""

import math

import torch
from torch import Tensor, nn

from recency.nn.encoder import Clock, Encoder, Setting, check_sizes


class _Recurrent(Encoder):
    """Share what the three families have in common: layers, dropout between them, the flat state.

    A state row holds, one after the other, ``parts`` blocks of ``layers * dim`` numbers: the
    outputs of all layers, then (LSTM) their cells.
    """

    parts = 1

    def __init__(self, cells: nn.RNNBase, dropout: float) -> None:
        super().__init__()
        self.cells = cells
        self.dropout = dropout
        self.dim = cells.hidden_size
        self.state_size = self.parts * cells.num_layers * cells.hidden_size
        self._initialise()

    def config(self) -> dict[str, Setting]:
        """Give ``dim``, ``layers`` and ``dropout``."""
        return {"dim": self.dim, "layers": self.cells.num_layers, "dropout": self.dropout}

    def forward(
        self, x: Tensor, clock: Clock, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Read histories; see `Encoder.forward`."""
        if state is None:
            state = self.initial_state(len(x))
        outputs, last = self.cells(x, self._unflatten(state))
        return outputs, self._flatten(last)

    def step(self, x: Tensor, clock: Clock, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read one event of each user; see `Encoder.step`."""
        before = state.view(len(x), self.parts, self.cells.num_layers, self.dim)
        after = torch.empty_like(before)
        for layer in range(self.cells.num_layers):
            x = self._cell(x, before[:, :, layer], layer, after[:, :, layer])
        return x, after.view(len(x), self.state_size)

    def _cell(self, x: Tensor, before: Tensor, layer: int, after: Tensor) -> Tensor:
        """Advance one layer: write its parts [batch, parts, dim] and give its output."""
        raise NotImplementedError

    def _weights(self, layer: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Give input and recurrent weights, input and recurrent biases of one layer."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        w_ih, w_hh, b_ih, b_hh = (getattr(self.cells, f"{name}_l{layer}") for name in names)
        return w_ih, w_hh, b_ih, b_hh

    def _unflatten(self, state: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Turn [batch, state_size] into what ``torch.nn`` takes: [layers, batch, dim] a part."""
        parts = state.view(len(state), self.parts, self.cells.num_layers, self.dim)
        blocks = parts.permute(1, 2, 0, 3).contiguous()
        return blocks[0] if self.parts == 1 else (blocks[0], blocks[1])

    def _flatten(self, last: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        blocks = torch.stack(last if isinstance(last, tuple) else (last,))
        return blocks.permute(2, 0, 1, 3).reshape(blocks.shape[2], self.state_size)

    def _initialise(self) -> None:
        """Draw each gate's recurrent matrix orthogonal, so that memories neither fade nor explode.

        Saxe, McClelland and Ganguli, Exact solutions to the nonlinear dynamics of learning in deep
        linear neural networks, ICLR 2014.
        """
        for name, weight in self.cells.named_parameters():
            if "weight_hh" in name:
                for gate in torch.split(weight.detach(), self.dim):
                    nn.init.orthogonal_(gate)
            elif "weight_ih" in name:
                nn.init.uniform_(weight, -1 / math.sqrt(self.dim), 1 / math.sqrt(self.dim))
            else:
                nn.init.zeros_(weight)


class RNN(_Recurrent):
    """Encode histories with the simple recurrent network.

    h_t = tanh(W x_t + b + U h_(t-1) + b')

    Elman, Finding Structure in Time, Cognitive Science 14, 1990.

    Args:
        dim: Width of inputs, outputs and memory.
        layers: Layers, each reading the outputs of the one below.
        dropout: Share of outputs dropped between layers in training, in [0, 1); idle in one layer.
    """

    def __init__(self, dim: int = 64, layers: int = 1, dropout: float = 0.0) -> None:
        check_sizes("RNN", dim, layers, dropout)
        between = dropout if layers > 1 else 0.0
        super().__init__(nn.RNN(dim, dim, layers, batch_first=True, dropout=between), dropout)

    def _cell(self, x: Tensor, before: Tensor, layer: int, after: Tensor) -> Tensor:
        hidden = torch.rnn_tanh_cell(x, before[:, 0].contiguous(), *self._weights(layer))
        after[:, 0] = hidden
        return hidden


class GRU(_Recurrent):
    """Encode histories with gated recurrent units.

    r = sigmoid(W_r x + U_r h + b_r), z = sigmoid(W_z x + U_z h + b_z),
    n = tanh(W_n x + b_n + r * (U_n h + b'_n)), h' = (1 - z) * n + z * h

    Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, EMNLP 2014; the reset
    gate acts after the product with U_n, as in ``torch.nn.GRU``.

    Args:
        dim: Width of inputs, outputs and memory.
        layers: Layers, each reading the outputs of the one below.
        dropout: Share of outputs dropped between layers in training, in [0, 1); idle in one layer.
    """

    def __init__(self, dim: int = 64, layers: int = 1, dropout: float = 0.0) -> None:
        check_sizes("GRU", dim, layers, dropout)
        between = dropout if layers > 1 else 0.0
        super().__init__(nn.GRU(dim, dim, layers, batch_first=True, dropout=between), dropout)

    def _cell(self, x: Tensor, before: Tensor, layer: int, after: Tensor) -> Tensor:
        hidden = torch.gru_cell(x, before[:, 0].contiguous(), *self._weights(layer))
        after[:, 0] = hidden
        return hidden


class LSTM(_Recurrent):
    """Encode histories with long short-term memory.

    i = sigmoid(W_i x + U_i h + b_i), f = sigmoid(W_f x + U_f h + b_f),
    g = tanh(W_g x + U_g h + b_g), o = sigmoid(W_o x + U_o h + b_o),
    c' = f * c + i * g, h' = o * tanh(c')

    Hochreiter and Schmidhuber, Long Short-Term Memory, Neural Computation 9(8), 1997; forget gate f
    of Gers, Schmidhuber and Cummins, Learning to Forget, Neural Computation 12(10), 2000. The
    forget bias starts at 1, so that a memory starts by keeping.

    Args:
        dim: Width of inputs, outputs and memory.
        layers: Layers, each reading the outputs of the one below.
        dropout: Share of outputs dropped between layers in training, in [0, 1); idle in one layer.
    """

    parts = 2

    def __init__(self, dim: int = 64, layers: int = 1, dropout: float = 0.0) -> None:
        check_sizes("LSTM", dim, layers, dropout)
        between = dropout if layers > 1 else 0.0
        super().__init__(nn.LSTM(dim, dim, layers, batch_first=True, dropout=between), dropout)

    def _initialise(self) -> None:
        super()._initialise()
        for name, bias in self.cells.named_parameters():
            if "bias_ih" in name:  # gates lie in the order i, f, g, o
                bias.detach()[self.dim : 2 * self.dim] = 1.0

    def _cell(self, x: Tensor, before: Tensor, layer: int, after: Tensor) -> Tensor:
        hidden, cell = before[:, 0].contiguous(), before[:, 1].contiguous()
        hidden, cell = torch.lstm_cell(x, (hidden, cell), *self._weights(layer))
        after[:, 0], after[:, 1] = hidden, cell
        return hidden
