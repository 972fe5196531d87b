"""Measure what this machine can do at most, and print it as JSON.

OMP_NUM_THREADS=2 python -m benchmarks.speed.ceiling
"""

import json
from dataclasses import asdict

from recency.training.ceiling import measure_ceiling


def main() -> None:
    """Measure and print."""
    print(json.dumps(asdict(measure_ceiling())))


if __name__ == "__main__":
    main()
