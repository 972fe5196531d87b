"""Models that come and go while others serve."""
