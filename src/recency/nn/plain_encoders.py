"""The encoders that stand by themselves, by name, and how one is made of its settings."""

import inspect
from collections.abc import Mapping
from typing import Any

from recency.errors import ConfigError, raise_all
from recency.nn.attention import Transformer
from recency.nn.encoder import Encoder
from recency.nn.lstm_attention import LSTMAttention
from recency.nn.memory import MemoryNetwork
from recency.nn.recurrent import GRU, LSTM, RNN
from recency.nn.tide import Tide
from recency.nn.time_lstm import TimeLSTM

PLAIN_ENCODERS: dict[str, type[Encoder]] = {
    "rnn": RNN,
    "gru": GRU,
    "lstm": LSTM,
    "timelstm": TimeLSTM,
    "lstmattention": LSTMAttention,
    "memorynetwork": MemoryNetwork,
    "transformer": Transformer,
    "tide": Tide,
}


def made(kinds: Mapping[str, type[Encoder]], name: str, settings: Mapping[str, Any]) -> Encoder:
    """Make an encoder of one of some kinds.

    Raises:
        ConfigError: the name, an argument or a value is none of theirs; all together.
    """
    if name not in kinds:
        raise ConfigError(
            f"expected an encoder of {', '.join(kinds)}, found {name!r}; another one is passed "
            f"as an object: SequenceRecommender(encoder=...), load(folder, encoder=...)."
        )
    known = taken_by(kinds[name])
    faults = [
        f"{name} has no argument {given!r}; it has {', '.join(known)}."
        for given in settings
        if given not in known
    ]
    raise_all(faults, ConfigError)
    return kinds[name](**settings)


def taken_by(kind: type[Encoder]) -> list[str]:
    """Name the constructor arguments of a kind of encoder."""
    return list(inspect.signature(kind).parameters)
