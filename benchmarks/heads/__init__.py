"""Heads beside what is usually taken for their questions; see ``benchmarks.heads.run``."""
