"""Classify sentences whose words are the same and whose order tells the class.

python examples/sentences.py
"""

import numpy as np
import polars as pl

import recency as rc

PEOPLE = ("Ann", "Bob", "Cem", "Dora", "Eli", "Fay")
DEEDS = ("thanked", "paid", "called", "taught")
ENDS = ("", " again", " at noon", " after all these years")


def make_sentences(n: int, seed: int) -> tuple[list[str], list[str]]:
    """Make sentences on who did something to whom: is the doer earlier in the alphabet?"""
    rng = np.random.default_rng(seed)
    sentences, labels = [], []
    for _ in range(n):
        one, other = rng.choice(len(PEOPLE), 2, replace=False)
        deed, end = rng.choice(DEEDS), rng.choice(ENDS)
        if rng.random() < 0.5:
            sentences.append(f"{PEOPLE[one]} {deed} {PEOPLE[other]}{end}.")
        else:  # the same deed, told the other way round
            sentences.append(f"{PEOPLE[other]} was {deed} by {PEOPLE[one]}{end}.")
        labels.append("earlier" if one < other else "later")
    return sentences, labels


def main(n_sentences: int = 1_200, epochs: int = 20) -> None:
    """Run the example; a test runs it smaller."""
    sentences, labels = make_sentences(n_sentences, seed=0)
    asked, right = make_sentences(400, seed=1)
    config = rc.TrainConfig(epochs=epochs)
    for encoder in (rc.GRU(dim=32), rc.LSTM(dim=32), rc.Tide(dim=32), rc.Transformer(dim=32)):
        model = rc.SequenceClassifier(encoder, training=config).fit(sentences, labels)
        share = np.mean([a == b for a, b in zip(model.predict(asked), right, strict=True)])
        print(f"{type(encoder).__name__:12} right: {share:.1%}")
    said = ["Fay taught Ann.", "Fay was taught by Ann."]
    print(model.chances(said).insert_column(0, pl.Series("sentence", said)))


if __name__ == "__main__":
    main()
