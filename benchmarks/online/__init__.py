"""Learning while it runs, against frozen weights, live popularity and refits."""
