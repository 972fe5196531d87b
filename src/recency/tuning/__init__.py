"""Tuning: good settings found by trials, resumable, told in one page."""
