"""Who may come in, how often, and what is written down of it."""
