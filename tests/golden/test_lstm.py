"""The recurrent cells against cases worked by hand in double precision.

All weights are short decimals, so each sum below can be checked with a pencil; the sigmoids and
hyperbolic tangents are given to 15 digits (computed with 30).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from recency.nn.encoder import Clock, Encoder
from recency.nn.recurrent import GRU, LSTM, RNN

X = torch.tensor([[[1.0, -1.0], [0.5, 2.0]]], dtype=torch.float64)  # one user, two events
CLOCK = Clock(torch.zeros(1, 2), torch.zeros(1, 2, dtype=torch.int64))


def exact(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-14)


def with_weights(encoder: Encoder, **weights: Sequence[Sequence[float] | float]) -> Encoder:
    """Give the cells of one layer their weights, gate blocks one below the other."""
    cells = encoder.cells
    for name, values in weights.items():
        getattr(cells, f"{name}_l0").data = torch.tensor(values, dtype=torch.float64)
    return encoder.double()


def both_ways(encoder: Encoder, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Read the two events at once and one by one; the results must agree to the last digits."""
    outputs, last = encoder(X, CLOCK, state)
    now = encoder.initial_state(1) if state is None else state
    for at in range(2):
        clock = Clock(CLOCK.gaps[:, at : at + 1], CLOCK.times[:, at : at + 1])
        output, now = encoder.step(X[:, at], clock, now)
        exact(output, outputs[:, at])
    exact(now, last)
    return outputs, last


def test_lstm():
    """i, f, o = sigmoid(W x + U h + b), g = tanh(W x + U h + b), c' = f c + i g, h' = o tanh(c').

    Hochreiter and Schmidhuber 1997; forget gate of Gers et al. 2000. Start: h = c = 0.

    Event 1, x = (1, -1), h = 0, so U h = 0:
      i: (0.5*1 - 1*-1 + 0, 0*1 + 0.25*-1 + 0.1)        = (1.5, -0.15) -> (.817574476193644, .462570154656250)
      f: (1*1 + 0*-1 + 1, 0.5*1 + 0.5*-1 + 1)           = (2, 1)       -> (.880797077977882, .731058578630005)
      g: (0.2*1 + 0.4*-1, -0.8*1 + 0.1*-1)              = (-0.2, -0.9) -> (-.197375320224904, -.716297870199024)
      o: (-0.5*1 + 0.5*-1 + 0.3, 1*1 + 1*-1 - 0.2)      = (-0.7, -0.2) -> (.331812227831834, .450166002687522)
      c = i g                                  = (-.161369024046428, -.331338016597906)
      h = o tanh(c)                            = (-.053084242736648, -.143928213969595)

    Event 2, x = (0.5, 2), h and c as above:
      i: (0.25 - 2 + 0.1*h1 + 0.2*h2, 0.5 + 0.1 - 0.4*h2) = (-1.784094067067584, .657571285587838)
                                                         -> (.143798335571515, .658714600606829)
      f: (0.5 + 1 + 0.3*h2, 0.25 + 1 + 1 + 0.6*h1)        = (1.456821535809122, 2.218149454358011)
                                                         -> (.811046055537414, .901867539576148)
      g: (0.1 + 0.8 + 0.5*h1, -0.4 + 0.2 + 0.2*h1 + 0.2*h2) = (.873457878631676, -.239402491341249)
                                                         -> (.703126732789958, -.234931298305973)
      o: (-0.25 + 1 + 0.3, 0.5 + 2 - 0.2 - 1*h1 + 0.1*h2) = (1.05, 2.338691421339689)
                                                         -> (.740774899182154, .912031154066685)
      c' = f c + i g                           = (-.029769256567744, -.453575678130857)
      h' = o tanh(c')                          = (-.022045806022856, -.387461640141009)
    """  # noqa: E501
    lstm = with_weights(
        LSTM(dim=2),
        weight_ih=[[0.5, -1], [0, 0.25], [1, 0], [0.5, 0.5],
                   [0.2, 0.4], [-0.8, 0.1], [-0.5, 0.5], [1, 1]],
        weight_hh=[[0.1, 0.2], [0, -0.4], [0, 0.3], [0.6, 0],
                   [0.5, 0], [0.2, 0.2], [0, 0], [-1, 0.1]],
        bias_ih=[0, 0.1, 1, 1, 0, 0, 0.3, -0.2],
        bias_hh=[0.0] * 8,
    )  # fmt: skip
    outputs, state = both_ways(lstm)
    h1 = [-0.053084242736648358, -0.14392821396959489]
    h2 = [-0.022045806022855984, -0.38746164014100873]
    c2 = [-0.029769256567744347, -0.45357567813085672]
    expected = torch.tensor([[h1, h2]], dtype=torch.float64)
    exact(outputs, expected)
    # The flat state: the outputs of the layer, then its cells.
    exact(state, torch.tensor([h2 + c2], dtype=torch.float64))


