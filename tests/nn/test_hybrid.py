import pytest
import torch
from torch import Tensor

from recency.data.histories import NO_GAP
from recency.errors import ConfigError
from recency.nn.attention import Transformer
from recency.nn.encoder import Clock, Encoder
from recency.nn.encoders import make_encoder
from recency.nn.hybrid import Hybrid
from recency.nn.recurrent import GRU, LSTM
from recency.nn.tide import Tide

DIM, LENGTH = 8, 12


def histories() -> tuple[Tensor, Clock]:
    torch.manual_seed(3)
    gaps = torch.rand(4, LENGTH) * 1e5
    gaps[:, 0] = NO_GAP
    times = torch.cumsum((gaps.double().clamp(min=0) * 1e6).long(), dim=1)
    return torch.randn(4, LENGTH, DIM), Clock(gaps, times)


def silenced(encoder: Hybrid, *names: str) -> Hybrid:
    with torch.no_grad():
        for name in names:
            getattr(encoder, name).zero_()
    return encoder.eval()


@pytest.mark.parametrize("memory", ["tide", "lstm"])
def test_without_attention_it_is_the_memory(memory: str):
    encoder = silenced(Hybrid(DIM, memory=memory), "added")
    x, clock = histories()
    assert torch.equal(encoder(x, clock)[0], encoder.memory(x, clock)[0])


def test_without_memory_it_is_the_attention():
    encoder = silenced(Hybrid(DIM), "kept", "told")
    with torch.no_grad():
        encoder.added.fill_(1.0)
    x, clock = histories()
    assert torch.equal(encoder(x, clock)[0], encoder.attention(x, clock)[0])


def test_a_state_is_bounded_by_its_parts():
    encoder = Hybrid(DIM, memory="lstm", blocks=2, window=6)
    assert encoder.state_size == 2 * DIM + Transformer(DIM, blocks=2, window=6).state_size


def test_attention_hears_of_events_beyond_its_window():
    encoder = silenced(Hybrid(DIM, window=2), "kept")
    x, clock = histories()
    other = torch.cat((-x[:, :1], x[:, 1:]), dim=1)
    moved = (encoder(other, clock)[0] - encoder(x, clock)[0])[:, -1].abs().max()
    assert moved > 1e-4
    deaf = silenced(encoder, "told")
    assert torch.equal(deaf(other, clock)[0][:, -1], deaf(x, clock)[0][:, -1])


# --- parts ---------------------------------------------------------------------------------------


class OwnMemory(GRU):
    """Stand for an encoder that Recency does not bring."""


def test_parts_are_names_or_encoders():
    memory, attention = Tide(DIM, blocks=1), Transformer(DIM, blocks=2, heads=1, window=4)
    encoder = Hybrid(DIM, memory=memory, attention=attention)
    assert encoder.memory is memory and encoder.attention is attention
    assert isinstance(Hybrid(DIM, memory="lstm").memory, LSTM)
    assert Hybrid(DIM, memory="tide", dropout=0.3).memory.config()["dropout"] == 0.3


def test_settings_make_the_same_encoder_anew():
    made = Hybrid(DIM, memory=LSTM(DIM, layers=2), attention=Transformer(DIM, window=4, heads=1))
    again = make_encoder("hybrid", dict(made.config()))
    assert again.config() == made.config()
    assert again.state_size == made.state_size
    again.load_state_dict(made.state_dict())
    x, clock = histories()
    assert torch.equal(again.eval()(x, clock)[0], made.eval()(x, clock)[0])


def test_a_foreign_part_is_cloned_but_not_made_from_its_name():
    made = Hybrid(DIM, memory=OwnMemory(DIM))
    twin = made.clone()
    assert isinstance(twin.memory, OwnMemory) and twin.memory is not made.memory
    assert twin.config() == made.config()
    with pytest.raises(ConfigError, match="expected one of rnn, gru, lstm.*, or an encoder"):
        make_encoder("hybrid", dict(made.config()))


# --- impossible ----------------------------------------------------------------------------------


def refused(**given: object) -> str:
    with pytest.raises(ConfigError) as error:
        Hybrid(**given)  # type: ignore[arg-type]  # that is what is tested
    return str(error.value)


def test_unknown_parts_are_named_together():
    told = refused(memory="elephant", attention='{"name": "hybrid"}')
    assert "Hybrid(memory='elephant'): expected one of rnn, gru" in told
    assert 'Hybrid(attention=\'{"name": "hybrid"}\'): expected one of' in told
    assert "Hybrid(memory=7)" in refused(memory=7)


def test_parts_of_another_width_are_refused():
    told = refused(dim=8, memory=Tide(16), attention=Transformer(4))
    assert "Hybrid(memory=...): expected a width of 8, found 16" in told
    assert "Hybrid(attention=...): expected a width of 8, found 4" in told


def test_one_encoder_cannot_be_both_parts():
    one: Encoder = Tide(8)
    assert "expected an encoder of its own, found one twice" in refused(
        dim=8, memory=one, attention=one
    )


def test_settings_that_would_be_ignored_are_refused():
    told = refused(dim=8, attention=Transformer(8), blocks=3, window=9)
    assert "Hybrid(blocks=3): attention with settings of its own does not take it" in told
    assert "Hybrid(window=9)" in told
    told = refused(dim=8, attention="lstmattention", blocks=2, window=9)
    assert "Hybrid(blocks=2): attention lstmattention does not take it" in told
    assert "window" not in told


def test_faults_of_parts_are_told():
    told = refused(dim=9, memory="tide", blocks=0)
    assert "Transformer(blocks=0)" in told
