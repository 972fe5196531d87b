"""Ensembles: several members that answer as one, mixed by weights learned on the newest slice."""

from recency.ensemble.ensemble import Ensemble
from recency.ensemble.report import EnsembleReport

__all__ = ["Ensemble", "EnsembleReport"]
