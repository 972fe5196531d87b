"""``recency pretrain``: learn from item texts, or from histories, before there is anything to ask.

``text`` leaves an encoder that ``recency fit --text`` reads, ``behaviour`` a model that ``recency
fit --init-from`` starts from.
"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recency.cli import options, output
from recency.cli.progress import pretraining_bar, training_bar
from recency.cli.reading import log_to_learn
from recency.cli.run_flags import run_of

if TYPE_CHECKING:
    from recency.training.config import TrainingResult

app = typer.Typer(
    help="Learn from item texts or histories alone, for a later fit to start from.",
    no_args_is_help=True,
)

Masked = Annotated[float, typer.Option(help="Weight of telling what is hidden; 0 is off.")]


@app.command("text")
def text(
    items: Annotated[str, typer.Argument(help="Item file with titles, texts or categories.")],
    out: Annotated[Path, typer.Option(help="Folder for the text encoder.")],
    model: Annotated[
        str, typer.Option(help="Where to start: minilm, a folder, or a hub id.")
    ] = "minilm",
    column: Annotated[
        list[str] | None, typer.Option(help="Column that holds words; may be repeated.")
    ] = None,
    masked: Masked = 1.0,
    causal: Annotated[
        float, typer.Option(help="Weight of telling each word from those before it; 0 is off.")
    ] = 0.0,
    lora: Annotated[
        int, typer.Option(help="Rank of matrices learned beside the encoder's; 0 learns its own.")
    ] = 0,
    epochs: Annotated[int, typer.Option(help="Passes over the texts.")] = 3,
    lr: Annotated[float | None, typer.Option(help="Highest learning rate.")] = None,
    device: options.Device = None,
    seed: options.Seed = 0,
    json: output.Json = False,
) -> None:
    """Train a text encoder on the shop's own item texts: no events, no labels.

    A run that was stopped goes on where it was when it is called again.
    """
    from recency.content.item_texts import TEMPLATE, item_texts
    from recency.content.pretraining import pretrain_text
    from recency.content.pretraining_config import TextPretraining
    from recency.data.reading import read_items

    config = TextPretraining(
        masked=masked, causal=causal, lora=lora, epochs=epochs, lr=lr, seed=seed or 0,
        device=None if device == "auto" else device,
    )  # fmt: skip
    texts = item_texts(read_items(items, report=output.tell_reading), column or TEMPLATE)
    with pretraining_bar() as progress:
        found = pretrain_text(texts, out, model=model, config=config, progress=progress)
    facts = {
        "folder": str(found.folder),
        "n_texts": found.n_texts,
        "n_words": found.n_words,
        "n_learned": found.n_learned,
        "history": [asdict(one) for one in found.history],
    }
    output.result(facts, as_json=json, text=_of_text)


@app.command("behaviour")
def behaviour(
    file: options.File,
    out: options.ModelOut,
    config: Annotated[
        Path | None, typer.Option(help="run.toml of the fit that will follow; flags go over it.")
    ] = None,
    until: options.Until = None,
    encoder: options.EncoderName = None,
    size: options.Size = None,
    masked: Masked = 1.0,
    next_event: Annotated[
        float, typer.Option(help="Weight of telling next events; 0 is off.")
    ] = 1.0,
    contrast: Annotated[
        float, typer.Option(help="Weight of finding views of one history alike; 0 is off.")
    ] = 0.1,
    epochs: Annotated[int, typer.Option(help="Passes over the events.")] = 10,
    device: options.Device = None,
    seed: options.Seed = None,
    user: options.User = None,
    item: options.Item = None,
    time: options.Time = None,
    unit: options.Unit = None,
    json: output.Json = False,
) -> None:
    """Learn what histories teach of themselves: hidden events, next events, alike views."""
    settings = run_of(
        config, user=user, item=item, time=time, unit=unit, until=until, encoder=encoder, size=size,
        seed=seed, device=device,
    )  # fmt: skip

    from dataclasses import replace

    from recency.training.pretraining import BehaviourPretraining

    usual = BehaviourPretraining()
    lessons = replace(
        usual, masked=masked, next_event=next_event, epochs=epochs,
        contrast=replace(usual.contrast, weight=contrast),
    )  # fmt: skip
    recommender = settings.recommender()
    log = log_to_learn(file, settings)
    with training_bar() as progress:
        recommender.pretrain(log, lessons, progress)
    recommender.save(out)
    result = recommender.training_result
    assert result is not None
    output.result(_facts(out, result), as_json=json, text=_of_behaviour)


def _facts(out: Path, result: "TrainingResult") -> dict[str, Any]:
    return {
        "folder": str(out),
        "epochs": result.epochs,
        "n_targets": result.n_targets,
        "first_loss": result.history[0].loss,
        "last_loss": result.history[-1].loss,
        "seconds": round(sum(one.seconds for one in result.history), 1),
        "notes": list(result.notes),
    }


def _of_behaviour(facts: dict[str, Any]) -> str:
    told = [f"Note: {note}" for note in facts["notes"]]
    return "\n".join(
        [
            *told,
            f"Learned {facts['n_targets']:,} targets in {facts['epochs']} epochs and "
            f"{facts['seconds']} s; loss {facts['first_loss']:.3f} at first, "
            f"{facts['last_loss']:.3f} at last.",
            f"Saved in {facts['folder']}. Next: recency fit FILE --out MODEL "
            f"--init-from {facts['folder']}",
        ]
    )


def _of_text(facts: dict[str, Any]) -> str:
    first, last = facts["history"][0], facts["history"][-1]
    lines = [
        f"Learned {facts['n_learned']:,} numbers from {facts['n_texts']:,} texts with "
        f"{facts['n_words']:,} different words in {last['epoch']} epochs."
    ]
    for name, what in (("masked", "a hidden word"), ("causal", "a next word")):
        if first[name] is not None:
            lines.append(
                f"{what.capitalize()} of a text held back: {first[name]:.3f} nats before, "
                f"{last[name]:.3f} after."
            )
    lines.append(
        f"Saved in {facts['folder']}. Next: recency fit FILE --out MODEL --items ITEMS "
        f"--text {facts['folder']}"
    )
    return "\n".join(lines)
