"""Serve options: what `recency serve` can be told, in the groups that its help shows."""

from pathlib import Path
from typing import Annotated

import typer

_WHERE, _WHO, _KEPT, _SEEN = "Where", "Who, and how often", "What is kept", "What can be seen"

Folder = Annotated[Path, typer.Argument(help="Folder of the model.")]
Host = Annotated[str, typer.Option(help="Address to listen on.", rich_help_panel=_WHERE)]
Port = Annotated[
    int, typer.Option(help="Port; 0 for any free one.", min=0, max=65535, rich_help_panel=_WHERE)
]
AdminPort = Annotated[
    int | None,
    typer.Option(
        help="Port of this machine for /metrics and /v1/status, without a key.",
        min=0,
        max=65535,
        rich_help_panel=_WHERE,
    ),
]
TlsCert = Annotated[
    Path | None, typer.Option(help="Certificate, PEM with its chain.", rich_help_panel=_WHERE)
]
TlsKey = Annotated[
    Path | None,
    typer.Option(help="Its key, PEM, where it is not in the same file.", rich_help_panel=_WHERE),
]
Studio = Annotated[
    bool, typer.Option(help="Offer the studio's page at /studio/.", rich_help_panel=_WHERE)
]
StopDelay = Annotated[
    str,
    typer.Option(
        help="How long /ready is red before no more connections are taken.", rich_help_panel=_WHERE
    ),
]

ApiKey = Annotated[
    str | None,
    typer.Option(
        help="Key that requests must bear; better given in the environment.",
        envvar="RECENCY_API_KEY",
        rich_help_panel=_WHO,
    ),
]
Insecure = Annotated[
    bool,
    typer.Option("--insecure", help="Ask for no key, wherever it listens.", rich_help_panel=_WHO),
]
Connections = Annotated[
    int, typer.Option(help="Most connections at once.", min=1, rich_help_panel=_WHO)
]
Requests = Annotated[
    int, typer.Option(help="Most requests underway at once.", min=1, rich_help_panel=_WHO)
]
Underway = Annotated[
    int,
    typer.Option(
        "--underway",
        help="Most events that may wait for their acknowledgement.",
        min=1,
        rich_help_panel=_WHO,
    ),
]
Origin = Annotated[
    list[str] | None,
    typer.Option(
        help="Web pages that may call from a browser, such as https://shop.example.",
        rich_help_panel=_WHO,
    ),
]
Rate = Annotated[
    float | None,
    typer.Option(
        help="Most requests a second of one key; no limit unless said.", rich_help_panel=_WHO
    ),
]
UserRate = Annotated[
    float,
    typer.Option(
        help="Most events a second about one user under a key for browsers; 0 for no limit.",
        min=0.0,
        rich_help_panel=_WHO,
    ),
]

Events = Annotated[
    Path | None,
    typer.Option(help="Event store; default FOLDER/serve/events.sqlite.", rich_help_panel=_KEPT),
]
Durability = Annotated[
    str,
    typer.Option(
        help="What an acknowledgement means: sync (safe on the disk), interval:50ms or memory.",
        rich_help_panel=_KEPT,
    ),
]
MaxSkew = Annotated[
    str,
    typer.Option(
        help="How far an event may lie ahead of this machine's clock.", rich_help_panel=_KEPT
    ),
]
SnapshotEvents = Annotated[
    int,
    typer.Option(
        help="Entries of the event log after which a snapshot is taken.",
        min=1,
        rich_help_panel=_KEPT,
    ),
]
SnapshotEvery = Annotated[
    str,
    typer.Option(
        help="Time after which one is taken, if anything happened.", rich_help_panel=_KEPT
    ),
]
Imports = Annotated[
    Path | None,
    typer.Option(help="Folder whose files may be imported by name.", rich_help_panel=_KEPT),
]
Compat = Annotated[
    str,
    typer.Option(
        help="Shapes of others that are understood too: gorse, personalize, parted by commas.",
        rich_help_panel=_KEPT,
    ),
]

LogFormat = Annotated[
    str, typer.Option("--log", help="Lines on stderr: plain or json.", rich_help_panel=_SEEN)
]
AccessLog = Annotated[
    bool,
    typer.Option(
        "--access-log",
        help="Log every request, not only slow ones and failures.",
        rich_help_panel=_SEEN,
    ),
]
Otlp = Annotated[
    str | None,
    typer.Option(
        help="Where traces go, such as http://127.0.0.1:4318/v1/traces.", rich_help_panel=_SEEN
    ),
]
