"""Titles a second: Recency's text encoder beside sentence-transformers, with the same weights.

    python -m benchmarks.content.encoding [--titles 100000] [--threads 2] [--dirty] [--no-record]

Every side encodes the same made-up titles with all-MiniLM-L6-v2, after a few titles that warm it,
in a process of its own, one after the other; loading is not timed. sentence-transformers is asked
as its page says (batches of 32, longest first, float32), and once more with rounded weights, which
it can do too where one asks for them. ``least cosine`` compares each side with its plain run.
A last process finds all the vectors on disk.
"""

import argparse
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.record import Row, peak_mb, record
from recency.content.encoding import encode_texts
from recency.content.sentence_model import SentenceModel
from recency.content.text import Precision, TextEncoder

Floats = npt.NDArray[np.float32]
Run = dict[str, Any]
PLAIN = f"sentence-transformers {version('sentence-transformers')}"
SIDES = (PLAIN, f"{PLAIN}, bfloat16", "Recency, float32", "Recency, bfloat16", "Recency, cached")
PROTOCOL = "encoding · all-MiniLM-L6-v2, {titles:,} different titles, {threads} threads"
_WARM = 256  # titles encoded before the clock runs
_HELD = 2_000  # vectors of each side kept for the comparison


def main() -> None:
    """Run the sides in turn, compare, print, record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--titles", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dirty", action="store_true", help="record an uncommitted tree as such")
    parser.add_argument("--no-record", action="store_true", help="print only")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        runs = {}
        for side in SIDES:
            runs[side] = alone(side, arguments.titles, arguments.threads, cache)
            print(f"{side}: {arguments.titles / runs[side]['seconds']:,.0f} titles a second")
    protocol = PROTOCOL.format(titles=arguments.titles, threads=arguments.threads)
    rows = [row(side, runs, arguments.titles, protocol) for side in SIDES]
    for one in rows:
        print(f"{one['model']}: {one['metrics']}, peak {one['peak_mb']} MiB")
    if not arguments.no_record:
        print(record("content", rows, dirty=arguments.dirty))


def titles(n: int, seed: int = 0) -> list[str]:
    """Make up different titles: of 2 to 40 words, 8 mostly, common words more often than rare."""
    random = np.random.default_rng(seed)
    listed = (SentenceModel.find("minilm").folder / "vocab.txt").read_text(encoding="utf-8")
    words = np.array([word for word in listed.split() if word.isalpha() and len(word) > 2])
    lengths = np.clip(random.lognormal(np.log(8), 0.5, n).astype(int), 2, 40)
    drawn = words[(len(words) * random.power(0.5, int(lengths.sum()))).astype(int)]
    parts = np.split(drawn, np.cumsum(lengths)[:-1])
    return [f"{' '.join(part)} {number}" for number, part in enumerate(parts)]


def alone(side: str, n: int, threads: int, cache: str) -> Run:
    """Measure one side in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, side, n, threads, cache).result()


def measure(side: str, n: int, threads: int, cache: str) -> Run:
    """Encode the titles; give seconds, the most memory held, and some of the vectors."""
    torch.set_num_threads(threads)
    texts = titles(n)
    if side.startswith("Recency"):
        seconds, vectors = ours(side, texts, Path(cache))
    else:
        seconds, vectors = theirs(side, texts)
    return {"seconds": seconds, "peak_mb": peak_mb(), "vectors": vectors[:: -(-n // _HELD)]}


def ours(side: str, texts: list[str], cache: Path) -> tuple[float, Floats]:
    """Encode as Recency does; the cached side takes what the one in float32 has kept."""
    precision: Precision = "bfloat16" if side.endswith("bfloat16") else "float32"
    encoder = TextEncoder(device="cpu", precision=precision)
    if not side.endswith("cached"):
        encoder.encode(texts[:_WARM])
    began = perf_counter()
    found = encode_texts(texts, encoder, cache)
    return perf_counter() - began, found


def theirs(side: str, texts: list[str]) -> tuple[float, Floats]:
    """Encode as the page of sentence-transformers says."""
    from sentence_transformers import SentenceTransformer

    network = SentenceTransformer(str(SentenceModel.find("minilm").folder), device="cpu")
    if side.endswith("bfloat16"):
        network = network.bfloat16()
    network.encode(texts[:_WARM])
    began = perf_counter()
    found = network.encode(texts, convert_to_numpy=True)
    seconds = perf_counter() - began
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return seconds, np.asarray(found / lengths, np.float32)


def row(side: str, runs: dict[str, Run], n: int, protocol: str) -> Row:
    """Make the row of one side."""
    run, plain = runs[side], runs[PLAIN]
    cosines = (run["vectors"] * plain["vectors"]).sum(1)
    return {
        "data": "generated titles",
        "protocol": protocol,
        "model": side,
        "metrics": {
            "items_per_second": round(n / run["seconds"], 1),
            "seconds": round(run["seconds"], 2),
            "speedup": round(plain["seconds"] / run["seconds"], 2),
            "least cosine": round(float(cosines.min()), 4),
        },
        "peak_mb": run["peak_mb"],
    }


if __name__ == "__main__":
    main()
