"""Honest numbers: questions cut by time, the whole catalogue ranked, baselines beside them."""
