"""In which order layers run, and where they are looked at."""

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import initlab
from initlab.base.errors import UserError
from initlab.modules.batch import Batch
from initlab.propagation.layers import Site, find_layout, looking
from tests.propagation.networks import Functional, Repeated, chain, rows


def test_the_order_is_that_of_running_not_of_definition() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last, self.first = nn.Linear(4, 2), nn.Linear(6, 4)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            outputs: torch.Tensor = self.last(self.first(inputs).tanh())
            return outputs

    assert [layer.name for layer in find_layout(Backwards(), Batch(rows())).layers] == ["first", "last"]


def test_a_norm_stands_between_a_layer_and_its_preactivation() -> None:
    layout = find_layout(chain(6, 5, 3, norm=nn.BatchNorm1d), Batch(rows()))
    hidden, output = layout.layers
    assert (hidden.before, hidden.after) == (Site("2", 1, "input"), Site("2", 1, "output"))
    assert (output.name, output.before, output.after) == ("3", Site("3", 1, "output"), None)
    assert (hidden.units, output.units) == (5, 3)


def test_a_nonlinearity_that_is_no_module() -> None:
    """The layer's own output is the pre-activation; what becomes of it cannot be seen."""
    hidden, _ = find_layout(Functional(), Batch(rows())).layers
    assert (hidden.before, hidden.after) == (Site("first", 1, "output"), None)


def test_a_layer_that_runs_twice_is_seen_twice() -> None:
    first, second = find_layout(Repeated(), Batch(rows())).layers
    assert (first.name, second.name) == ("layer", "layer#2")
    assert (first.before.call, second.before.call) == (1, 2)


def test_what_cannot_be_seen_is_named() -> None:
    class Attentive(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention, self.output = nn.MultiheadAttention(6, 2, batch_first=True), nn.Linear(6, 3)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            sequence = inputs.unsqueeze(1)
            outputs: torch.Tensor = self.output(self.attention(sequence, sequence, sequence)[0].squeeze(1))
            return outputs

    layout = find_layout(Attentive(), Batch(rows()))
    assert [layer.name for layer in layout.layers] == ["output"]
    assert set(layout.unseen) == {"attention.in_proj_weight", "attention.out_proj.weight"}
    with pytest.raises(UserError, match="no layer of LSTM is called as a module of its own"):
        find_layout(nn.LSTM(6, 3), Batch(rows()))


def test_what_a_look_returns_goes_on() -> None:
    model = chain(6, 5, 3)
    layout = find_layout(model, Batch(rows()))
    seen = []

    def look(site: Site, _module: nn.Module, signal: torch.Tensor) -> torch.Tensor:
        seen.append(site)
        return torch.zeros_like(signal)

    with looking(model, layout, look):
        assert not model(rows()).any()
    sites = [("0", "output"), ("1", "input"), ("1", "output"), ("2", "output")]
    assert [(site.module, site.side) for site in seen] == sites
    assert model(rows()).any()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_layers_that_share_a_weight_are_both_seen() -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6))
    model[2].weight = model[0].weight
    first, second = find_layout(model, Batch(rows())).layers
    assert (first.name, second.name) == ("0", "2")
    assert first.weight == second.weight == "0.weight"


class Swish(nn.Module):
    """As a library has it that is not torch."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)


class HardMish(nn.Module):
    """An activation that is not registered."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (x + 2).clamp(0, 2) / 2


def test_an_activation_of_another_library_is_seen_as_torchs_own() -> None:
    theirs = initlab.probe_model(chain(6, 40, 40, 3, activation=Swish), rows(), scheme="he", seed=0)
    ours = initlab.probe_model(chain(6, 40, 40, 3, activation=nn.SiLU), rows(), scheme="he", seed=0)
    assert theirs["predicted_second_moment"].notna().all()
    pd.testing.assert_frame_equal(theirs, ours, rtol=1e-5)


def test_an_activation_that_is_not_registered_is_seen_and_not_predicted() -> None:
    table = initlab.probe_model(chain(6, 40, 3, activation=HardMish), rows(), scheme="he", seed=0)
    assert list(table["post_std"].notna()) == [True, False]
    assert list(table["predicted_second_moment"].notna()) == [True, False]
    assert table["saturated"].isna().all()  # whether it flattens or rests where its slope is small is not known
