"""The sentence classifier: order of words, no leak, parity, keeping, messages."""

import numpy as np
import pytest
import torch

import recency as rc
from recency.errors import DataError, DataWarning, FormatError, NotFittedError

NAMES = ("ann", "bob", "cem", "dora")
QUICK = rc.TrainConfig(epochs=12, lr=1e-2)


def sentences(n: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Make sentences whose label is who comes first; the words themselves tell nothing."""
    rng = np.random.default_rng(seed)
    said, labels = [], []
    for _ in range(n):
        first, second = rng.choice(4, 2, replace=False)
        end = rng.choice(["", " again", " last night"])
        said.append(f"{NAMES[first]} thanked {NAMES[second]}{end}.")
        labels.append("up" if first < second else "down")
    return said, labels


@pytest.fixture(scope="module")
def learned() -> rc.SequenceClassifier:
    return rc.SequenceClassifier(rc.GRU(dim=16), training=QUICK).fit(*sentences(240))


def share_right(model, said, labels) -> float:
    return float(np.mean([a == b for a, b in zip(model.predict(said), labels, strict=True)]))


def test_order_of_words_is_learned(learned):
    assert share_right(learned, *sentences(100, seed=1)) > 0.95


def test_shuffled_words_tell_nothing(learned):
    """The same bags of words in sorted order: half of them are right by chance."""
    said, labels = sentences(200, seed=2)
    bags = [" ".join(sorted(one.removesuffix(".").split())) for one in said]
    assert share_right(learned, bags, labels) < 0.7


def test_chances_sum_to_one_and_the_likeliest_is_predicted(learned):
    said, _ = sentences(20, seed=3)
    chances = learned.chances(said)
    assert set(chances.columns) == {"up", "down"}
    assert chances.sum_horizontal().to_numpy() == pytest.approx(1)
    best = [chances.columns[at] for at in chances.to_numpy().argmax(1)]
    assert best == learned.predict(said)


def test_a_sentence_is_answered_alike_alone_and_in_a_batch(learned):
    said, _ = sentences(20, seed=4)
    together = learned.chances(said).to_numpy()
    alone = np.concatenate([learned.chances([one]).to_numpy() for one in said])
    np.testing.assert_allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize("encoder", [rc.Tide(dim=8), rc.LSTM(dim=8), rc.Transformer(dim=8)])
def test_words_one_by_one_are_the_sentence(encoder):
    said, labels = sentences(30)
    config = rc.TrainConfig(epochs=1)
    fitted = rc.SequenceClassifier(encoder, training=config).fit(said, labels)._fitted
    assert fitted is not None
    model = fitted[0]
    words = torch.randint(2, 9, (5, 7))
    with torch.no_grad():
        whole = model(list(words))
        state = model.encoder.initial_state(5)
        for place in range(7):
            logits, state = model.step(words[:, place], place, state)
    torch.testing.assert_close(logits, whole, rtol=0, atol=1e-5)


def test_lists_of_words_are_kept_as_they_are_and_labels_may_be_integers():
    model = rc.SequenceClassifier(rc.GRU(dim=8), training=QUICK)
    model.fit([["A", "b c"], ["b c", "A"]] * 20, [1, 2] * 20)
    assert model.labels == [1, 2]
    assert model.predict([["A", "b c"], ["b c", "A"]]) == [1, 2]


def test_unknown_words_are_read_as_unknown(learned):
    assert learned.predict(["xyzzy thanked quux"])[0] in ("up", "down")


def test_a_fit_repeats(learned):
    other = rc.SequenceClassifier(rc.GRU(dim=16), training=QUICK).fit(*sentences(240))
    said, _ = sentences(10, seed=5)
    assert other.chances(said).equals(learned.chances(said))


def test_a_saved_classifier_answers_as_the_one_before(learned, tmp_path):
    learned.save(tmp_path)
    said, _ = sentences(10, seed=5)
    assert rc.SequenceClassifier.load(tmp_path).chances(said).equals(learned.chances(said))
    with pytest.raises(FormatError, match="expected a Forecaster .* found a SequenceClassifier"):
        rc.Forecaster.load(tmp_path)


def test_faults_are_reported_together():
    with pytest.raises(DataError) as told:
        rc.SequenceClassifier().fit(["a b", " "], ["x"])
    assert "none in 1 of 2 (first: number 1)" in str(told.value)
    assert "found 2 sentences and 1 labels" in str(told.value)
    assert "at least two classes, found ['x']" in str(told.value)


def test_labels_of_two_kinds_are_refused():
    with pytest.raises(DataError, match=r"all text or all integers, found \['int', 'str'\]"):
        rc.SequenceClassifier().fit(["a", "b"], ["x", 1])


def test_too_little_to_judge_on_is_noted():
    config = rc.TrainConfig(epochs=1)
    learned = rc.SequenceClassifier(rc.GRU(dim=4), training=config).fit(*sentences(50)).learned
    assert learned is not None and learned.valid is None
    assert "too few to judge epochs on; learned all 1 epochs" in learned.notes[0]


def test_nothing_is_told_before_a_fit():
    with pytest.raises(NotFittedError, match="call fit"):
        rc.SequenceClassifier().predict(["a"])


def test_long_sentences_are_shortened_and_counted():
    config = rc.TrainConfig(epochs=1, max_len=3)
    with pytest.warns(DataWarning, match="2 of 4 sentences are longer than 3 words"):
        rc.SequenceClassifier(rc.GRU(dim=4), training=config).fit(
            ["a b c d", "a b", "b a", "d c b a"], ["x", "x", "y", "y"]
        )