def test_lstm_of_two_layers_feeds_the_first_into_the_second():
    """The second layer's memory is that of a one-layer LSTM that reads the first one's outputs."""
    torch.manual_seed(0)
    both = LSTM(dim=2, layers=2).double()
    low, high = LSTM(dim=2).double(), LSTM(dim=2).double()
    for one, layer in ((low, "l0"), (high, "l1")):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(one.cells, f"{name}_l0").data = getattr(both.cells, f"{name}_{layer}").data
    outputs, state = both_ways(both)
    below, low_state = low(X, CLOCK)
    above, high_state = high(below, CLOCK)
    exact(outputs, above)
    hidden = torch.cat((low_state[:, :2], high_state[:, :2]), dim=1)
    cells = torch.cat((low_state[:, 2:], high_state[:, 2:]), dim=1)
    exact(state, torch.cat((hidden, cells), dim=1))


def test_gru():
    """r, z = sigmoid(W x + U h + b), n = tanh(W x + b + r (U h + b')), h' = (1 - z) n + z h.

    Cho et al. 2014, the reset gate after the product. Start: h = (0.3, -0.6); event x = (1, -1):
      r: (1 + 0.5*-0.6 + 0.2, 1 + 0.5*0.3)              = (0.9, 1.15)   -> (.709949502625, .759510916949)
      z: (-1 + 0.03 - 0.12, 1 + 0.09 - 0.24 - 0.5)      = (-1.09, 0.35) -> (.251618278393, .586617578917)
      W x + b:  (0.5 - 0.5 + 0.1, 1 + 1)                = (0.1, 2)
      U h + b': (2*0.3, -2*-0.6 + 0.4)                  = (0.6, 1.6)
      n: (0.1 + r1*0.6, 2 + r2*1.6) = (.526569701575, 3.215217467119)   -> (.482754589835, .996781687760)
      h' = (1 - z) n + z h                              = (.436770194573, .060081480027)
    """  # noqa: E501
    gru = with_weights(
        GRU(dim=2),
        weight_ih=[[1, 0], [0, -1], [0, 1], [1, 0], [0.5, 0.5], [1, -1]],
        weight_hh=[[0, 0.5], [0.5, 0], [0.1, 0.2], [0.3, 0.4], [2, 0], [0, -2]],
        bias_ih=[0.2, 0, 0, -0.5, 0.1, 0],
        bias_hh=[0, 0, 0, 0, 0, 0.4],
    )
    start = torch.tensor([[0.3, -0.6]], dtype=torch.float64)
    outputs, _ = both_ways(gru, start)
    expected = torch.tensor([[0.43677019457260322, 0.06008148002666249]], dtype=torch.float64)
    exact(outputs[:, 0], expected)


def test_rnn():
    """h' = tanh(W x + b + U h + b'), Elman 1990. Start: h = 0.

    Event 1, x = (1, -1): (0.5 + 0.5 + 0.1, 1 - 0.1 + 0.3) = (1.1, 1.2) -> (.800499021761, .833654607012)
    Event 2, x = (0.5, 2): (0.25 - 1 + 0.1 + h2, 0.5 - 0.1 - 0.5*h1 + 0.25*h2 + 0.3)
                         = (.183654607012, .508164140873) -> (.181617260041, .468513552973)
    """  # noqa: E501
    rnn = with_weights(
        RNN(dim=2),
        weight_ih=[[0.5, -0.5], [1, 0]],
        weight_hh=[[0, 1], [-0.5, 0.25]],
        bias_ih=[0.1, -0.1],
        bias_hh=[0, 0.3],
    )
    outputs, state = both_ways(rnn)
    h1, h2 = [0.80049902176062971, 0.83365460701215526], [0.18161726004117272, 0.46851355297316111]
    exact(outputs, torch.tensor([[h1, h2]], dtype=torch.float64))
    exact(state, torch.tensor([h2], dtype=torch.float64))
