"""The command line: one file a command.

Each command imports what it needs inside its function, so that ``recency --help`` loads neither
Polars nor torch.
"""
