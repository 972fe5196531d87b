"""From scores to lists and numbers: pure functions over arrays, without a model or a log."""
