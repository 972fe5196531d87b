"""run.toml names every knob of the model: encoder, its arguments, experts."""

from pathlib import Path

import pytest

from recency.cli.run_config import read_run_config
from recency.errors import ConfigError


def written(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text)
    return path


def test_the_default_is_a_tide_with_experts_that_knows_when_it_is_asked() -> None:
    made = read_run_config(None).recommender()
    assert made.name == "tide" and made.encoder.config()["blocks"] == 2
    assert made.experts is not None and made.request_time == "known"


def test_size_encoder_and_experts_have_sections(tmp_path: Path) -> None:
    text = """
    [model]
    encoder = "transformer"
    size = "large"
    experts = true
    [encoder]
    window = 50
    heads = 4
    [experts]
    pair = []
    crowd = ["1h"]
    """
    made = read_run_config(written(tmp_path, text)).recommender()
    settings = made.encoder.config()
    assert (settings["dim"], settings["blocks"], settings["window"], settings["heads"]) == (
        128,
        3,
        50,
        4,
    )
    assert made.experts is not None and made.experts.names == ["encoder", "own", "crowd 1 h"]


def test_layers_and_blocks_are_one_dial(tmp_path: Path) -> None:
    text = '[model]\nencoder = "{}"\nlayers = 3\nexperts = false\n'
    lstm = read_run_config(written(tmp_path, text.format("lstm"))).recommender()
    tide = read_run_config(written(tmp_path, text.format("tide"))).recommender()
    assert lstm.encoder.config()["layers"] == tide.encoder.config()["blocks"] == 3
    assert lstm.experts is None


def test_an_unknown_encoder_or_argument_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected an encoder of rnn, gru.*found 'sasrec'"):
        read_run_config(written(tmp_path, '[model]\nencoder = "sasrec"\n')).recommender()
    with pytest.raises(ConfigError, match="gru has no argument 'window'; it has dim, layers"):
        text = '[model]\nencoder = "gru"\n[encoder]\nwindow = 3\n'
        read_run_config(written(tmp_path, text)).recommender()
    with pytest.raises(ConfigError, match="did you mean experts.crowd"):
        read_run_config(written(tmp_path, "[experts]\ncrowds = []\n"))
