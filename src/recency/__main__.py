"""``python -m recency``: the command line."""

from recency.cli.app import main

if __name__ == "__main__":
    main()
