"""Sequences beyond shops: numbers over time to forecast, and sentences to classify.

The same encoders read them, to show what these memories are in general. There are no users and no
items here, so the rest of Recency stays out of it.
"""
