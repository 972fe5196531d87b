"""How accurate is each model, beside its peers, on public logs? See README.md."""
