"""Benchmarks of content: items that speak before anybody has clicked them."""
