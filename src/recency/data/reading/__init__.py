"""Reading: files and frames of events, items and users, whatever their columns are called."""

from recency.data.reading.logs import read_items, read_log, read_users

__all__ = ["read_items", "read_log", "read_users"]
