"""Recency: an event log in, live recommendations that know what time it is out.

Public names are imported on first use, so that ``import recency`` and the command line stay quick:
torch is loaded only where a model is.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recency.asking.foretelling import propensity as propensity
    from recency.asking.recommendations import Recommendations as Recommendations
    from recency.asking.selection import Selection as Selection
    from recency.baselines import CategoryPopularity as CategoryPopularity
    from recency.baselines import DecayedPopularity as DecayedPopularity
    from recency.baselines import ItemNeighbours as ItemNeighbours
    from recency.baselines import LivePopularity as LivePopularity
    from recency.baselines import Markov as Markov
    from recency.baselines import MatrixFactorisation as MatrixFactorisation
    from recency.baselines import Popularity as Popularity
    from recency.baselines import RecentItems as RecentItems
    from recency.client import AsyncClient as AsyncClient
    from recency.client import Client as Client
    from recency.content.features import Content as Content
    from recency.content.images import ImageEncoder as ImageEncoder
    from recency.content.images import image_vectors as image_vectors
    from recency.content.item_vectors import ItemVectors as ItemVectors
    from recency.content.pretraining import pretrain_text as pretrain_text
    from recency.content.pretraining_config import TextPretraining as TextPretraining
    from recency.content.static_text import StaticTextEncoder as StaticTextEncoder
    from recency.content.text import TextEncoder as TextEncoder
    from recency.content.text_tuning import TextTuning as TextTuning
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
    from recency.evaluation.domains import evaluate_domains as evaluate_domains
    from recency.evaluation.evaluate import evaluate as evaluate
    from recency.evaluation.report import Report as Report
    from recency.explaining.explain import explain as explain
    from recency.explaining.explain import explain_after as explain_after
    from recency.explaining.explanation import Explanation as Explanation
    from recency.explaining.memory_left import memory_left as memory_left
    from recency.loading import load as load
    from recency.nn.attention import Transformer as Transformer
    from recency.nn.basket_head import BasketHead as BasketHead
    from recency.nn.domains import DomainConfig as DomainConfig
    from recency.nn.experts import ExpertConfig as ExpertConfig
    from recency.nn.horizon_head import HorizonHead as HorizonHead
    from recency.nn.hybrid import Hybrid as Hybrid
    from recency.nn.inputs import InputConfig as InputConfig
    from recency.nn.lstm_attention import LSTMAttention as LSTMAttention
    from recency.nn.memory import MemoryNetwork as MemoryNetwork
    from recency.nn.profile import ProfileConfig as ProfileConfig
    from recency.nn.rating_head import RatingHead as RatingHead
    from recency.nn.recurrent import GRU as GRU
    from recency.nn.recurrent import LSTM as LSTM
    from recency.nn.recurrent import RNN as RNN
    from recency.nn.tide import Tide as Tide
    from recency.nn.time_head import TimeHead as TimeHead
    from recency.nn.time_lstm import TimeLSTM as TimeLSTM
    from recency.nn.type_head import TypeHead as TypeHead
    from recency.recommender import SequenceRecommender as SequenceRecommender
    from recency.sequences.classifier import SequenceClassifier as SequenceClassifier
    from recency.sequences.forecaster import Forecaster as Forecaster
    from recency.training.augmentation import Augmentation as Augmentation
    from recency.training.config import TrainConfig as TrainConfig
    from recency.training.contrast import Contrast as Contrast
    from recency.training.pretraining import BehaviourPretraining as BehaviourPretraining
    from recency.tuning.result import TuningResult as TuningResult
    from recency.tuning.tune import tune as tune

__version__ = "0.1.0"

# Where each public name lives.
_HOMES = {
    "recency.baselines": (
        "CategoryPopularity",
        "DecayedPopularity",
        "ItemNeighbours",
        "LivePopularity",
        "Markov",
        "MatrixFactorisation",
        "Popularity",
        "RecentItems",
    ),
    "recency.client": ("AsyncClient", "Client"),
    "recency.content.features": ("Content",),
    "recency.content.item_vectors": ("ItemVectors",),
    "recency.content.static_text": ("StaticTextEncoder",),
    "recency.content.text": ("TextEncoder",),
    "recency.content.text_tuning": ("TextTuning",),
    "recency.content.images": ("ImageEncoder", "image_vectors"),
    "recency.content.pretraining": ("pretrain_text",),
    "recency.content.pretraining_config": ("TextPretraining",),
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
    "recency.evaluation.domains": ("evaluate_domains",),
    "recency.evaluation.evaluate": ("evaluate",),
    "recency.evaluation.report": ("Report",),
    "recency.explaining.explain": ("explain", "explain_after"),
    "recency.explaining.explanation": ("Explanation",),
    "recency.explaining.memory_left": ("memory_left",),
    "recency.loading": ("load",),
    "recency.nn.attention": ("Transformer",),
    "recency.nn.basket_head": ("BasketHead",),
    "recency.nn.domains": ("DomainConfig",),
    "recency.nn.experts": ("ExpertConfig",),
    "recency.nn.hybrid": ("Hybrid",),
    "recency.nn.inputs": ("InputConfig",),
    "recency.nn.lstm_attention": ("LSTMAttention",),
    "recency.nn.memory": ("MemoryNetwork",),
    "recency.nn.profile": ("ProfileConfig",),
    "recency.nn.recurrent": ("GRU", "LSTM", "RNN"),
    "recency.nn.rating_head": ("RatingHead",),
    "recency.nn.time_head": ("TimeHead",),
    "recency.nn.horizon_head": ("HorizonHead",),
    "recency.nn.type_head": ("TypeHead",),
    "recency.nn.tide": ("Tide",),
    "recency.nn.time_lstm": ("TimeLSTM",),
    "recency.asking.foretelling": ("propensity",),
    "recency.asking.recommendations": ("Recommendations",),
    "recency.recommender": ("SequenceRecommender",),
    "recency.sequences.classifier": ("SequenceClassifier",),
    "recency.sequences.forecaster": ("Forecaster",),
    "recency.asking.selection": ("Selection",),
    "recency.training.augmentation": ("Augmentation",),
    "recency.training.config": ("TrainConfig",),
    "recency.training.contrast": ("Contrast",),
    "recency.training.pretraining": ("BehaviourPretraining",),
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
