"""Options that several commands take, so that each is said in the same words everywhere."""

from pathlib import Path
from typing import Annotated

import typer

# How an event file is read.
File = Annotated[
    str,
    typer.Argument(
        help="Event file (CSV, TSV, Parquet, NDJSON, .inter), a folder of Parquet files, or - for "
        "NDJSON on standard input."
    ),
]
User = Annotated[str | None, typer.Option(help="Column of the user; default: guessed.")]
Item = Annotated[str | None, typer.Option(help="Column of the item; default: guessed.")]
Time = Annotated[str | None, typer.Option(help="Column of the time; default: guessed.")]
Unit = Annotated[str | None, typer.Option(help="Of numeric times: s, ms, us or ns.")]
TimeZone = Annotated[str, typer.Option(help="IANA zone of times that name none.")]
TimeFormat = Annotated[str | None, typer.Option(help="strftime format of times not in ISO 8601.")]
Names = Annotated[
    str | None, typer.Option(help="Column names, by comma, of a text file without header line.")
]
DropBad = Annotated[bool, typer.Option(help="Drop and count rows that cannot be used.")]
Items = Annotated[str | None, typer.Option(help="Item file: titles, categories, availability.")]

# What a run learns, and how; `recency.cli.run_flags` lays them over run.toml.
Config = Annotated[Path | None, typer.Option(help="run.toml with every knob; flags go over it.")]
Until = Annotated[
    str | None,
    typer.Option(help="Learn from events before this instant, or this share (0.9) of the log."),
]
EncoderName = Annotated[str | None, typer.Option(help="tide, transformer, gru, lstm, …")]
Size = Annotated[str | None, typer.Option(help="small, medium or large.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu or cuda.")]
Seed = Annotated[int | None, typer.Option(help="Repeats a run.")]
ModelOut = Annotated[Path, typer.Option(help="Folder for the model.")]

# A saved model, and what it is asked.
Folder = Annotated[Path, typer.Argument(help="Folder of the model.")]
At = Annotated[
    str | None,
    typer.Option(help="Instant of the question, or 'now'; default: after the newest event."),
]
