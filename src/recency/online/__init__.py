"""Learning while it runs: predict first, score, then learn, in rounds that can be stopped."""
