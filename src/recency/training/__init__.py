"""Training: one visible loop, its settings, and its checkpoints."""
