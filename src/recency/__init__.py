"""Recency: an event log in, live recommendations that know what time it is out.

Public names are imported on first use, so that ``import recency`` and the command line stay quick:
torch is loaded only where a model is.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recency.asking.recommendations import Recommendations as Recommendations
    from recency.asking.selection import Selection as Selection
    from recency.baselines import DecayedPopularity as DecayedPopularity
    from recency.baselines import ItemNeighbours as ItemNeighbours
    from recency.baselines import LivePopularity as LivePopularity
    from recency.baselines import Markov as Markov
    from recency.baselines import MatrixFactorisation as MatrixFactorisation
    from recency.baselines import Popularity as Popularity
    from recency.baselines import RecentItems as RecentItems
    from recency.client import AsyncClient as AsyncClient
    from recency.client import Client as Client
    from recency.data.catalogue import Catalogue as Catalogue
    from recency.data.cleaning import CleaningConfig as CleaningConfig
    from recency.data.cleaning import clean as clean
    from recency.data.inspection import inspect as inspect
    from recency.data.log import Log as Log
    from recency.data.preparation import prepare as prepare
    from recency.data.prepared import Prepared as Prepared
    from recency.data.prepared import read_prepared as read_prepared
    from recency.data.reading import read_items as read_items
    from recency.data.reading import read_log as read_log
    from recency.data.reading import read_users as read_users
    from recency.data.reading.blocks import Reading as Reading
    from recency.data.splits import Split as Split
    from recency.data.splits import leave_last_out as leave_last_out
    from recency.data.splits import rolling_splits as rolling_splits
    from recency.ensemble.ensemble import Ensemble as Ensemble
    from recency.evaluation.evaluate import evaluate as evaluate
    from recency.evaluation.report import Report as Report
    from recency.loading import load as load
    from recency.nn.attention import Transformer as Transformer
    from recency.nn.experts import ExpertConfig as ExpertConfig
    from recency.nn.inputs import InputConfig as InputConfig
    from recency.nn.lstm_attention import LSTMAttention as LSTMAttention
    from recency.nn.memory import MemoryNetwork as MemoryNetwork
    from recency.nn.recurrent import GRU as GRU
    from recency.nn.recurrent import LSTM as LSTM
    from recency.nn.recurrent import RNN as RNN
    from recency.nn.tide import Tide as Tide
    from recency.nn.time_lstm import TimeLSTM as TimeLSTM
    from recency.recommender import SequenceRecommender as SequenceRecommender
    from recency.training.augmentation import Augmentation as Augmentation
    from recency.training.config import TrainConfig as TrainConfig
    from recency.training.contrast import Contrast as Contrast
    from recency.tuning.result import TuningResult as TuningResult
    from recency.tuning.tune import tune as tune

__version__ = "0.1.0"

# Where each public name lives.
_HOMES = {
    "recency.baselines": (
        "DecayedPopularity",
        "ItemNeighbours",
        "LivePopularity",
        "Markov",
        "MatrixFactorisation",
        "Popularity",
        "RecentItems",
    ),
    "recency.client": ("AsyncClient", "Client"),
    "recency.data.catalogue": ("Catalogue",),
    "recency.data.cleaning": ("CleaningConfig", "clean"),
    "recency.data.inspection": ("inspect",),
    "recency.data.log": ("Log",),
    "recency.data.preparation": ("prepare",),
    "recency.data.prepared": ("Prepared", "read_prepared"),
    "recency.data.reading": ("read_items", "read_log", "read_users"),
    "recency.data.reading.blocks": ("Reading",),
    "recency.data.splits": ("Split", "leave_last_out", "rolling_splits"),
    "recency.ensemble.ensemble": ("Ensemble",),
    "recency.evaluation.evaluate": ("evaluate",),
    "recency.evaluation.report": ("Report",),
    "recency.loading": ("load",),
    "recency.nn.attention": ("Transformer",),
    "recency.nn.experts": ("ExpertConfig",),
    "recency.nn.inputs": ("InputConfig",),
    "recency.nn.lstm_attention": ("LSTMAttention",),
    "recency.nn.memory": ("MemoryNetwork",),
    "recency.nn.recurrent": ("GRU", "LSTM", "RNN"),
    "recency.nn.tide": ("Tide",),
    "recency.nn.time_lstm": ("TimeLSTM",),
    "recency.asking.recommendations": ("Recommendations",),
    "recency.recommender": ("SequenceRecommender",),
    "recency.asking.selection": ("Selection",),
    "recency.training.augmentation": ("Augmentation",),
    "recency.training.config": ("TrainConfig",),
    "recency.training.contrast": ("Contrast",),
    "recency.tuning.result": ("TuningResult",),
    "recency.tuning.tune": ("tune",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME_OF)]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'recency' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
