"""Inspection: what is in a log, what in it will mislead, and a picture of it."""

from recency.data.inspection.facts import Inspection, inspect

__all__ = ["Inspection", "inspect"]
