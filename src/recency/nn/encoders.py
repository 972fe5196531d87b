"""The encoders that Recency brings, by the names that files and the command line know."""

import inspect
from typing import Any

from recency.errors import ConfigError, raise_all
from recency.nn.attention import Transformer
from recency.nn.encoder import Encoder
from recency.nn.hybrid import Hybrid
from recency.nn.lstm_attention import LSTMAttention
from recency.nn.memory import MemoryNetwork
from recency.nn.recurrent import GRU, LSTM, RNN
from recency.nn.tide import Tide
from recency.nn.time_lstm import TimeLSTM

ENCODERS: dict[str, type[Encoder]] = {
    "rnn": RNN,
    "gru": GRU,
    "lstm": LSTM,
    "timelstm": TimeLSTM,
    "lstmattention": LSTMAttention,
    "memorynetwork": MemoryNetwork,
    "transformer": Transformer,
    "tide": Tide,
    "hybrid": Hybrid,
}


def make_encoder(name: str, settings: dict[str, Any]) -> Encoder:
    """Make an encoder from its name and its constructor's arguments.

    Raises:
        ConfigError: the name, an argument or a value is none of Recency's; all together.
    """
    if name not in ENCODERS:
        raise ConfigError(
            f"expected an encoder of {', '.join(ENCODERS)}, found {name!r}; another one is passed "
            f"as an object: SequenceRecommender(encoder=...), load(folder, encoder=...)."
        )
    known = arguments_of(name)
    faults = [
        f"{name} has no argument {given!r}; it has {', '.join(known)}."
        for given in settings
        if given not in known
    ]
    raise_all(faults, ConfigError)
    return ENCODERS[name](**settings)


def arguments_of(name: str) -> list[str]:
    """Name the constructor arguments of an encoder."""
    return list(inspect.signature(ENCODERS[name]).parameters)
