"""Pre-training, with and without: of the text encoder, and of the recommender.

    python -m benchmarks.content.pretraining DATA/amazon-instruments DATA/online-retail

The same recommender learns from the same events, from all of them and from their newest tenth; from
a tenth by the exact loss and for up to `EPOCHS`, until the newest slice gains no more.

- **Words**: item vectors come from MiniLM as it is, or after masked words, masked and causal words,
  or masked words with LoRA, learned on the texts of items that had an event before the cut.
- **Behaviour**: weights start as they are drawn, or after hidden events, next events and alike
  views of the very same events, no more of them. Drawn weights may learn for as many epochs more
  as the others were pre-trained, so that a gain is not one of time.

``gain_of_pretraining`` sets each against the same without, targets averaged over seeds, users
resampled in pairs. Text encoders are kept beside the fits, and made once.
"""

from collections.abc import Callable
from pathlib import Path

import recency as rc
from benchmarks.content.logs import Described
from benchmarks.content.trials import SETTINGS, Contest, compete, recommender
from recency.content.item_texts import item_texts
from recency.training.config import TrainingStep

DIM = 64
PLAIN, DRAWN = "minilm as it is", "ids, weights drawn"
WORDS: dict[str, rc.TextPretraining] = {
    "minilm, masked words": rc.TextPretraining(epochs=3),
    "minilm, masked and causal words": rc.TextPretraining(causal=1.0, epochs=3),
    "minilm, masked words, lora": rc.TextPretraining(lora=8, epochs=3),
}
BEFORE = 4  # epochs of behaviour
BEHAVIOUR = {
    "ids, after behaviour": rc.BehaviourPretraining(epochs=BEFORE),
    "ids, after hidden events": rc.BehaviourPretraining(
        epochs=BEFORE, next_event=0.0, contrast=rc.Contrast()
    ),
}
EPOCHS = 16  # most, of few events
EVENTS = {"all events": 1.0, "newest tenth of the events": 0.1}
NAMES = tuple(f"{one}, {of}" for of in EVENTS for one in (PLAIN, *WORDS, DRAWN, *BEHAVIOUR))
AGAINST = {
    f"{one}, {of}": (f"{plain}, {of}",)
    for of in EVENTS
    for plain, more in ((PLAIN, WORDS), (DRAWN, BEHAVIOUR))
    for one in more
}


def fit(
    log: Described, name: str, seed: int, store: Path, tell: Callable[[TrainingStep], None]
) -> rc.SequenceRecommender:
    """Fit one recommender, after what comes before it."""
    of = next(one for one in EVENTS if name.endswith(one))
    way = name.removesuffix(f", {of}")
    learned = rc.Log(log.train.events.tail(round(EVENTS[of] * len(log.train))))
    settings = dict(SETTINGS.get(log.data, {}))
    if EVENTS[of] < 1:
        settings |= {"epochs": EPOCHS, "negatives": 0}
    model = recommender(log, rc.Tide(DIM), seed, settings)
    if way in BEHAVIOUR:
        base = recommender(log, rc.Tide(DIM), seed, settings)
        base.pretrain(learned, BEHAVIOUR[way], tell)
        return model.fit(learned, progress=tell, init_from=base, init_items=True)
    if way == DRAWN:
        settings["epochs"] = settings.get("epochs", rc.TrainConfig().epochs) + BEFORE
        return recommender(log, rc.Tide(DIM), seed, settings).fit(learned, progress=tell)
    encoder = rc.TextEncoder() if way == PLAIN else rc.TextEncoder(words(log, way, store))
    vectors = rc.ItemVectors.of_texts(log.items, encoder, cache=store / "vectors")
    return model.fit(learned, log.items, tell, content=rc.Content([vectors]))


def words(log: Described, way: str, store: Path) -> Path:
    """Make a text encoder, or find it where an earlier fit has left it."""
    texts = item_texts(log.items)
    seen = set(log.train.events["item_id"].unique().to_list())
    learned = [text for one, text in zip(texts.ids, texts.texts, strict=True) if one in seen]
    kept = "".join(one if one.isalnum() else "_" for one in way)
    found = rc.pretrain_text(
        learned,
        store / "encoders" / log.data / kept,
        config=WORDS[way],
        progress=lambda step: (
            print(f"{way}: {step.eta / 60:.1f} min left", flush=True) if step.step == 10 else None
        ),
    )
    for one in found.history:
        print(f"{way}, epoch {one.epoch}: {one.masked} {one.causal} nats on texts held back")
    return found.folder


if __name__ == "__main__":
    compete(
        Contest(
            module="benchmarks.content.pretraining",
            protocol="pretraining",
            names=NAMES,
            fit=fit,
            against=AGAINST,
            gain="gain_of_pretraining",
        ),
        __doc__,
    )
