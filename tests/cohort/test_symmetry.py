"""What cannot break its symmetry stays symmetric (on real MNIST)."""

from pathlib import Path

import pytest
import torch

from tests.helpers import make_job, train

CHANCE = 0.1135  # the share of the test images that show the commonest digit


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_zero_weights_never_move(
    activation: str, optimizer: str, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even under ReLU: without signal there is no gradient, and only the output's bias learns."""
    monkeypatch.setenv("INITLAB_DATA", str(real_data))
    job = make_job(
        "data=mnist", "data.val_fraction=0", "model=mlp", "model.hidden=[64,64]", "init=zeros", "seeds=2",
        f"activation={activation}", f"optim={optimizer}", "trainer.max_epochs=1", "batch_size=512",
    )  # fmt: skip
    module = train(job)
    for row in module.history:
        if row.split == "test":
            assert row.values["score"].tolist() == [CHANCE] * 2
    for name, stacked in module.stack.parameters.items():
        moved = bool((stacked != 0).any())
        assert moved == (name == "output.bias"), name


@pytest.mark.parametrize("activation", ["sigmoid", "softplus"])
def test_zero_weights_stay_of_rank_one_where_the_activation_is_not_zero(
    activation: str, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INITLAB_DATA", str(real_data))
    job = make_job(
        "data=mnist", "model=mlp", "model.hidden=[64,64]", "init=zeros", "seeds=1", "optim=sgd", "optim.lr=0.1",
        f"activation={activation}", "trainer.max_epochs=1", "batch_size=512",
    )  # fmt: skip
    module = train(job)
    for name in ("hidden.0.weight", "hidden.1.weight"):
        weight = module.stack.parameters[name][0].detach()
        singular = torch.linalg.svdvals(weight)
        assert singular[0] > 0, name
        assert singular[1] < 1e-4 * singular[0], name


def test_constant_weights_keep_all_hidden_units_identical() -> None:
    module = train(make_job("init=constant", "init.value=0.01", "seeds=2", "model.hidden=[32,32]"))
    weights = module.stack.parameters
    for name in ("hidden.0.weight", "hidden.1.weight"):
        units = weights[name][0].detach()
        assert not torch.allclose(units[0], torch.full_like(units[0], 0.01), atol=1e-4)  # it did learn
        torch.testing.assert_close(units, units[:1].expand_as(units))


def test_random_weights_do_not() -> None:
    units = train(make_job("init=he", "seeds=2")).stack.parameters["hidden.0.weight"][0].detach()
    assert torch.linalg.matrix_rank(units) == 13
