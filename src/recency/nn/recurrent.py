"""Plain recurrent encoders: RNN, GRU and LSTM of ``torch.nn``, one or several layers.

`forward` hands whole padded batches to ``torch.nn``: its LSTM then runs on the fast dense path of
the CPU, which packed sequences would leave. `step` computes the same gates once, cell by cell. Time
enters these encoders as part of their inputs (`recency.nn.inputs`), not inside the cells.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from recency.nn.encoder import Clock, Encoder, Setting, check_sizes
from recency.nn.gru_scan import gru_layer

Weights = tuple[Tensor, Tensor, Tensor, Tensor]


class _Recurrent(Encoder):
    """Share what the three families have in common: layers, dropout between them, the flat state.

    A state row holds, one after the other, ``parts`` blocks of ``layers * dim`` numbers: the
    outputs of all layers, then (LSTM) their cells.
    """

    parts = 1
    carries = True
    _kind: ClassVar[type[nn.RNN] | type[nn.GRU] | type[nn.LSTM]]

    def __init__(self, dim: int = 64, layers: int = 1, dropout: float = 0.0) -> None:
        check_sizes(type(self).__name__, dim, layers, dropout)
        super().__init__()
        between = dropout if layers > 1 else 0.0
        self.cells = self._kind(dim, dim, layers, batch_first=True, dropout=between)
        self.dropout, self.dim = dropout, dim
        self.state_size = self.parts * layers * dim
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
            parts = [one.contiguous() for one in before[:, :, layer].unbind(1)]
            found = self._advanced(x, parts, self._weights(layer))
            for place, part in enumerate(found):
                after[:, place, layer] = part
            x = found[0]
        return x, after.view(len(x), self.state_size)

    def _advanced(self, x: Tensor, parts: list[Tensor], weights: Weights) -> tuple[Tensor, ...]:
        """Advance one layer: give its parts [batch, dim] after an event, the output first."""
        raise NotImplementedError

    def _weights(self, layer: int) -> Weights:
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

    _kind = nn.RNN

    def _advanced(self, x: Tensor, parts: list[Tensor], weights: Weights) -> tuple[Tensor, ...]:
        return (torch.rnn_tanh_cell(x, parts[0], *weights),)


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

    _kind = nn.GRU

    def forward(
        self, x: Tensor, clock: Clock, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Read histories; see `Encoder.forward`. In training on a CPU by `gru_layer`."""
        if (
            x.device.type != "cpu"
            or not torch.is_grad_enabled()
            or torch.is_autocast_enabled("cpu")
        ):
            return super().forward(x, clock, state)
        state = self.initial_state(len(x)) if state is None else state
        last = []
        for layer, start in enumerate(state.view(len(x), -1, self.dim).unbind(1)):
            if layer:
                x = nn.functional.dropout(x, self.cells.dropout, self.training)
            x = gru_layer(x, self._weights(layer), start)
            last.append(x[:, -1])
        return x, torch.cat(last, dim=1)

    def _advanced(self, x: Tensor, parts: list[Tensor], weights: Weights) -> tuple[Tensor, ...]:
        return (torch.gru_cell(x, parts[0], *weights),)


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
    _kind = nn.LSTM

    def _initialise(self) -> None:
        super()._initialise()
        for name, bias in self.cells.named_parameters():
            if "bias_ih" in name:  # gates lie in the order i, f, g, o
                bias.detach()[self.dim : 2 * self.dim] = 1.0

    def _advanced(self, x: Tensor, parts: list[Tensor], weights: Weights) -> tuple[Tensor, ...]:
        return torch.lstm_cell(x, parts, *weights)
